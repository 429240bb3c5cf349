/* api_routes.h: the table of routes. Private to this room.
 *
 * To add one: a line in API_ROUTES_TABLE, its handler in the file of its theme, its rows in README.md and openapi.json (a test
 * compares the three). */
#ifndef PETREL_API_API_ROUTES_H
#define PETREL_API_API_ROUTES_H

#include "api/api_auth.h"
#include "api/api_exchange.h"

#define API_ROUTES_APP "/v1/apps/{app}"
#define API_ROUTES_MESSAGES API_ROUTES_APP "/messages"
#define API_ROUTES_APPS "/admin/v1/apps"
#define API_ROUTES_AUDIT "/admin/v1/audit"
#define API_ROUTES_MANAGED API_ROUTES_APPS "/{app}"

/* method, path, who may, handler. A segment in braces is a parameter: {app}, {user}, {device}, or whatever else, which handlers see
 * as the id. HEAD is served as GET. */
#define API_ROUTES_TABLE(X)                                                                                            \
    X(POST, API_ROUTES_APP "/messages", APP, api_messages_send)                                                        \
    X(POST, API_ROUTES_APP "/messages:batch", APP, api_batch_send)                                                     \
    X(GET, API_ROUTES_APP "/messages/{id}", APP, api_messages_state)                                                   \
    X(DELETE, API_ROUTES_APP "/messages/{id}", APP, api_messages_recall)                                               \
    X(POST, API_ROUTES_APP "/users/{user}/devices", APP, api_devices_register)                                         \
    X(GET, API_ROUTES_APP "/users/{user}/devices", APP, api_devices_list)                                              \
    X(DELETE, API_ROUTES_APP "/users/{user}/devices/{device}", APP, api_devices_revoke)                                \
    X(GET, API_ROUTES_APP "/users/{user}/devices/{device}/topics", APP, api_topics_list)                               \
    X(PUT, API_ROUTES_APP "/users/{user}/devices/{device}/topics/{topic}", APP, api_topics_subscribe)                  \
    X(DELETE, API_ROUTES_APP "/users/{user}/devices/{device}/topics/{topic}", APP, api_topics_unsubscribe)             \
    X(GET, API_ROUTES_APP "/topics/{topic}", APP, api_topics_show)                                                     \
    X(GET, API_ROUTES_APP "/users/{user}/presence", APP, api_users_presence)                                           \
    X(DELETE, API_ROUTES_APP "/users/{user}", APP, api_user_revoke)                                                    \
    X(GET, "/v1/lookup", OPEN, api_lookup_get)                                                                         \
    X(GET, "/healthz", OPEN, api_health_alive)                                                                         \
    X(GET, "/readyz", OPEN, api_health_ready)                                                                          \
    X(GET, "/metrics", OPEN, api_health_metrics)                                                                       \
    X(GET, "/admin/v1/status", ADMIN, api_admin_node_status)                                                           \
    X(GET, "/admin/v1/config", ADMIN, api_admin_node_config)                                                           \
    X(GET, "/admin/v1/certificates", ADMIN, api_admin_tls_certificates)                                                \
    X(POST, "/admin/v1/reload", ADMIN, api_admin_tls_reload)                                                           \
    X(POST, "/admin/v1/backup", ADMIN, api_admin_node_backup)                                                          \
    X(GET, "/admin/v1/nodes", ADMIN, api_admin_nodes_list)                                                             \
    X(GET, "/admin/v1/nodes/{node}", ADMIN, api_admin_nodes_show)                                                      \
    X(POST, "/admin/v1/nodes/{node}/drain", ADMIN, api_admin_drain_begin)                                              \
    X(POST, "/admin/v1/nodes/{node}/undrain", ADMIN, api_admin_drain_end)                                              \
    X(GET, "/admin/v1/rebalance", ADMIN, api_admin_rebalance_show)                                                     \
    X(POST, "/admin/v1/rebalance", ADMIN, api_admin_rebalance_begin)                                                   \
    X(GET, API_ROUTES_APPS, ADMIN, api_admin_apps_list)                                                                \
    X(POST, API_ROUTES_APPS, ADMIN, api_admin_apps_create)                                                             \
    X(GET, API_ROUTES_MANAGED, ADMIN, api_admin_apps_show)                                                             \
    X(DELETE, API_ROUTES_MANAGED, ADMIN, api_admin_apps_delete)                                                        \
    X(PUT, API_ROUTES_MANAGED "/limits", ADMIN, api_admin_apps_limit)                                                  \
    X(PUT, API_ROUTES_MANAGED "/edge", ADMIN, api_admin_apps_edge)                                                     \
    X(GET, API_ROUTES_MANAGED "/secrets", ADMIN, api_admin_apps_secrets)                                               \
    X(GET, API_ROUTES_MANAGED "/token-keys", ADMIN, api_admin_token_keys_list)                                         \
    X(POST, API_ROUTES_MANAGED "/token-keys", ADMIN, api_admin_token_keys_add)                                         \
    X(DELETE, API_ROUTES_MANAGED "/token-keys/{id}", ADMIN, api_admin_token_keys_retire)                               \
    X(GET, API_ROUTES_MANAGED "/keys", ADMIN, api_admin_keys_list)                                                     \
    X(POST, API_ROUTES_MANAGED "/keys", ADMIN, api_admin_keys_create)                                                  \
    X(DELETE, API_ROUTES_MANAGED "/keys/{id}", ADMIN, api_admin_keys_revoke)                                           \
    X(GET, API_ROUTES_AUDIT, ADMIN, api_admin_audit_list)                                                              \
    X(GET, "/admin/v1/sessions", ADMIN, api_admin_sessions_list)                                                       \
    X(GET, "/admin/v1/sessions/{id}", ADMIN, api_admin_sessions_show)                                                  \
    X(DELETE, "/admin/v1/sessions/{id}", ADMIN, api_admin_sessions_kick)

#define API_ROUTES_DECLARE(method, pattern, access, handler) api_handler_fn handler;
API_ROUTES_TABLE(API_ROUTES_DECLARE)
#undef API_ROUTES_DECLARE

struct api_route {
    enum http_request_method method;
    const char *method_text;
    const char *pattern;
    enum api_access access;
    api_handler_fn *handler;
    const char *handler_text; /* its name, which audited actions are called by */
};

/* Find the route, judge the caller, check the path's parameters, run the handler; or answer with what is wrong; or have the
 * request wait (conn->waiting), to be dispatched again. */
void api_routes_dispatch(struct api_exchange *exchange, const struct http_request *request);

/* What a key must be given for the route, of enum snapshot_scope: one of these. */
uint32_t api_routes_scopes(const struct api_route *route);

/* The table, for the tests that hold the documents against it; NULL behind the last. */
const struct api_route *api_routes_at(size_t index);

#endif
