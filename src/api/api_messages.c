/* One message: send, where it is, recall. */
#include "api/api_json.h"
#include "api/api_routes.h"
#include "api/api_send.h"
#include "base/err.h"

#include <inttypes.h>

/* ---- send ---- */

_Static_assert(sizeof(struct api_send) <= API_EXCHANGE_STATE_MAX, "a send allocates no state");

static void drop_send(void *state)
{
    api_send_reset(state);
}

static void answer_send(struct api_exchange *exchange, const struct api_send *send)
{
    api_send_count(send);
    if (send->error.kind != API_ERROR_NONE) {
        api_exchange_fail(exchange, &send->error);
        return;
    }
    api_send_render(send, &exchange->body);
    api_exchange_answer(exchange, 200);
}

static void on_sent(struct api_send *send)
{
    answer_send(send->owner, send);
}

void api_messages_send(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_send *send = api_exchange_state(exchange, sizeof *send, drop_send);
    const struct bytes key = http_request_header(request->http, "Idempotency-Key");
    if (api_send_read(send, exchange->role, request->app, request->http->body, API_SEND_KEY_HEADER, key) != 0 ||
        send->validate_only || api_send_submit(send, on_sent, exchange) != 0)
        answer_send(exchange, send);
}

/* ---- where it is ---- */

/* The id and its target from the path; or answers 404, as for an id that is well-formed and forgotten. */
static int read_id(struct api_exchange *exchange, const struct api_request *request, struct peer_message_ref *ref)
{
    const int rc = api_address_get_message(request->id, &ref->id, &exchange->target);
    if (rc != 0) {
        struct api_error error;
        (void)api_error_set(&error, API_ERROR_NOT_FOUND, "id", "%s",
                            rc == PETREL_E_UNSUPPORTED ? "what is sent to topics and conditions has no state of its own"
                                                       : "this is no id of a message");
        api_exchange_fail(exchange, &error);
        return PETREL_E_NOT_FOUND;
    }
    ref->target = api_address_peer_target(&exchange->target);
    return 0;
}

static void put_position(struct bytebuf *out, struct position at)
{
    bytes_printf(out, ",\"position\":{\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 "}", at.epoch, at.seq);
}

static const char *state_name(enum peer_state state)
{
    switch (state) {
#define STATE_CASE(num, name)                                                                                          \
    case PEER_STATE_##name:                                                                                            \
        return #name;
        PEER_STATE_TABLE(STATE_CASE)
#undef STATE_CASE
    }
    return "UNKNOWN";
}

static void put_devices(struct bytebuf *out, const struct peer_stated *stated)
{
    bytes_append_str(out, ",\"devices\":[");
    for (uint32_t i = 0; i < stated->count; i++) {
        const struct peer_device *device = &stated->devices[i];
        bytes_append_str(out, i > 0 ? ",{\"device\":" : "{\"device\":");
        api_json_put_text(out, bytes_str(device->device));
        bytes_printf(out, ",\"acked\":%s}", device->acked >= stated->position.seq ? "true" : "false");
    }
    bytes_append_str(out, "]");
}

static void on_stated(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    struct bytebuf *out = &exchange->body;
    const int status = call->reply.status;
    if (status != 0 && status != PETREL_E_NOT_FOUND) {
        api_exchange_fail_err(exchange, status, false, "id");
        return;
    }
    const struct peer_stated *stated = status == 0 ? call->reply.stated : NULL;
    bytes_append_str(out, "{\"id\":\"");
    api_address_put_message(out, &call->in.state.id, &exchange->target);
    bytes_printf(out, "\",\"state\":\"%s\"", state_name(stated != NULL ? stated->state : PEER_STATE_UNKNOWN));
    if (stated != NULL && stated->state != PEER_STATE_UNKNOWN) {
        if (!position_is_none(stated->position))
            put_position(out, stated->position);
        if (stated->expires_ms > 0)
            api_json_put_time(out, "expires_at", stated->expires_ms);
        put_devices(out, stated);
    }
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

void api_messages_state(struct api_exchange *exchange, const struct api_request *request)
{
    exchange->call.in.type = PEER_STATE;
    if (read_id(exchange, request, &exchange->call.in.state) == 0)
        api_exchange_ask(exchange, on_stated);
}

/* ---- recall ---- */

static void on_recalled(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    if (call->reply.status != 0) {
        api_exchange_fail_err(exchange, call->reply.status, true, "id");
        return;
    }
    bytes_append_str(&exchange->body, "{\"id\":\"");
    api_address_put_message(&exchange->body, &call->in.recall.id, &exchange->target);
    bytes_append_str(&exchange->body, "\",\"state\":\"RECALLED\"}");
    api_exchange_answer(exchange, 200);
}

void api_messages_recall(struct api_exchange *exchange, const struct api_request *request)
{
    exchange->call.in.type = PEER_RECALL;
    if (read_id(exchange, request, &exchange->call.in.recall) == 0)
        api_exchange_ask(exchange, on_recalled);
}
