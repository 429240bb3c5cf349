/* Sessions spread over the nodes by their budgets, for operators: how they are spread, and moving what is too many somewhere. */
#include "api/api_admin_nodes.h"
#include "api/api_json.h"
#include "api/api_routes.h"

#include <inttypes.h>

/* A surplus below a fiftieth of a node's share is noise: lookup places devices by chance. */
#define TOLERANCE 50U

/* Whether it takes part: counted, and there to stay. */
static bool takes_part(const struct api_sweep_node *node)
{
    return api_sweep_counted(node) && !node->sum.draining && node->node.state == DISCOVERY_UP;
}

/* Each node's share of the sessions, by its budget, and what it holds beyond. */
static void weigh(struct api_sweep *sweep)
{
    uint64_t sessions = 0, budget = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        const struct api_sweep_node *node = &sweep->nodes[i];
        sessions += takes_part(node) ? node->sum.sessions : 0;
        budget += takes_part(node) ? node->node.max_sessions : 0;
    }
    for (size_t i = 0; i < sweep->count; i++) {
        struct api_sweep_node *node = &sweep->nodes[i];
        if (!takes_part(node) || budget == 0)
            continue;
        const double part = (double)node->node.max_sessions / (double)budget;
        node->share = (uint64_t)((double)sessions * part + 0.5);
        node->surplus =
            node->sum.sessions > node->share + node->share / TOLERANCE ? node->sum.sessions - node->share : 0;
    }
}

static void put_node(struct bytebuf *out, const struct api_sweep_node *node)
{
    bytes_append_str(out, "{\"name\":");
    api_json_put_text(out, bytes_str(node->node.name));
    api_admin_nodes_put_progress(out, node);
    if (takes_part(node))
        bytes_printf(out, ",\"share\":%" PRIu64 ",\"surplus\":%" PRIu64, node->share, node->surplus);
    bytes_append_str(out, "}");
}

static void answer_balance(struct api_sweep *sweep)
{
    struct api_exchange *exchange = sweep->exchange;
    struct bytebuf *out = &exchange->body;
    struct peer_drained all = {0};
    uint64_t surplus = 0;
    const char *comma = "";
    bytes_append_str(out, "{\"nodes\":[");
    for (size_t i = 0; i < sweep->count; i++) {
        const struct api_sweep_node *node = &sweep->nodes[i];
        if ((node->node.roles & DISCOVERY_SESSION) == 0)
            continue;
        bytes_append_str(out, comma);
        put_node(out, node);
        comma = ",";
        surplus += node->surplus;
        all.sessions += node->sum.sessions;
        all.to_tell += node->sum.to_tell;
        all.told += node->sum.told;
        all.left += node->sum.left;
    }
    bytes_printf(out, "],\"sessions\":%u,\"surplus\":%" PRIu64 ",\"to_tell\":%u,\"told\":%u,\"left\":%" PRIu64 "}",
                 all.sessions, surplus, all.to_tell, all.told, all.left);
    api_exchange_answer(exchange, 200);
}

static void on_weighed(struct api_sweep *sweep)
{
    weigh(sweep);
    answer_balance(sweep);
}

void api_admin_rebalance_show(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    api_sweep_look(api_sweep_new(exchange), on_weighed);
}

static void on_moved(struct api_sweep *sweep)
{
    struct api_exchange *exchange = sweep->exchange;
    for (size_t i = 0; i < sweep->count; i++) {
        const struct api_sweep_node *node = &sweep->nodes[i];
        if (node->surplus > 0 && !api_sweep_counted(node)) {
            struct api_error error;
            api_admin_nodes_explain(node, &error);
            api_exchange_fail(exchange, &error);
            return;
        }
    }
    answer_balance(sweep);
}

/* The surplus over the node's loops, each as much of it as of the node's sessions; those that were told already are on their way. */
static void plan_moves(struct api_sweep_node *node, uint32_t rate)
{
    uint64_t sessions = node->sum.sessions;
    uint64_t surplus = node->surplus;
    for (uint16_t i = 0; i < node->loops_count; i++) {
        struct api_sweep_loop *loop = &node->loops[i];
        const uint64_t part = sessions > 0 ? surplus * loop->drained.sessions / sessions : 0;
        const uint64_t count = part > loop->drained.told ? part - loop->drained.told : 0;
        sessions -= loop->drained.sessions;
        surplus -= part;
        loop->skip = count == 0;
        loop->call.in.drain = (struct peer_drain){
            .verb = PEER_DRAIN_MOVE, .per_second = api_sweep_part(node, rate, i), .count = (uint32_t)count};
    }
    log_at(LOG_INFO, "api", "move asked", LOG_STR("node", node->node.name), LOG_NUM("sessions", node->surplus),
           LOG_NUM("rate", rate));
}

static void on_looked(struct api_sweep *sweep)
{
    weigh(sweep);
    for (size_t i = 0; i < sweep->count; i++) {
        struct api_sweep_node *node = &sweep->nodes[i];
        if (node->surplus > 0) {
            plan_moves(node, sweep->rate);
            continue;
        }
        /* Nothing to ask, and a node that did not answer before is no news now. */
        for (uint16_t l = 0; l < node->loops_count; l++)
            node->loops[l].skip = true;
    }
    api_sweep_ask(sweep, on_moved);
}

void api_admin_rebalance_begin(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct api_sweep *sweep = api_sweep_new(exchange);
    if (api_admin_nodes_read_rate(exchange, request->http->body, &sweep->rate, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    api_sweep_look(sweep, on_looked);
}
