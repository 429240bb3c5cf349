/* What devices are subscribed to, and where a topic is. */
#include "api/api_json.h"
#include "api/api_routes.h"
#include "base/err.h"

#include <inttypes.h>

struct topic_name {
    char text[PEER_TOPIC_NAME_MAX + 1];
};

/* The topic of the path, kept as long as the exchange; NULL: refused. */
static struct topic_name *keep_topic(struct api_exchange *exchange, struct bytes text)
{
    if (text.len > PEER_TOPIC_NAME_MAX || !route_valid_device(text)) {
        struct api_error error;
        (void)api_error_set(&error, API_ERROR_INVALID, "topic", "must be 1 to %d of A-Z a-z 0-9 . _ : -",
                            PEER_TOPIC_NAME_MAX);
        api_exchange_fail(exchange, &error);
        return NULL;
    }
    struct topic_name *name = api_exchange_state(exchange, sizeof *name, NULL);
    memcpy(name->text, text.ptr, text.len);
    return name;
}

static void put_position(struct bytebuf *out, struct position at)
{
    bytes_printf(out, ",\"position\":{\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 "}", at.epoch, at.seq);
}

/* ---- one subscription ---- */

static void on_changed(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    const struct topic_name *name = exchange->state;
    struct bytebuf *out = &exchange->body;
    const int status = call->reply.status;
    struct api_error error;
    if (status != 0) {
        api_error_from(&error, status, true, status == PETREL_E_NOT_FOUND ? "device" : "topic");
        api_role_refine(exchange->role, &error);
        if (status == PETREL_E_NOT_FOUND)
            (void)api_error_set(&error, API_ERROR_NOT_FOUND, "device",
                                "the user has no such device: register it first");
        if (status == PETREL_E_TOO_LARGE)
            (void)api_error_set(&error, API_ERROR_FAILED_PRECONDITION, "topic",
                                "the device is subscribed to as many topics as topics.per_device allows");
        api_exchange_fail(exchange, &error);
        return;
    }
    bytes_append_str(out, "{\"user\":");
    api_json_put_text(out, bytes_str(exchange->target.user));
    bytes_append_str(out, ",\"device\":");
    api_json_put_text(out, bytes_str(exchange->target.device));
    bytes_append_str(out, ",\"topic\":");
    api_json_put_text(out, bytes_str(name->text));
    bytes_printf(out, ",\"subscribed\":%s}", call->in.type == PEER_SUBSCRIBE ? "true" : "false");
    api_exchange_answer(exchange, 200);
}

static void change(struct api_exchange *exchange, const struct api_request *request, enum peer_type type)
{
    struct api_error error;
    const struct topic_name *name = keep_topic(exchange, request->id);
    if (name == NULL)
        return;
    if (strcmp(name->text, PEER_TOPIC_ALL) == 0) {
        (void)api_error_set(&error, API_ERROR_INVALID, "topic", "is followed by every device, without a subscription");
        api_exchange_fail(exchange, &error);
        return;
    }
    exchange->call.in.type = type;
    exchange->call.in.subscribe =
        (struct peer_subscribe){.target = api_address_peer_target(&exchange->target), .topic = bytes_str(name->text)};
    api_exchange_ask(exchange, on_changed);
}

void api_topics_subscribe(struct api_exchange *exchange, const struct api_request *request)
{
    change(exchange, request, PEER_SUBSCRIBE);
}

void api_topics_unsubscribe(struct api_exchange *exchange, const struct api_request *request)
{
    change(exchange, request, PEER_UNSUBSCRIBE);
}

/* ---- all of a device ---- */

static void on_listed(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    struct bytebuf *out = &exchange->body;
    if (call->reply.status != 0) {
        api_exchange_fail_err(exchange, call->reply.status, false, "device");
        return;
    }
    const struct peer_subscriptions *set = call->reply.subscriptions;
    bytes_append_str(out, "{\"user\":");
    api_json_put_text(out, bytes_str(exchange->target.user));
    bytes_append_str(out, ",\"device\":");
    api_json_put_text(out, bytes_str(exchange->target.device));
    bytes_append_str(out, ",\"topics\":[");
    for (uint32_t i = 0; i < set->count; i++) {
        bytes_append_str(out, i > 0 ? ",{\"topic\":" : "{\"topic\":");
        api_json_put_text(out, set->all[i].topic);
        put_position(out, set->all[i].position);
        bytes_append_str(out, "}");
    }
    bytes_append_str(out, "]}");
    api_exchange_answer(exchange, 200);
}

void api_topics_list(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    exchange->call.in.type = PEER_SUBSCRIPTIONS;
    exchange->call.in.subscriptions = api_address_peer_target(&exchange->target);
    api_exchange_ask(exchange, on_listed);
}

/* ---- a topic ---- */

static void on_head(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    const struct topic_name *name = exchange->state;
    struct bytebuf *out = &exchange->body;
    struct api_error error;
    if (call->reply.status == PETREL_E_NOT_FOUND) {
        (void)api_error_set(&error, API_ERROR_NOT_FOUND, "topic", "nothing was ever sent to it");
        api_exchange_fail(exchange, &error);
        return;
    }
    if (call->reply.status != 0) {
        api_exchange_fail_err(exchange, call->reply.status, false, "topic");
        return;
    }
    const struct peer_topic_page *page = call->reply.topic_page;
    bytes_append_str(out, "{\"topic\":");
    api_json_put_text(out, bytes_str(name->text));
    put_position(out, (struct position){page->position.epoch, page->head});
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

void api_topics_show(struct api_exchange *exchange, const struct api_request *request)
{
    const struct topic_name *name = keep_topic(exchange, request->id);
    if (name == NULL)
        return;
    exchange->call.in.type = PEER_TOPIC_FETCH;
    exchange->call.in.topic_fetch = (struct peer_topic_fetch){
        .app = bytes_str(exchange->target.app), .topic = bytes_str(name->text), .max_entries = 1, .max_bytes = 1};
    api_exchange_ask(exchange, on_head);
}
