#include "sim/sim_link_impl.h"

#include <stdlib.h>

#define DEADLINE_US (2 * SIM_S)
#define NOTICE_US (3 * SIM_S) /* a break is noticed after so long, at most */

struct wire *sim_link_wire(struct sim_links *links, uint32_t a, uint32_t b)
{
    return a < b ? &links->wires[a][b] : &links->wires[b][a];
}

static struct wire *wire_between(const struct end *a, const struct end *b)
{
    return sim_link_wire(a->links, a->node, b->node);
}

static bool passable(const struct end *a, const struct end *b)
{
    return a->up && b->up && !wire_between(a, b)->cut;
}

uint64_t sim_link_travel_us(const struct end *from, const struct end *to)
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
    const bool late = call->asked == NULL || call->finish_mailed;
    if (late && links->late != NULL)
        links->late(links->late_ctx, &call->in.msg);
    if (call->asked != NULL && !call->to->link.loop->ghost && passable(call->from, call->to)) {
        sim_reply_copy(&call->reply, call->in.msg.type, &there->reply);
        sim_at(links->sim, &call->travel, sim_link_travel_us(call->to, call->from), on_reply);
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
    sim_at(links->sim, &call->travel, sim_link_travel_us(from, call->to), on_request);
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

static int end_tell_sessions(struct link *link, const struct peer_msg *msg)
{
    (void)link;
    (void)msg;
    return 0; /* the cluster tells APPS when a session node starts */
}

static void end_lost(struct link *link)
{
    sim_links_dirty_all(container_of(link, struct end, link)->links);
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
    .tell = sim_link_tell,
    .tell_node = sim_link_tell_node,
    .tell_sessions = end_tell_sessions,
    .lost = end_lost,
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
        sim_link_tell_free(container_of(links->tells.next, struct tell, node));
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

void sim_links_watch(struct sim_links *links, sim_links_late_fn *late, void *ctx)
{
    links->late = late;
    links->late_ctx = ctx;
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
            sim_link_wire(links, node, i)->dirty = false;
    }
    return &end->link;
}

/* Whoever asked over this wire learns that it broke. */
static void break_wire(struct sim_links *links, uint32_t a, uint32_t b)
{
    struct list *node, *next;
    sim_link_wire(links, a, b)->breaks++;
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
            sim_link_tell_free(tell);
    }
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        if (i == node)
            continue;
        break_wire(links, node, i);
        if (end->serves)
            sim_link_dirty_later(&links->ends[i]);
    }
}

void sim_links_cut(struct sim_links *links, uint32_t a, uint32_t b)
{
    struct wire *wire = sim_link_wire(links, a, b);
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
    struct wire *wire = sim_link_wire(links, a, b);
    if (!wire->cut)
        return;
    wire->cut = false;
    if (wire->dirty) {
        sim_link_dirty(links->ends[a].serves ? &links->ends[b] : &links->ends[a]);
        wire->dirty = false;
    }
}

void sim_links_dirty_all(struct sim_links *links)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        sim_link_dirty_later(&links->ends[i]);
}
