#include "api/api_send.h"

#include "base/err.h"

#define ASK_AGAIN_MS 8000 /* links find out within less that a peer is gone */
#define ANSWER_BYTES 192  /* more than nearly all answers have */

static const char *field_of(const struct api_send *send, int status)
{
    if (send->topic.is)
        return status == PETREL_E_CONFLICT ? send->key_field : NULL;
    if (status == PETREL_E_UNREGISTERED)
        return send->target.device[0] != '\0' ? "to.device" : "to.user";
    return status == PETREL_E_CONFLICT ? send->key_field : NULL;
}

static void on_sent(struct link_call *call);

/* The message node that was asked died, hangs or is ending: another may know better, asked under the same id. What took longer is a store
 * that has been asked again and again. Whether it is under way again. */
static bool ask_again(struct api_send *send)
{
    const int status = send->call.reply.status;
    const uint64_t took_ms = clock_mono_ms(loop_clock(send->role->loop)) - send->began_ms;
    if (send->asked_again || took_ms > ASK_AGAIN_MS || (status != PETREL_E_UNAVAILABLE && status != PETREL_E_CLOSING))
        return false;
    send->asked_again = true;
    return link_ask(send->role->link, &send->call, on_sent) == 0;
}

static void fail(struct api_send *send, int status)
{
    api_error_from(&send->error, status, true, field_of(send, status));
    api_role_refine(send->role, &send->error);
}

/* A condition is accepted when its last part is; one that fails leaves those before it, which a retry finds. */
static void on_part_sent(struct api_send *send)
{
    const int status = send->call.reply.status;
    if (status == 0 && send->asked_again && !send->call.in.topic_send.has_key)
        send->call.reply.sent.duplicate = false;
    if (status != 0) {
        fail(send, status);
    } else if (api_topic_send_next(send)) {
        send->asked_again = false;
        const int rc = link_ask(send->role->link, &send->call, on_sent);
        if (rc == 0)
            return;
        fail(send, rc);
    }
    send->done(send);
}

static void on_sent(struct link_call *call)
{
    struct api_send *send = container_of(call, struct api_send, call);
    if (ask_again(send))
        return;
    if (send->topic.is) {
        on_part_sent(send);
        return;
    }
    /* Without a key the first answer that was lost is the only thing that it can be a duplicate of. */
    if (call->reply.status == 0 && send->asked_again && !call->in.send.has_key)
        call->reply.sent.duplicate = false;
    if (call->reply.status != 0) {
        fail(send, call->reply.status);
    } else if (call->reply.sent.duplicate) {
        call->in.send.id = call->reply.sent.id;
    }
    send->done(send);
}

int api_send_submit(struct api_send *send, api_send_done_fn *done, void *owner)
{
    send->done = done;
    send->owner = owner;
    int rc = link_ask(send->role->link, &send->call, on_sent);
    if (rc != 0)
        api_error_from(&send->error, rc, false, NULL);
    return rc;
}

void api_send_render(const struct api_send *send, struct bytebuf *out)
{
    if (send->validate_only) {
        bytes_append_str(out, "{\"validate_only\":true}");
        return;
    }
    const bool duplicate = send->topic.is ? send->topic.duplicate : send->call.reply.sent.duplicate;
    (void)bytes_reserve(out, ANSWER_BYTES);
    bytes_append_str(out, "{\"id\":\"");
    api_address_put_message(out, send->topic.is ? &send->topic.id : &send->call.in.send.id, &send->target);
    bytes_append_str(out, duplicate ? "\",\"duplicate\":true}" : "\"}");
}

void api_send_count(const struct api_send *send)
{
    struct metrics_shard *shard = send->role->shard;
    if (send->error.kind != API_ERROR_NONE)
        metrics_add(shard, METRIC_SENDS_REFUSED, 1);
    else if (!send->validate_only)
        metrics_add(shard,
                    (send->topic.is ? send->topic.duplicate : send->call.reply.sent.duplicate) ? METRIC_SENDS_DUPLICATE
                                                                                               : METRIC_SENDS,
                    1);
    const uint64_t took_ms = clock_mono_ms(loop_clock(send->role->loop)) - send->began_ms;
    metrics_observe_us(shard, METRIC_SEND_SECONDS, took_ms * 1000);
}

void api_send_reset(struct api_send *send)
{
    buf_unref(send->message);
    send->message = NULL;
    api_topic_send_reset(&send->topic);
}
