#include "sim/sim_link.h"

#include "sim/loop/sim_loop.h"
#include "sim/sim_msg.h"

#include <stdlib.h>

#define DEADLINE_US (2 * SIM_S)
#define NOTICE_US (3 * SIM_S)

struct wire {
    bool cut;
    bool dirty;
    uint32_t breaks; /* what left before the last one is lost */
    uint64_t last_us[2];
};

/* A node's end of all its wires. */
struct end {
    struct link link;
    struct sim_links *links;
    uint32_t node;
    uint64_t incarnation;
    bool up;
    bool serves;
    struct sim_event notice;
    struct mail dirty;
    bool dirty_mailed;
};

struct sim_links {
    struct sim *sim;
    struct sim_link_config config;
    struct end ends[SIM_NODES_MAX];
    struct wire wires[SIM_NODES_MAX][SIM_NODES_MAX]; /* [less][greater] */
    struct list calls;
    struct list tells;
    sim_links_tamper_fn *tamper;
    bool forget_dirty;
};

struct call {
    struct list node;
    struct sim_links *links;
    struct link_call *asked; /* NULL: answered */
    struct link_call there;
    struct end *from;
    struct end *to;
    uint32_t breaks;
    struct sim_msg in;
    struct sim_reply reply;
    int verdict; /* how it ends without a reply */
    bool replied;
    bool serving;
    struct mail serve;
    struct mail finish;
    bool serve_mailed;
    bool finish_mailed;
    struct sim_event travel;
    struct sim_event deadline;
};

struct tell {
    struct list node;
    struct sim_links *links;
    struct end *from;
    struct end *to;
    uint32_t breaks;
    struct sim_msg in;
    struct sim_event travel;
    struct mail mail;
};

static struct wire *wire_of(struct sim_links *links, uint32_t a, uint32_t b)
{
    return a < b ? &links->wires[a][b] : &links->wires[b][a];
}

static struct wire *wire_between(const struct end *a, const struct end *b)
{
    return wire_of(a->links, a->node, b->node);
}

static bool passable(const struct end *a, const struct end *b)
{
    return a->up && b->up && !wire_between(a, b)->cut;
}

static uint64_t travel_us(const struct end *from, const struct end *to)
{
    struct sim_links *links = from->links;
    struct wire *wire = wire_between(from, to);
    bool spike = links->config.spike_in != 0 && sim_chance(links->sim, links->config.spike_in);
    uint64_t most_us = spike ? links->config.spike_us : links->config.latency_us;
    uint64_t at_us = links->sim->now_us + sim_between(links->sim, 50, most_us);
    uint64_t *last_us = &wire->last_us[from->node < to->node];
    if (links->config.ordered && at_us <= *last_us)
        at_us = *last_us + 1;
    *last_us = at_us > *last_us ? at_us : *last_us;
    return at_us - links->sim->now_us;
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

static void tell_dirty(struct end *end)
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
    tell_dirty(container_of(event, struct end, notice));
}

static void notice_dirty(struct end *end, uint64_t most_us)
{
    if (end->up && !end->serves && end->node != SIM_SENDER)
        sim_at(end->links->sim, &end->notice, sim_between(end->links->sim, SIM_MS, most_us), on_notice);
}

/* ---- calls ---- */

static void free_call_if_over(struct call *call)
{
    if (call->asked != NULL || call->serving || call->serve_mailed || call->finish_mailed || call->travel.place != 0)
        return;
    sim_cancel(call->links->sim, &call->deadline);
    list_remove(&call->node);
    sim_msg_reset(&call->in);
    sim_reply_reset(&call->reply);
    free(call);
}

static void on_finish(struct mail *mail)
{
    struct call *call = container_of(mail, struct call, finish);
    struct link_call *asked = call->asked;
    call->finish_mailed = false;
    call->asked = NULL;
    if (asked != NULL) {
        asked->reply = call->replied ? call->reply.reply : (struct peer_reply){.status = call->verdict};
        asked->done(asked);
    }
    free_call_if_over(call);
}

static void finish(struct call *call)
{
    if (call->finish_mailed || call->asked == NULL)
        return;
    sim_cancel(call->links->sim, &call->deadline);
    call->finish_mailed = true;
    call->finish.run = on_finish;
    mailbox_post(call->from->link.loop, &call->finish);
}

static void on_deadline(struct sim_event *event)
{
    finish(container_of(event, struct call, deadline));
}

static void on_reply(struct sim_event *event)
{
    struct call *call = container_of(event, struct call, travel);
    if (call->asked != NULL && !call->finish_mailed && call->breaks == wire_between(call->from, call->to)->breaks) {
        call->replied = true;
        finish(call);
    }
    free_call_if_over(call);
}

static void end_answer(struct link *link, struct link_call *there)
{
    struct call *call = container_of(there, struct call, there);
    struct sim_links *links = call->links;
    (void)link;
    petrel_assert(call->serving);
    call->serving = false;
    if (call->asked != NULL && !call->to->link.loop->ghost && passable(call->from, call->to)) {
        sim_reply_copy(&call->reply, call->in.msg.type, &there->reply);
        sim_at(links->sim, &call->travel, travel_us(call->to, call->from), on_reply);
    }
    free_call_if_over(call);
}

