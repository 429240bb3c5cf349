/* A user: who of their devices is online. */
#include "api/api_json.h"
#include "api/api_routes.h"
#include "base/err.h"

#include <inttypes.h>

static void put_device(struct bytebuf *out, const struct peer_device *device)
{
    bytes_append_str(out, "{\"device\":");
    api_json_put_text(out, bytes_str(device->device));
    bytes_printf(out, ",\"online\":%s,\"acked\":%" PRIu64, device->route.generation != 0 ? "true" : "false",
                 device->acked);
    if (device->bound_ms != 0)
        api_json_put_time(out, "last_seen_at", device->bound_ms);
    bytes_append_str(out, "}");
}

static bool is_online(const struct peer_user *user)
{
    for (uint32_t i = 0; i < user->count; i++) {
        if (user->devices[i].route.generation != 0)
            return true;
    }
    return false;
}

static void on_user(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    struct bytebuf *out = &exchange->body;
    /* Users are not registered: one without a record is one of whom nothing is known yet. */
    static const struct peer_user nobody;
    if (call->reply.status != 0 && call->reply.status != PETREL_E_NOT_FOUND) {
        api_exchange_fail_err(exchange, call->reply.status, false, NULL);
        return;
    }
    const struct peer_user *user = call->reply.status == 0 ? call->reply.user : &nobody;
    bytes_append_str(out, "{\"user\":");
    api_json_put_text(out, bytes_str(exchange->target.user));
    bytes_printf(out, ",\"online\":%s,\"pending\":%u,\"pending_bytes\":%u,\"head\":%" PRIu64 ",\"devices\":[",
                 is_online(user) ? "true" : "false", user->pending, user->pending_bytes, user->head.seq);
    for (uint32_t i = 0; i < user->count; i++) {
        if (i > 0)
            bytes_append_str(out, ",");
        put_device(out, &user->devices[i]);
    }
    bytes_append_str(out, "]}");
    api_exchange_answer(exchange, 200);
}

void api_users_presence(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    exchange->call.in.type = PEER_USER;
    exchange->call.in.user = api_address_peer_target(&exchange->target);
    api_exchange_ask(exchange, on_user);
}
