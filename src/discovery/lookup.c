#include "discovery/lookup.h"

#include "base/object.h"

/* More room than this counts as this, so that sums over any view stay in range whatever a node says of itself. */
#define ROOM_MAX (UINT64_C(1) << 32)
#define WEIGHT_WHOLE 1000

bool lookup_takes(const struct discovery_node *node, uint32_t except)
{
    return (except == 0 || node->number != except) && (node->roles & DISCOVERY_SESSION) != 0 &&
           node->state == DISCOVERY_UP && node->session_address[0] != '\0' && node->sessions < node->max_sessions;
}

static uint64_t room_of(const struct discovery_node *node, uint32_t except)
{
    if (!lookup_takes(node, except))
        return 0;
    const uint64_t room = node->max_sessions - node->sessions;
    return room < ROOM_MAX ? room : ROOM_MAX;
}

static bool is_chosen(const struct lookup_server *chosen, size_t count, const struct discovery_node *node)
{
    for (size_t i = 0; i < count; i++) {
        if (chosen[i].node == node)
            return true;
    }
    return false;
}

/* The node at `point` when the room of all that are not chosen yet is laid end to end. */
static const struct discovery_node *node_at(const struct discovery_view *view, uint32_t except,
                                            const struct lookup_server *chosen, size_t count, uint64_t point)
{
    for (size_t i = 0; i < view->count; i++) {
        const uint64_t room = is_chosen(chosen, count, &view->nodes[i]) ? 0 : room_of(&view->nodes[i], except);
        if (point < room)
            return &view->nodes[i];
        point -= room;
    }
    object_panic(__FILE__, __LINE__, "point is beyond the room left");
}

size_t lookup_rank(const struct discovery_view *view, uint32_t except, struct rng *rng,
                   struct lookup_server out[LOOKUP_MAX])
{
    uint64_t total = 0;
    for (size_t i = 0; i < view->count; i++)
        total += room_of(&view->nodes[i], except);

    size_t count = 0;
    for (uint64_t left = total; count < LOOKUP_MAX && left > 0; count++) {
        const struct discovery_node *node = node_at(view, except, out, count, rng_below(rng, left));
        const uint64_t room = room_of(node, except);
        const uint64_t weight = room * WEIGHT_WHOLE / total;
        out[count].node = node;
        out[count].weight = weight > 0 ? (uint32_t)weight : 1;
        left -= room;
    }
    return count;
}
