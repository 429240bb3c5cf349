#include "sim/sim_link_impl.h"

#include <stdlib.h>

#define NOTICE_US (3 * SIM_S)

static struct wire *wire_between(const struct end *a, const struct end *b)
{
    return sim_link_wire(a->links, a->node, b->node);
}

/* ---- dirty ---- */

static void on_dirty(struct mail *mail)
{
    struct end *end = container_of(mail, struct end, dirty);
    end->dirty_mailed = false;
    const struct link_server *server = &end->link.servers[LINK_SESSION];
    if (server->on_dirty != NULL && !end->link.loop->ghost)
        server->on_dirty(server->ctx);
}

void sim_link_dirty(struct end *end)
{
    if (!end->up || end->dirty_mailed || end->links->forget_dirty)
        return;
    sim_trace(end->links->sim, "node %u: told that its link is dirty", end->node);
    end->dirty_mailed = true;
    end->dirty.run = on_dirty;
    mailbox_post(end->link.loop, &end->dirty);
}

static void on_notice(struct sim_event *event)
{
    sim_link_dirty(container_of(event, struct end, notice));
}

void sim_link_dirty_later(struct end *end)
{
    if (end->up && !end->serves && end->node != SIM_SENDER)
        sim_at(end->links->sim, &end->notice, sim_between(end->links->sim, SIM_MS, NOTICE_US), on_notice);
}

/* ---- tells ---- */

void sim_link_tell_free(struct tell *tell)
{
    sim_cancel(tell->links->sim, &tell->travel);
    list_remove(&tell->node);
    sim_msg_reset(&tell->in);
    free(tell);
}

static void on_told(struct mail *mail)
{
    struct tell *tell = container_of(mail, struct tell, mail);
    const struct link_server *server = &tell->to->link.servers[LINK_SESSION];
    if (server->on_tell != NULL && !tell->to->link.loop->ghost)
        server->on_tell(server->ctx, &tell->in.msg);
    sim_link_tell_free(tell);
}

static void on_arrived(struct sim_event *event)
{
    struct tell *tell = container_of(event, struct tell, travel);
    if (!tell->to->up || tell->breaks != wire_between(tell->from, tell->to)->breaks) {
        sim_link_tell_free(tell);
        return;
    }
    tell->mail.run = on_told;
    mailbox_post(tell->to->link.loop, &tell->mail);
}

static void send_tell(struct end *from, struct end *to, const struct peer_msg *msg)
{
    const struct sim_links *links = from->links;
    if (msg->type == PEER_RESUBSCRIBED && links->config.unheard_in != 0 &&
        sim_chance(links->sim, links->config.unheard_in)) {
        struct peer_msg unheard = *msg;
        sim_trace(links->sim, "node %u to %u: nobody hears of a subscription", from->node, to->node);
        if (links->late != NULL)
            links->late(links->late_ctx, &unheard);
        return;
    }
    struct tell *tell = object_zalloc(sizeof *tell);
    tell->links = from->links;
    tell->from = from;
    tell->to = to;
    tell->breaks = wire_between(from, to)->breaks;
    sim_msg_copy(&tell->in, msg);
    list_push_back(&from->links->tells, &tell->node);
    if (from->links->tamper != NULL && !from->links->tamper(from->links->sim, &tell->in.msg)) {
        sim_link_tell_free(tell);
        return;
    }
    sim_at(from->links->sim, &tell->travel, sim_link_travel_us(from, to), on_arrived);
}

static int tell(struct end *from, struct end *to, const struct peer_msg *msg)
{
    struct sim_links *links = from->links;
    struct wire *wire = wire_between(from, to);
    if (wire->cut) {
        wire->dirty = true;
        return PETREL_E_UNAVAILABLE;
    }
    if (links->config.drop_in != 0 && sim_chance(links->sim, links->config.drop_in)) {
        sim_trace(links->sim, "node %u to %u: the window is full, a tell is dropped", from->node, to->node);
        sim_link_dirty_later(to);
        return PETREL_E_BUSY;
    }
    send_tell(from, to, msg);
    return 0;
}

int sim_link_tell(struct link *link, uint32_t node, uint16_t loop, const struct peer_msg *msg)
{
    struct end *from = container_of(link, struct end, link);
    if (link->loop->ghost)
        return PETREL_E_CLOSING;
    petrel_assert(node < SIM_NODES_MAX && loop == 0);
    struct end *to = &from->links->ends[node];
    if (!to->up || to->incarnation != peer_route_of(msg)->incarnation)
        return PETREL_E_UNAVAILABLE;
    return tell(from, to, msg);
}

int sim_link_tell_node(struct link *link, uint32_t node, const struct peer_msg *msg)
{
    struct end *from = container_of(link, struct end, link);
    if (link->loop->ghost)
        return PETREL_E_CLOSING;
    petrel_assert(node < SIM_NODES_MAX);
    struct end *to = &from->links->ends[node];
    return to->up ? tell(from, to, msg) : PETREL_E_UNAVAILABLE;
}