static void on_serve(struct mail *mail)
{
    struct call *call = container_of(mail, struct call, serve);
    const struct link_server *server = &call->to->link.servers[LINK_MESSAGE];
    call->serve_mailed = false;
    if (call->to->link.loop->ghost || server->on_call == NULL) {
        free_call_if_over(call);
        return;
    }
    call->serving = true;
    call->there = (struct link_call){.in = call->in.msg, .from = &call->to->link, .to = &call->to->link};
    server->on_call(server->ctx, &call->there);
}

static void on_request(struct sim_event *event)
{
    struct call *call = container_of(event, struct call, travel);
    if (call->to->up && call->breaks == wire_between(call->from, call->to)->breaks) {
        call->serve_mailed = true;
        call->serve.run = on_serve;
        mailbox_post(call->to->link.loop, &call->serve);
        return;
    }
    free_call_if_over(call);
}

static struct end *choose_server(struct end *from)
{
    struct end *found[SIM_NODES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct end *end = &from->links->ends[i];
        if (end->serves && passable(from, end))
            found[count++] = end;
    }
    return count == 0 ? NULL : found[rng_below(&from->links->sim->rng, count)];
}

static int end_call(struct link *link, struct link_call *asked)
{
    struct end *from = container_of(link, struct end, link);
    struct sim_links *links = from->links;
    if (link->loop->ghost)
        return PETREL_E_CLOSING;
    struct call *call = object_zalloc(sizeof *call);
    call->links = links;
    call->asked = asked;
    call->from = from;
    call->to = choose_server(from);
    call->verdict = PETREL_E_TIMEOUT;
    list_push_back(&links->calls, &call->node);
    sim_msg_copy(&call->in, &asked->in);
    if (call->to == NULL) {
        call->to = from;
        call->verdict = PETREL_E_UNAVAILABLE;
        finish(call);
        return 0;
    }
    call->breaks = wire_between(from, call->to)->breaks;
    sim_at(links->sim, &call->travel, travel_us(from, call->to), on_request);
    sim_at(links->sim, &call->deadline, DEADLINE_US, on_deadline);
    return 0;
}

static int end_call_at(struct link *link, uint32_t node, uint16_t loop, struct link_call *call)
{
    (void)link;
    (void)node;
    (void)loop;
    (void)call;
    return PETREL_E_CLOSING; /* nobody administers the simulation */
}

/* ---- tells ---- */

static void free_tell(struct tell *tell)
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
    free_tell(tell);
}

static void on_arrived(struct sim_event *event)
{
    struct tell *tell = container_of(event, struct tell, travel);
    if (!tell->to->up || tell->breaks != wire_between(tell->from, tell->to)->breaks) {
        free_tell(tell);
        return;
    }
    tell->mail.run = on_told;
    mailbox_post(tell->to->link.loop, &tell->mail);
}

static void send_tell(struct end *from, struct end *to, const struct peer_msg *msg)
{
    struct tell *tell = object_zalloc(sizeof *tell);
    tell->links = from->links;
    tell->from = from;
    tell->to = to;
    tell->breaks = wire_between(from, to)->breaks;
    sim_msg_copy(&tell->in, msg);
    list_push_back(&from->links->tells, &tell->node);
    if (from->links->tamper != NULL && !from->links->tamper(from->links->sim, &tell->in.msg)) {
        free_tell(tell);
        return;
    }
    sim_at(from->links->sim, &tell->travel, travel_us(from, to), on_arrived);
}

static int end_tell(struct link *link, uint32_t node, uint16_t loop, const struct peer_msg *msg)
{
    struct end *from = container_of(link, struct end, link);
    struct sim_links *links = from->links;
    const struct route *route = peer_route_of(msg);
    if (link->loop->ghost)
        return PETREL_E_CLOSING;
    petrel_assert(node < SIM_NODES_MAX && loop == 0);
    struct end *to = &links->ends[node];
    if (!to->up || to->incarnation != route->incarnation)
        return PETREL_E_UNAVAILABLE;
    struct wire *wire = wire_between(from, to);
    if (wire->cut) {
        wire->dirty = true;
        return PETREL_E_UNAVAILABLE;
    }
    if (links->config.drop_in != 0 && sim_chance(links->sim, links->config.drop_in)) {
        sim_trace(links->sim, "node %u to %u: the window is full, a tell is dropped", from->node, to->node);
        notice_dirty(to, NOTICE_US);
        return PETREL_E_BUSY;
    }
    send_tell(from, to, msg);
    return 0;
}

static int end_tell_sessions(struct link *link, const struct peer_msg *msg)
{
    (void)link;
    (void)msg;
    return 0; /* the cluster tells APPS when a session node starts */
}

static bool end_knows(struct link *link, const struct route *route)
{
    const struct end *end = container_of(link, struct end, link);
    const struct end *other = &end->links->ends[route->node];
    return other->up && other->incarnation == route->incarnation;
}

