#include "api/api_routes.h"

#include "api/api_audit.h"
#include "api/api_limits.h"
#include "api/api_refresh.h"
#include "base/err.h"

#include <stdio.h>

#define SEGMENTS_MAX 10

static const struct api_route routes[] = {
#define ROUTE_ROW(method, pattern, access, handler)                                                                    \
    {HTTP_METHOD_##method, #method, pattern, API_ACCESS_##access, handler, #handler},
    API_ROUTES_TABLE(ROUTE_ROW)
#undef ROUTE_ROW
};

#define ROUTES_COUNT (sizeof routes / sizeof routes[0])

const struct api_route *api_routes_at(size_t index)
{
    return index < ROUTES_COUNT ? &routes[index] : NULL;
}

/* Where a message is, a sender may ask as well as a reader. What is not thought of here takes the most. */
uint32_t api_routes_scopes(const struct api_route *route)
{
    const bool reads = route->method == HTTP_METHOD_GET;
    if (strncmp(route->pattern, API_ROUTES_MESSAGES, strlen(API_ROUTES_MESSAGES)) == 0)
        return reads ? SNAPSHOT_SCOPE_SEND | SNAPSHOT_SCOPE_READ : SNAPSHOT_SCOPE_SEND;
    return reads ? SNAPSHOT_SCOPE_READ : SNAPSHOT_SCOPE_ADMIN;
}

/* A path taken apart, percent-escapes decoded. */
struct segments {
    size_t count;
    struct bytes at[SEGMENTS_MAX];
};

/* 0; or negative: no path of ours is so long, or an escape is malformed. */
static int split(struct api_role *role, struct bytes path, struct segments *out)
{
    struct bytebuf *memory = &role->segments;
    memory->len = 0;
    (void)bytes_reserve(memory, path.len); /* decoding never grows, so nothing moves below */
    out->count = 0;
    size_t at = 0;
    while (at < path.len && path.ptr[at] == '/') {
        const uint8_t *begin = path.ptr + at + 1;
        const uint8_t *slash = memchr(begin, '/', path.len - at - 1);
        const size_t len = slash != NULL ? (size_t)(slash - begin) : path.len - at - 1;
        const size_t before = memory->len;
        if (out->count == SEGMENTS_MAX || http_unescape(bytes_of(begin, len), memory) != 0)
            return PETREL_E_INVALID;
        out->at[out->count++] = bytes_of(memory->ptr + before, memory->len - before);
        at += len + 1;
    }
    return at == path.len ? 0 : PETREL_E_INVALID;
}

/* The path's parameters by their names. */
struct params {
    struct bytes app;
    struct bytes user;
    struct bytes device;
    struct bytes id;
};

static void set_param(struct params *params, struct bytes name, struct bytes value)
{
    if (bytes_equal_str(name, "{app}"))
        params->app = value;
    else if (bytes_equal_str(name, "{user}"))
        params->user = value;
    else if (bytes_equal_str(name, "{device}"))
        params->device = value;
    else
        params->id = value;
}

static bool match(const char *pattern, const struct segments *path, struct params *params)
{
    memset(params, 0, sizeof *params);
    size_t count = 0;
    while (*pattern == '/') {
        const size_t len = strcspn(++pattern, "/");
        const struct bytes part = bytes_of(pattern, len);
        if (count == path->count)
            return false;
        if (*pattern == '{') {
            if (path->at[count].len == 0)
                return false;
            set_param(params, part, path->at[count]);
        } else if (!bytes_equal(part, path->at[count])) {
            return false;
        }
        count++;
        pattern += len;
    }
    return count == path->count;
}

static void add_allowed(struct api_exchange *exchange, const char *method)
{
    const size_t len = strlen(exchange->allow);
    (void)snprintf(exchange->allow + len, sizeof exchange->allow - len, "%s%s%s", len > 0 ? ", " : "", method,
                   strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

static const struct api_route *find_route(struct api_exchange *exchange, const struct http_request *request,
                                          const struct segments *path, struct params *params)
{
    const bool is_admin = exchange->role->config.kind == API_ADMIN;
    const enum http_request_method method = request->method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : request->method;
    for (size_t i = 0; i < ROUTES_COUNT; i++) {
        if ((routes[i].access == API_ACCESS_ADMIN && !is_admin) || !match(routes[i].pattern, path, params))
            continue;
        if (routes[i].method == method) {
            exchange->allow[0] = '\0';
            return &routes[i];
        }
        add_allowed(exchange, routes[i].method_text);
    }
    return NULL;
}

static int check_params(const struct params *params, struct api_error *error)
{
    if (params->user.ptr != NULL && !route_valid_user(params->user))
        return api_error_set(error, API_ERROR_INVALID, "user", "must be 1 to %d bytes of printable UTF-8",
                             ROUTE_USER_MAX);
    if (params->device.ptr != NULL && !route_valid_device(params->device))
        return api_error_set(error, API_ERROR_INVALID, "device", "must be 1 to %d of A-Z a-z 0-9 . _ : -",
                             ROUTE_DEVICE_MAX);
    return 0;
}

/* In a batch each line counts, and the batch does not. */
static int check_rate(const struct api_exchange *exchange, const struct api_caller *caller, struct api_error *error)
{
    if (exchange->route->handler == api_batch_send)
        return 0;
    return api_limits_take(exchange->role, exchange->role->snapshot, caller->app, caller->key, error);
}

/* Whether it is about apps, which only the registry knows. */
static bool needs_registry(const struct api_route *route)
{
    return route->access == API_ACCESS_APP || strcmp(route->pattern, API_ROUTES_AUDIT) == 0 ||
           strncmp(route->pattern, API_ROUTES_APPS, strlen(API_ROUTES_APPS)) == 0;
}

void api_routes_dispatch(struct api_exchange *exchange, const struct http_request *request)
{
    struct segments path;
    struct params params;
    if (split(exchange->role, request->path, &path) != 0) {
        api_exchange_refuse(exchange, API_ERROR_NOT_FOUND, "path");
        return;
    }
    exchange->route = find_route(exchange, request, &path, &params);
    if (exchange->route == NULL) {
        api_exchange_refuse(exchange, exchange->allow[0] != '\0' ? API_ERROR_METHOD_NOT_ALLOWED : API_ERROR_NOT_FOUND,
                            exchange->allow[0] != '\0' ? "method" : "path");
        return;
    }
    struct api_error error;
    struct api_request shown = {.http = request, .id = params.id};
    struct api_caller caller;
    const int judged = api_auth_check(exchange->conn, request, exchange->route->access,
                                      api_routes_scopes(exchange->route), params.app, &caller, &error);
    if (judged == API_AUTH_UNKNOWN && api_refresh_wait(exchange->conn, exchange, &error))
        return;
    shown.app = caller.app;
    shown.key = caller.key;
    if (judged != 0 || check_params(&params, &error) != 0 || check_rate(exchange, &caller, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    if (exchange->role->registry == NULL && needs_registry(exchange->route)) {
        api_exchange_refuse(exchange, API_ERROR_NO_REGISTRY, NULL);
        return;
    }
    api_address_set_target(&exchange->target, params.app, params.user, params.device);
    api_audit_begin(exchange, &shown, &caller);
    exchange->route->handler(exchange, &shown);
}
