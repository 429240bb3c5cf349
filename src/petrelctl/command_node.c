/* The cluster's nodes: who there is, and sessions that go from one to others. */
#include "petrelctl/admin.h"
#include "petrelctl/human.h"
#include "petrelctl/progress.h"
#include "petrelctl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct table_column listed[] = {
    {"NODE", "name", TABLE_TEXT},
    {"ROLES", "roles", TABLE_TEXT},
    {"STATE", "state", TABLE_TEXT},
    {"SESSIONS", "sessions", TABLE_NUMBER},
    {"OF", "max_sessions", TABLE_NUMBER},
    {"COUNTED", "counted", TABLE_TEXT},
    {"DEVICES AT", "session_address", TABLE_TEXT},
    {"NODES AT", "peer_address", TABLE_TEXT},
    {"BY TLS", "peer_tls", TABLE_TEXT},
    {"STARTED", "started_at", TABLE_TIME},
};

static const struct table_column shown[] = {
    {"NODE", "name", TABLE_TEXT},
    {"NUMBER", "number", TABLE_TEXT},
    {"ROLES", "roles", TABLE_TEXT},
    {"STATE", "state", TABLE_TEXT},
    {"SESSIONS", "sessions", TABLE_TEXT},
    {"MAX SESSIONS", "max_sessions", TABLE_TEXT},
    {"COUNTED JUST NOW", "counted", TABLE_TEXT},
    {"TO BE TOLD TO GO", "to_tell", TABLE_TEXT},
    {"TOLD, STILL HERE", "told", TABLE_TEXT},
    {"TOLD AND GONE", "left", TABLE_TEXT},
    {"DEVICES CONNECT TO", "session_address", TABLE_TEXT},
    {"NODES CONNECT TO", "peer_address", TABLE_TEXT},
    {"LINKS BY TLS", "peer_tls", TABLE_TEXT},
    {"STARTED", "started_at", TABLE_TIME},
    {"AS OF", "as_of", TABLE_TIME},
};

static const struct table_column balanced[] = {
    {"NODE", "name", TABLE_TEXT},       {"STATE", "state", TABLE_TEXT},       {"SESSIONS", "sessions", TABLE_NUMBER},
    {"SHARE", "share", TABLE_NUMBER},   {"SURPLUS", "surplus", TABLE_NUMBER}, {"GONE", "left", TABLE_NUMBER},
    {"COUNTED", "counted", TABLE_TEXT},
};

#define COUNT(columns) (sizeof(columns) / sizeof(columns)[0])

static void print_node(const struct invocation *call, const json_t *node)
{
    if (invocation_json(call))
        table_print_json(node);
    else
        table_print_pairs(shown, COUNT(shown), node);
}

static void print_names(const json_t *nodes)
{
    size_t i;
    json_t *node;
    json_array_foreach((json_t *)nodes, i, node)
    {
        const char *name = json_string_value(json_object_get(node, "name"));
        char *safe = human_safe(bytes_str(name != NULL ? name : ""));
        puts(safe);
        free(safe);
    }
}

enum command_exit command_node_list(const struct invocation *call)
{
    struct admin *admin;
    json_t *nodes = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_list(admin, "nodes", 0, &nodes, "/admin/v1/nodes");
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_flag(call, "names"))
        print_names(nodes);
    else if (code == COMMAND_OK && invocation_json(call))
        table_print_json(nodes);
    else if (code == COMMAND_OK)
        table_print(listed, COUNT(listed), nodes, "no nodes");
    json_decref(nodes);
    return code;
}

enum command_exit command_node_show(const struct invocation *call)
{
    struct admin *admin;
    json_t *node = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "GET", NULL, &node, "/admin/v1/nodes/%s", invocation_argument(call, 0));
    admin_close(&admin);
    if (code == COMMAND_OK)
        print_node(call, node);
    json_decref(node);
    return code;
}

/* {} or {"rate": N} */
static json_t *rate_body(const struct invocation *call)
{
    const uint64_t rate = invocation_number(call, "rate", 0);
    json_t *body = json_object();
    if (rate > 0)
        json_object_set_new(body, "rate", json_integer((json_int_t)rate));
    return body;
}

static uint64_t number_at(const json_t *object, const char *key)
{
    const json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

/* Looks again and again until the node is empty. *node is replaced by the newest answer. */
static enum command_exit await_empty(struct admin *admin, const char *name, json_t **node)
{
    struct progress progress;
    enum command_exit code = COMMAND_OK;
    progress_begin(&progress, name);
    for (;;) {
        /* A node that could not be counted has the number of some seconds ago: it proves nothing. */
        const bool counted = json_is_true(json_object_get(*node, "counted"));
        const uint64_t sessions = number_at(*node, "sessions");
        if (counted && sessions == 0)
            break;
        const char *state = json_string_value(json_object_get(*node, "state"));
        if (counted && state != NULL && strcmp(state, "draining") != 0) {
            code = command_fail(COMMAND_FAILED, "%s is not draining any more: it was undrained, or started anew", name);
            break;
        }
        progress_show(&progress, sessions);
        progress_pause();
        json_decref(*node);
        code = admin_request(admin, "GET", NULL, node, "/admin/v1/nodes/%s", name);
        if (code != COMMAND_OK)
            break;
    }
    progress_end(&progress, code == COMMAND_OK);
    return code;
}

enum command_exit command_node_drain(const struct invocation *call)
{
    struct admin *admin;
    json_t *node = NULL;
    const char *name = invocation_argument(call, 0);
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "POST", rate_body(call), &node, "/admin/v1/nodes/%s/drain", name);
    if (code == COMMAND_OK && !invocation_flag(call, "no-wait"))
        code = await_empty(admin, name, &node);
    admin_close(&admin);
    if (code == COMMAND_OK)
        print_node(call, node);
    json_decref(node);
    return code;
}

enum command_exit command_node_undrain(const struct invocation *call)
{
    struct admin *admin;
    json_t *node = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "POST", NULL, &node, "/admin/v1/nodes/%s/undrain", invocation_argument(call, 0));
    admin_close(&admin);
    if (code == COMMAND_OK)
        print_node(call, node);
    json_decref(node);
    return code;
}

/* Looks again and again until nobody is on the way any more. */
static enum command_exit await_balance(struct admin *admin, json_t **balance)
{
    struct progress progress;
    enum command_exit code = COMMAND_OK;
    progress_begin(&progress, "rebalance");
    for (;;) {
        const uint64_t moving = number_at(*balance, "to_tell") + number_at(*balance, "told");
        if (moving == 0)
            break;
        progress_show(&progress, moving);
        progress_pause();
        json_decref(*balance);
        code = admin_request(admin, "GET", NULL, balance, "/admin/v1/rebalance");
        if (code != COMMAND_OK)
            break;
    }
    progress_end(&progress, code == COMMAND_OK);
    return code;
}

enum command_exit command_rebalance(const struct invocation *call)
{
    struct admin *admin;
    json_t *balance = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "POST", rate_body(call), &balance, "/admin/v1/rebalance");
    if (code == COMMAND_OK && !invocation_flag(call, "no-wait"))
        code = await_balance(admin, &balance);
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(balance);
    else if (code == COMMAND_OK)
        table_print(balanced, COUNT(balanced), json_object_get(balance, "nodes"), "no session nodes");
    json_decref(balance);
    return code;
}
