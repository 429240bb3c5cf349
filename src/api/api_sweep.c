#include "api/api_sweep.h"

#include "base/err.h"
#include "base/object.h"

#include <stdlib.h>

static void drop_sweep(void *state)
{
    struct api_sweep *sweep = state;
    for (size_t i = 0; i < sweep->count; i++)
        free(sweep->nodes[i].loops);
    free(sweep->nodes);
}

static int by_name(const void *a, const void *b)
{
    const struct api_sweep_node *one = a;
    const struct api_sweep_node *other = b;
    return strcmp(one->node.name, other->node.name);
}

static void add_loops(struct api_sweep *sweep, struct api_sweep_node *node)
{
    node->loops_count = (node->node.roles & DISCOVERY_SESSION) != 0 ? node->node.loops : 0;
    node->loops = object_zalloc((node->loops_count > 0 ? node->loops_count : 1U) * sizeof *node->loops);
    for (uint16_t i = 0; i < node->loops_count; i++) {
        node->loops[i].sweep = sweep;
        node->loops[i].of = node;
        node->loops[i].index = i;
    }
}

struct api_sweep *api_sweep_new(struct api_exchange *exchange)
{
    struct discovery *discovery = exchange->role->discovery;
    struct api_sweep *sweep = api_exchange_state(exchange, sizeof *sweep, drop_sweep);
    struct discovery_view *view = discovery->ops->view(discovery);
    sweep->exchange = exchange;
    sweep->as_of_ms = view->as_of_ms;
    sweep->count = view->count;
    sweep->nodes = object_zalloc((view->count > 0 ? view->count : 1) * sizeof *sweep->nodes);
    for (size_t i = 0; i < view->count; i++)
        sweep->nodes[i].node = view->nodes[i];
    discovery_view_unref(view);
    qsort(sweep->nodes, sweep->count, sizeof *sweep->nodes, by_name);
    for (size_t i = 0; i < sweep->count; i++)
        add_loops(sweep, &sweep->nodes[i]);
    return sweep;
}

struct api_sweep_node *api_sweep_find(struct api_sweep *sweep, struct bytes name)
{
    for (size_t i = 0; i < sweep->count; i++) {
        if (bytes_equal_str(name, sweep->nodes[i].node.name))
            return &sweep->nodes[i];
    }
    return NULL;
}

struct api_sweep_node *api_sweep_only(struct api_sweep *sweep, struct api_sweep_node *node)
{
    struct api_sweep_node *first = &sweep->nodes[0];
    const struct api_sweep_node kept = *node;
    *node = *first;
    *first = kept;
    for (size_t i = 1; i < sweep->count; i++)
        free(sweep->nodes[i].loops);
    sweep->count = 1;
    for (uint16_t i = 0; i < first->loops_count; i++)
        first->loops[i].of = first;
    return first;
}

bool api_sweep_counted(const struct api_sweep_node *node)
{
    return node->loops_count > 0 && node->answered == node->loops_count;
}

uint32_t api_sweep_part(const struct api_sweep_node *node, uint32_t whole, uint16_t index)
{
    const uint32_t part = whole / node->loops_count + (index < whole % node->loops_count ? 1 : 0);
    return part > 0 ? part : 1;
}

static void sum_up(struct api_sweep_node *node)
{
    node->sum = (struct peer_drained){0};
    for (uint16_t i = 0; i < node->loops_count; i++) {
        const struct peer_drained *drained = &node->loops[i].drained;
        node->sum.draining = node->sum.draining || drained->draining;
        node->sum.sessions += drained->sessions;
        node->sum.to_tell += drained->to_tell;
        node->sum.told += drained->told;
        node->sum.left += drained->left;
    }
}

/* One loop less to wait for; the last one ends the round, after which the sweep may be gone. */
static void settle(struct api_sweep *sweep)
{
    petrel_assert(sweep->waiting > 0);
    if (--sweep->waiting > 0)
        return;
    for (size_t i = 0; i < sweep->count; i++)
        sum_up(&sweep->nodes[i]);
    sweep->done(sweep);
}

static void take(struct api_sweep_loop *loop, int status)
{
    loop->known = loop->known || status == 0;
    if (status == 0)
        loop->of->answered++;
    else
        loop->of->status = status;
}

static void on_drained(struct link_call *call)
{
    struct api_sweep_loop *loop = container_of(call, struct api_sweep_loop, call);
    if (call->reply.status == 0)
        loop->drained = call->reply.drained;
    take(loop, call->reply.status);
    settle(loop->sweep);
}

void api_sweep_ask(struct api_sweep *sweep, api_sweep_done_fn *done)
{
    struct api_role *role = sweep->exchange->role;
    sweep->done = done;
    sweep->waiting = 1; /* this function itself, so that the round can't end below */
    for (size_t i = 0; i < sweep->count; i++) {
        struct api_sweep_node *node = &sweep->nodes[i];
        node->answered = 0;
        node->status = 0;
        for (uint16_t l = 0; l < node->loops_count; l++) {
            struct api_sweep_loop *loop = &node->loops[l];
            if (loop->skip) {
                node->answered = (uint16_t)(node->answered + loop->known);
                continue;
            }
            loop->call.in.type = PEER_DRAIN;
            const int rc = link_ask_at(role->link, node->node.number, loop->index, &loop->call, on_drained);
            if (rc == 0)
                sweep->waiting++;
            else
                take(loop, rc);
        }
    }
    settle(sweep);
}

void api_sweep_look(struct api_sweep *sweep, api_sweep_done_fn *done)
{
    for (size_t i = 0; i < sweep->count; i++) {
        for (uint16_t l = 0; l < sweep->nodes[i].loops_count; l++)
            sweep->nodes[i].loops[l].call.in.drain = (struct peer_drain){.verb = PEER_DRAIN_LOOK};
    }
    api_sweep_ask(sweep, done);
}
