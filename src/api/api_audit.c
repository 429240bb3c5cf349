#include "api/api_audit.h"

#include "api/api_routes.h"
#include "base/err.h"
#include "registry/registry_audit.h"

#include <stdio.h>
#include <stdlib.h>

#define WHO_TOKEN "admin.token" /* nobody else is known to hold it */
#define HANDLER_PREFIX "api_"
#define ADMIN_PREFIX "admin_"

struct api_audit {
    struct registry_request request;
    struct api_exchange *exchange;
    struct registry_audit_row row;
    bool written;
};

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_of_messages(const struct api_route *route)
{
    return starts_with(route->pattern, API_ROUTES_MESSAGES);
}

static bool is_recorded(const struct api_exchange *exchange)
{
    const struct api_route *route = exchange->route;
    if (exchange->role->config.kind != API_ADMIN || route->access == API_ACCESS_OPEN || is_of_messages(route))
        return false;
    return route->method != HTTP_METHOD_GET || route->handler == api_admin_apps_secrets;
}

/* "api_admin_keys_create" is "keys.create". */
static void name_action(const char *handler, char out[REGISTRY_AUDIT_TEXT_MAX + 1])
{
    if (starts_with(handler, HANDLER_PREFIX))
        handler += strlen(HANDLER_PREFIX);
    if (starts_with(handler, ADMIN_PREFIX))
        handler += strlen(ADMIN_PREFIX);
    (void)snprintf(out, REGISTRY_AUDIT_TEXT_MAX + 1, "%s", handler);
    char *last = strrchr(out, '_');
    if (last != NULL)
        *last = '.';
}

/* By the token, or by what the kernel says: names of users that are not root or our own are not looked up, which may take long. */
static void name_operator(const struct api_exchange *exchange, const struct api_caller *caller, char *out, size_t size)
{
    const struct api_operators *known = &exchange->role->config.operators;
    const uint32_t uid = exchange->conn->operator.uid;
    const char *name = uid == 0 ? "root" : uid == known->uid ? known->name : "";
    if (caller->by_token)
        (void)snprintf(out, size, "%s", WHO_TOKEN);
    else
        (void)snprintf(out, size, name[0] != '\0' ? "%s (uid %u)" : "%suid %u", name, uid);
}

void api_audit_begin(struct api_exchange *exchange, const struct api_request *request, const struct api_caller *caller)
{
    if (!is_recorded(exchange))
        return;
    struct api_audit *audit = object_zalloc(sizeof *audit);
    char origin[STREAM_ADDRESS_SIZE];
    exchange->audit = audit;
    audit->exchange = exchange;
    stream_peer(exchange->conn->stream, origin);
    name_operator(exchange, caller, audit->row.who, sizeof audit->row.who);
    (void)snprintf(audit->row.origin, sizeof audit->row.origin, "%s", origin);
    (void)snprintf(audit->row.node, sizeof audit->row.node, "%.*s", REGISTRY_AUDIT_TEXT_MAX,
                   exchange->role->config.node_name);
    name_action(exchange->route->handler_text, audit->row.action);
    if (request->id.len > 0)
        (void)snprintf(audit->row.target, sizeof audit->row.target, "%.*s",
                       (int)(request->id.len < REGISTRY_AUDIT_TARGET_MAX ? request->id.len : REGISTRY_AUDIT_TARGET_MAX),
                       (const char *)request->id.ptr);
}

void api_audit_target(struct api_exchange *exchange, const char *target)
{
    if (exchange->audit != NULL)
        (void)snprintf(exchange->audit->row.target, sizeof exchange->audit->row.target, "%s", target);
}

/* The path's user and device go before the id, which is then a topic; the handler may have set the app and device. */
static void complete(struct api_audit *audit)
{
    const struct api_target *target = &audit->exchange->target;
    struct registry_audit_row *row = &audit->row;
    char id[sizeof row->target];
    memcpy(id, row->target, sizeof id);
    const bool of_user = target->user[0] != '\0', of_device = target->device[0] != '\0';
    (void)snprintf(row->app, sizeof row->app, "%s", target->app);
    if (of_user) {
        const int len = snprintf(row->target, sizeof row->target, "%s%s%s%s%s", target->user, of_device ? "/" : "",
                                 target->device, id[0] != '\0' ? "/" : "", id);
        petrel_assert(len > 0);
    }
    if (audit->exchange->status < 300)
        (void)snprintf(row->outcome, sizeof row->outcome, "OK");
    else
        (void)snprintf(row->outcome, sizeof row->outcome, "%s", api_error_status(audit->exchange->error));
}

static void say(const struct registry_audit_row *row, enum log_level level, const char *what)
{
    log_at(level, "audit", what, LOG_STR("who", row->who), LOG_STR("origin", row->origin),
           LOG_STR("action", row->action), LOG_STR("app", row->app), LOG_STR("target", row->target),
           LOG_STR("outcome", row->outcome));
}

/* What was done is done: who asked for it is answered all the same, and the log has what the registry lacks. */
static void on_written(struct registry_request *request)
{
    struct api_audit *audit = container_of(request, struct api_audit, request);
    if (request->status != 0)
        say(&audit->row, LOG_ERROR, "an action could not be written to the registry's audit");
    api_exchange_release(audit->exchange);
}

bool api_audit_hold(struct api_exchange *exchange)
{
    struct api_audit *audit = exchange->audit;
    struct api_role *role = exchange->role;
    if (audit == NULL || audit->written)
        return false;
    audit->written = true;
    complete(audit);
    say(&audit->row, LOG_INFO, "an operator's action");
    if (role->registry == NULL)
        return false;
    audit->request.home = role->loop;
    audit->request.done = on_written;
    audit->request.in.audit = &audit->row;
    if (role->registry->audit->add(role->registry, &audit->request) == 0)
        return true;
    say(&audit->row, LOG_ERROR, "an action could not be written to the registry's audit");
    return false;
}

void api_audit_free(struct api_audit *audit)
{
    free(audit);
}