static bool end_outlived(struct link *link, const struct route *route)
{
    const struct end *end = container_of(link, struct end, link);
    const struct end *other = &end->links->ends[route->node];
    return other->up && other->incarnation > route->incarnation;
}

static void end_close(struct link *link)
{
    (void)link;
}

static const struct link_ops end_ops = {
    .name = "sim",
    .call = end_call,
    .call_at = end_call_at,
    .tell = end_tell,
    .tell_sessions = end_tell_sessions,
    .answer = end_answer,
    .knows = end_knows,
    .outlived = end_outlived,
    .close = end_close,
};

/* ---- nodes and wires ---- */

struct sim_links *sim_links_new(struct sim *sim, const struct sim_link_config *config)
{
    struct sim_links *links = object_zalloc(sizeof *links);
    links->sim = sim;
    links->config = *config;
    list_init(&links->calls);
    list_init(&links->tells);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        links->ends[i].links = links;
        links->ends[i].node = i;
    }
    return links;
}

void sim_links_free(struct sim_links **inside)
{
    struct sim_links *links = *inside;
    while (!list_empty(&links->tells))
        free_tell(container_of(links->tells.next, struct tell, node));
    while (!list_empty(&links->calls)) {
        struct call *call = container_of(links->calls.next, struct call, node);
        petrel_assert(call->asked == NULL && !call->serving && !call->serve_mailed && !call->finish_mailed);
        sim_cancel(links->sim, &call->travel);
        free_call_if_over(call);
    }
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        sim_cancel(links->sim, &links->ends[i].notice);
    free(links);
    *inside = NULL;
}

void sim_links_plant(struct sim_links *links, sim_links_tamper_fn *tamper, bool forget_dirty)
{
    links->tamper = tamper;
    links->forget_dirty = forget_dirty;
}

struct link *sim_links_up(struct sim_links *links, uint32_t node, uint64_t incarnation, struct loop *loop, bool serves)
{
    struct end *end = &links->ends[node];
    petrel_assert(!end->up);
    end->link = (struct link){.ops = &end_ops, .loop = loop};
    end->incarnation = incarnation;
    end->up = true;
    end->serves = serves;
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        if (i != node)
            wire_of(links, node, i)->dirty = false;
    }
    return &end->link;
}

/* Whoever asked over this wire learns that it broke. */
static void break_wire(struct sim_links *links, uint32_t a, uint32_t b)
{
    struct list *node, *next;
    wire_of(links, a, b)->breaks++;
    LIST_FOREACH(node, next, &links->calls)
    {
        struct call *call = container_of(node, struct call, node);
        bool here = (call->from->node == a && call->to->node == b) || (call->from->node == b && call->to->node == a);
        if (!here || call->asked == NULL || call->finish_mailed)
            continue;
        call->verdict = PETREL_E_UNAVAILABLE;
        uint64_t left_us = call->deadline.at_us - links->sim->now_us;
        uint64_t notice_us = sim_between(links->sim, 0, NOTICE_US);
        sim_at(links->sim, &call->deadline, notice_us < left_us ? notice_us : left_us, on_deadline);
    }
}

void sim_links_down(struct sim_links *links, uint32_t node)
{
    struct end *end = &links->ends[node];
    struct list *at, *next;
    petrel_assert(end->up && end->link.loop->ghost);
    end->up = false;
    sim_cancel(links->sim, &end->notice);
    LIST_FOREACH(at, next, &links->calls)
    {
        struct call *call = container_of(at, struct call, node);
        call->verdict = call->from == end ? PETREL_E_UNAVAILABLE : call->verdict;
        if (call->from == end)
            finish(call);
    }
    LIST_FOREACH(at, next, &links->tells)
    {
        struct tell *tell = container_of(at, struct tell, node);
        if (tell->travel.place != 0 && (tell->from == end || tell->to == end))
            free_tell(tell);
    }
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        if (i == node)
            continue;
        break_wire(links, node, i);
        if (end->serves)
            notice_dirty(&links->ends[i], NOTICE_US);
    }
}

void sim_links_cut(struct sim_links *links, uint32_t a, uint32_t b)
{
    struct wire *wire = wire_of(links, a, b);
    struct list *at, *next;
    if (wire->cut)
        return;
    wire->cut = true;
    LIST_FOREACH(at, next, &links->tells)
    {
        const struct tell *tell = container_of(at, struct tell, node);
        if (wire_between(tell->from, tell->to) == wire && tell->travel.place != 0)
            wire->dirty = true;
    }
    break_wire(links, a, b);
}

void sim_links_heal(struct sim_links *links, uint32_t a, uint32_t b)
{
    struct wire *wire = wire_of(links, a, b);
    if (!wire->cut)
        return;
    wire->cut = false;
    if (wire->dirty) {
        tell_dirty(links->ends[a].serves ? &links->ends[b] : &links->ends[a]);
        wire->dirty = false;
    }
}

void sim_links_dirty_all(struct sim_links *links)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        notice_dirty(&links->ends[i], NOTICE_US);
}
