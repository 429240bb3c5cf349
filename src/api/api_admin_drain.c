/* A node that is to be emptied, for operators: drain, undrain. */
#include "api/api_admin_nodes.h"
#include "api/api_routes.h"
#include "base/err.h"

static void on_done(struct api_sweep *sweep)
{
    struct api_exchange *exchange = sweep->exchange;
    struct api_sweep_node *node = &sweep->nodes[0];
    if (api_sweep_counted(node)) {
        if (!node->sum.draining)
            node->node.state = DISCOVERY_UP; /* the view is behind what was just done */
        api_admin_nodes_put(&exchange->body, sweep, node);
        api_exchange_answer(exchange, 200);
        return;
    }
    struct api_error error;
    api_admin_nodes_explain(node, &error);
    api_exchange_fail(exchange, &error);
}

/* Whether another session node is there for the sessions of this one. */
static bool has_refuge(const struct api_sweep *sweep, const struct api_sweep_node *node)
{
    for (size_t i = 0; i < sweep->count; i++) {
        const struct discovery_node *other = &sweep->nodes[i].node;
        if (&sweep->nodes[i] != node && (other->roles & DISCOVERY_SESSION) != 0 && other->state == DISCOVERY_UP)
            return true;
    }
    return false;
}

static int check_node(const struct api_sweep *sweep, const struct api_sweep_node *node, bool begin,
                      struct api_error *error)
{
    if ((node->node.roles & DISCOVERY_SESSION) == 0)
        return api_error_set(error, API_ERROR_FAILED_PRECONDITION, "node", "%s holds no sessions", node->node.name);
    if (begin && !has_refuge(sweep, node))
        return api_error_set(error, API_ERROR_FAILED_PRECONDITION, "node",
                             "no other session node is up to take the sessions of %s", node->node.name);
    return 0;
}

static void steer(struct api_exchange *exchange, const struct api_request *request, enum peer_drain_verb verb)
{
    struct api_error error;
    uint32_t rate = 0;
    const bool begin = verb == PEER_DRAIN_BEGIN;
    struct api_sweep *sweep = api_sweep_new(exchange);
    struct api_sweep_node *node = api_admin_nodes_find(sweep, request->id, &error);
    if (node == NULL || (begin && api_admin_nodes_read_rate(exchange, request->http->body, &rate, &error) != 0) ||
        check_node(sweep, node, begin, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    node = api_sweep_only(sweep, node);
    for (uint16_t i = 0; i < node->loops_count; i++)
        node->loops[i].call.in.drain =
            (struct peer_drain){.verb = verb, .per_second = begin ? api_sweep_part(node, rate, i) : 0};
    log_at(LOG_INFO, "api", begin ? "drain asked" : "undrain asked", LOG_STR("node", node->node.name),
           LOG_NUM("rate", rate));
    api_sweep_ask(sweep, on_done);
}

void api_admin_drain_begin(struct api_exchange *exchange, const struct api_request *request)
{
    steer(exchange, request, PEER_DRAIN_BEGIN);
}

void api_admin_drain_end(struct api_exchange *exchange, const struct api_request *request)
{
    steer(exchange, request, PEER_DRAIN_END);
}
