/* A user: who of their devices is online. */
#include "api/api_json.h"
#include "api/api_routes.h"
#include "base/err.h"

#include <inttypes.h>

/* Whether a route is of a process that is there: what a node that died had bound stays in the store until it is met. */
static bool is_alive(struct api_role *role, const struct discovery_view *view, const struct route *route)
{
    if (route->generation == 0)
        return false;
    for (size_t i = 0; i < view->count; i++) {
        if (view->nodes[i].number == route->node && view->nodes[i].incarnation == route->incarnation)
            return true;
    }
    return link_knows(role->link, route);
}

static void put_device(struct bytebuf *out, const struct peer_device *device, bool online)
{
    bytes_append_str(out, "{\"device\":");
    api_json_put_text(out, bytes_str(device->device));
    bytes_printf(out, ",\"online\":%s,\"acked\":%" PRIu64, online ? "true" : "false", device->acked);
    if (device->bound_ms != 0)
        api_json_put_time(out, "last_seen_at", device->bound_ms);
    bytes_append_str(out, "}");
}

static void put_user(struct api_exchange *exchange, const struct peer_user *user)
{
    struct api_role *role = exchange->role;
    struct bytebuf *out = &exchange->body;
    struct discovery_view *view = role->discovery->ops->view(role->discovery);
    bool online[ROUTE_DEVICES_MAX], any = false;
    petrel_assert(user->count <= ROUTE_DEVICES_MAX);
    for (uint32_t i = 0; i < user->count; i++) {
        online[i] = is_alive(role, view, &user->devices[i].route);
        any = any || online[i];
    }
    discovery_view_unref(view);
    bytes_append_str(out, "{\"user\":");
    api_json_put_text(out, bytes_str(exchange->target.user));
    bytes_printf(out, ",\"online\":%s,\"pending\":%u,\"pending_bytes\":%u,\"head\":%" PRIu64 ",\"devices\":[",
                 any ? "true" : "false", user->pending, user->pending_bytes, user->head.seq);
    for (uint32_t i = 0; i < user->count; i++) {
        if (i > 0)
            bytes_append_str(out, ",");
        put_device(out, &user->devices[i], online[i]);
    }
    bytes_append_str(out, "]}");
}

static void on_user(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    /* Users are not registered: one without a record is one of whom nothing is known yet. */
    static const struct peer_user nobody;
    const int status = call->reply.status;
    if (status != 0 && status != PETREL_E_NOT_FOUND) {
        api_exchange_fail_err(exchange, status, false, NULL);
        return;
    }
    put_user(exchange, status == 0 ? call->reply.user : &nobody);
    api_exchange_answer(exchange, 200);
}

void api_users_presence(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    exchange->call.in.type = PEER_USER;
    exchange->call.in.user = api_address_peer_target(&exchange->target);
    api_exchange_ask(exchange, on_user);
}
