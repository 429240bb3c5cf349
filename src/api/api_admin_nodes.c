/* The cluster's nodes, for operators: who there is, what each holds, counted where it is. */
#include "api/api_admin_nodes.h"

#include "api/api_json.h"
#include "api/api_routes.h"
#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>

#define RATE_DEFAULT 100U
#define RATE_MAX 1000000U

static const char *const tls_names[] = {
    [DISCOVERY_TLS_OFF] = "off",
    [DISCOVERY_TLS_OPTIONAL] = "optional",
    [DISCOVERY_TLS_REQUIRED] = "required",
};

void api_admin_nodes_put_roles(struct bytebuf *out, uint32_t roles)
{
    static const struct {
        enum discovery_role role;
        const char *name;
    } names[] = {{DISCOVERY_SESSION, "session"},
                 {DISCOVERY_MESSAGE, "message"},
                 {DISCOVERY_API, "api"},
                 {DISCOVERY_MANAGER, "manager"}};
    const char *comma = "";
    bytes_append_str(out, ",\"roles\":[");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((roles & names[i].role) == 0)
            continue;
        bytes_printf(out, "%s\"%s\"", comma, names[i].name);
        comma = ",";
    }
    bytes_append_str(out, "]");
}

void api_admin_nodes_put_progress(struct bytebuf *out, const struct api_sweep_node *node)
{
    const bool counted = api_sweep_counted(node);
    const bool draining = node->node.state == DISCOVERY_DRAINING || (counted && node->sum.draining);
    bytes_printf(out, ",\"state\":\"%s\"", draining ? "draining" : "up");
    if ((node->node.roles & DISCOVERY_SESSION) == 0)
        return;
    bytes_printf(out, ",\"counted\":%s,\"sessions\":%" PRIu64 ",\"max_sessions\":%" PRIu64, counted ? "true" : "false",
                 counted ? node->sum.sessions : node->node.sessions, node->node.max_sessions);
    if (counted)
        bytes_printf(out, ",\"to_tell\":%u,\"told\":%u,\"left\":%" PRIu64, node->sum.to_tell, node->sum.told,
                     node->sum.left);
}

static void put_address(struct bytebuf *out, const char *name, const char *address)
{
    if (address[0] == '\0')
        return;
    bytes_printf(out, ",\"%s\":", name);
    api_json_put_text(out, bytes_str(address));
}

void api_admin_nodes_put(struct bytebuf *out, const struct api_sweep *sweep, const struct api_sweep_node *node)
{
    bytes_append_str(out, "{\"name\":");
    api_json_put_text(out, bytes_str(node->node.name));
    bytes_printf(out, ",\"number\":%u", node->node.number);
    api_admin_nodes_put_roles(out, node->node.roles);
    api_admin_nodes_put_progress(out, node);
    put_address(out, "session_address", node->node.session_address);
    put_address(out, "peer_address", node->node.peer_address);
    bytes_printf(out, ",\"peer_tls\":\"%s\"", tls_names[node->node.peer_tls]);
    api_json_put_time(out, "started_at", node->node.incarnation);
    api_json_put_time(out, "as_of",
                      api_sweep_counted(node) ? loop_wall_ms(sweep->exchange->role->loop) : sweep->as_of_ms);
    bytes_append_str(out, "}");
}

struct api_sweep_node *api_admin_nodes_find(struct api_sweep *sweep, struct bytes name, struct api_error *error)
{
    struct api_sweep_node *node = api_sweep_find(sweep, name);
    if (node != NULL)
        return node;
    struct bytebuf names = {0};
    for (size_t i = 0; i < sweep->count; i++)
        bytes_printf(&names, "%s%s", i > 0 ? ", " : "", sweep->nodes[i].node.name);
    (void)api_error_set(error, API_ERROR_NOT_FOUND, "node", "there is no node of that name; there are: %.*s",
                        (int)names.len, (const char *)names.ptr);
    bytes_reset(&names);
    return NULL;
}

/* ---- what drain and rebalance share ---- */

struct rate_body {
    struct api_json_uint rate;
};

static const struct api_json_field rate_fields[] = {
    {"rate", API_JSON_UINT, offsetof(struct rate_body, rate), 1, RATE_MAX},
};

int api_admin_nodes_read_rate(const struct api_exchange *exchange, struct bytes text, uint32_t *rate,
                              struct api_error *error)
{
    struct rate_body body = {0};
    *rate = RATE_DEFAULT;
    if (text.len == 0)
        return 0;
    if (api_role_check_object(exchange->role, text, error) != 0)
        return PETREL_E_INVALID;
    json_t *object = api_json_parse(text, error);
    if (object == NULL)
        return PETREL_E_INVALID;
    const int rc = api_json_read(object, "", rate_fields, 1, &body, error);
    json_decref(object);
    if (rc == 0 && body.rate.given)
        *rate = (uint32_t)body.rate.value;
    return rc;
}

void api_admin_nodes_explain(const struct api_sweep_node *node, struct api_error *error)
{
    if (node->answered == 0 && (node->status == 0 || node->status == PETREL_E_UNAVAILABLE))
        (void)api_error_set(error, API_ERROR_UNAVAILABLE, "node",
                            "%s is not linked to this node; ask one with the role api or message, if this is none",
                            node->node.name);
    else
        (void)api_error_set(error, API_ERROR_UNKNOWN_OUTCOME, "node",
                            "%u of the %u loops of %s have done it, the others did not answer (%s); try again",
                            node->answered, node->loops_count, node->node.name, err_text(node->status));
}

/* ---- list ---- */

static void on_counted(struct api_sweep *sweep)
{
    struct api_exchange *exchange = sweep->exchange;
    struct bytebuf *out = &exchange->body;
    bytes_append_str(out, "{\"nodes\":[");
    for (size_t i = 0; i < sweep->count; i++) {
        if (i > 0)
            bytes_append_str(out, ",");
        api_admin_nodes_put(out, sweep, &sweep->nodes[i]);
    }
    bytes_append_str(out, "]}");
    api_exchange_answer(exchange, 200);
}

void api_admin_nodes_list(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    api_sweep_look(api_sweep_new(exchange), on_counted);
}

/* ---- one ---- */

static void on_one_counted(struct api_sweep *sweep)
{
    struct api_exchange *exchange = sweep->exchange;
    api_admin_nodes_put(&exchange->body, sweep, &sweep->nodes[0]);
    api_exchange_answer(exchange, 200);
}

void api_admin_nodes_show(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct api_sweep *sweep = api_sweep_new(exchange);
    struct api_sweep_node *node = api_admin_nodes_find(sweep, request->id, &error);
    if (node == NULL) {
        api_exchange_fail(exchange, &error);
        return;
    }
    (void)api_sweep_only(sweep, node);
    api_sweep_look(sweep, on_one_counted);
}
