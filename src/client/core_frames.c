#include "base/err.h"
#include "base/object.h"
#include "client/core.h"
#include "client/core_topics.h"
#include "client/state_recent.h"

#include <stdio.h>

#define CORE_STOP 1 /* stop reading: goodbye is to be said */

static int broken(struct petrel_core *core, const char *text)
{
    return core_end(core, 0, text);
}

static int after_callback(const struct petrel_core *core)
{
    return core->leave_asked ? CORE_STOP : 0;
}

/* A position that the server set, not one that a message brought. */
static void set_position(struct petrel_core *core, struct position at)
{
    core->state.epoch = at.epoch;
    core->state.seq = at.seq;
    core->unsaved = true;
}

static void tell_gap(struct petrel_core *core, uint64_t lost_at_most, enum session_gap_reason reason, const char *topic)
{
    const struct petrel_gap gap = {
        .lost_at_most = lost_at_most, .reason = (enum petrel_gap_reason)reason, .topic = topic};
    if (core->callbacks.on_gap != NULL)
        core->callbacks.on_gap(core->ctx, &gap);
}

static int on_connected(struct petrel_core *core, const struct session_connected *connected)
{
    bool gap = connected->verdict == SESSION_GAPPED;
    if (core->phase != CORE_CONNECTING)
        return broken(core, "the server sent CONNECTED twice");
    if (position_is_none(connected->position) || (gap && connected->reason == SESSION_GAP_NONE))
        return broken(core, "the server's CONNECTED lacks a position or a reason");
    core_move(core, CORE_LIVE);
    core->began_ms = core->now_ms;
    uint64_t heartbeat_s = connected->heartbeat_s != 0 ? connected->heartbeat_s : CORE_HEARTBEAT_DEFAULT_S;
    core->heartbeat_ms = 1000 * (heartbeat_s < CORE_HEARTBEAT_MAX_S ? heartbeat_s : CORE_HEARTBEAT_MAX_S);
    core->server_backoff_ms = 0;
    core->attempt_jump = CORE_ATTEMPT_JUMP;
    core->backoff_told = false;
    servers_live(&core->servers);
    set_position(core, connected->position);
    if (core->callbacks.on_connected != NULL)
        core->callbacks.on_connected(core->ctx, (enum petrel_verdict)connected->verdict);
    if (gap)
        tell_gap(core, connected->lost_at_most, connected->reason, "");
    return after_callback(core);
}

static void deliver(struct petrel_core *core, const struct session_push *push)
{
    const struct session_message *in = &push->message;
    char collapse_key[ROUTE_COLLAPSE_MAX + 1];
    snprintf(collapse_key, sizeof collapse_key, "%.*s", (int)in->collapse_key.len,
             in->collapse_key.len > 0 ? (const char *)in->collapse_key.ptr : "");
    char topic[PETREL_TOPIC_NAME + 1];
    snprintf(topic, sizeof topic, "%.*s", (int)push->topic.len,
             push->topic.len > 0 ? (const char *)push->topic.ptr : "");
    struct petrel_message message = {
        .is_json = in->is_json,
        .body = in->body.ptr,
        .body_len = in->body.len,
        .epoch = push->position.epoch,
        .seq = push->position.seq,
        .sent_ms = in->sent_ms,
        .expires_ms = in->expires_ms,
        .collapse_key = collapse_key,
        .topic = topic,
        .high = in->high,
        .late = in->late,
    };
    memcpy(message.id, in->id.bytes, sizeof message.id);
    core->callbacks.on_message(core->ctx, &message);
}

/* The state has moved to the message: hand it on, unless it came before under another position. */
static int hand_on(struct petrel_core *core, const struct session_push *push)
{
    if (state_recent_has(&core->state, push->message.id.bytes))
        return 0;
    state_recent_add(&core->state, push->message.id.bytes);
    deliver(core, push);
    return after_callback(core);
}

static int on_topic_push(struct petrel_core *core, const struct session_push *push)
{
    const char *why = NULL;
    if (core->phase != CORE_LIVE)
        return broken(core, "the server sent PUSH before CONNECTED");
    const int accepted = core->topics ? core_topics_accept(core, push, &why) : 0;
    if (accepted < 0)
        return broken(core, why);
    return accepted > 0 ? hand_on(core, push) : 0;
}

static int on_subscribed(struct petrel_core *core, const struct session_subscribed *subscribed)
{
    if (core->phase != CORE_LIVE)
        return broken(core, "the server sent SUBSCRIBED before CONNECTED");
    if (core->topics)
        core_topics_subscribed(core, subscribed);
    return after_callback(core);
}

static int on_push(struct petrel_core *core, const struct session_push *push)
{
    if (push->log == SESSION_LOG_TOPIC)
        return on_topic_push(core, push);
    if (push->log != 0)
        return 0; /* of a kind that this version does not know */
    if (core->phase != CORE_LIVE)
        return broken(core, "the server sent PUSH before CONNECTED");
    /* Epochs change by CONNECTED and GAP alone: only those say from where on the new one counts. */
    if (push->position.epoch != core->state.epoch)
        return broken(core, "a message of another epoch came without a GAP");
    if (push->position.seq <= core->state.seq)
        return 0;
    if (push->prev > core->state.seq)
        return broken(core, "messages are missing before one that came");
    /* The state moves first, so that the application finds in it, inside on_message, what having the message means. */
    set_position(core, push->position);
    if (core->unacked++ == 0)
        core->ack_due_ms = core->now_ms + core->ack_delay_ms;
    return hand_on(core, push);
}

static int on_topic_gap(struct petrel_core *core, const struct session_gap *gap)
{
    char topic[PETREL_TOPIC_NAME + 1] = {0};
    memcpy(topic, gap->topic.ptr, gap->topic.len);
    core_topics_gap(core, gap);
    tell_gap(core, gap->lost_at_most, gap->reason, topic);
    return after_callback(core);
}

static int on_gap(struct petrel_core *core, const struct session_gap *gap)
{
    if (gap->log == SESSION_LOG_TOPIC && core->topics && core->phase == CORE_LIVE)
        return on_topic_gap(core, gap);
    if (gap->log != 0)
        return 0;
    if (core->phase != CORE_LIVE)
        return broken(core, "the server sent GAP before CONNECTED");
    set_position(core, gap->to);
    tell_gap(core, gap->lost_at_most, gap->reason, "");
    return after_callback(core);
}

static int on_error(struct petrel_core *core, const struct session_error *error)
{
    char text[SESSION_ERROR_TEXT_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)error->message.len,
             error->message.len > 0 ? (const char *)error->message.ptr : "");
    core_backoff(core, error->backoff_ms);
    return core_end(core, error->code, text[0] != '\0' ? text : session_code_text(error->code));
}

static int handle(struct petrel_core *core, const struct session_frame *frame)
{
    switch (frame->type) {
    case SESSION_CONNECTED:
        return on_connected(core, &frame->connected);
    case SESSION_PUSH:
        return on_push(core, &frame->push);
    case SESSION_SUBSCRIBED:
        return on_subscribed(core, &frame->subscribed);
    case SESSION_GAP:
        return on_gap(core, &frame->gap);
    case SESSION_GOAWAY:
        core_goaway(core, &frame->goaway);
        return 0;
    case SESSION_ERROR:
        return on_error(core, &frame->error);
    case SESSION_PONG:
        return 0; /* that it came is what it says */
    default:
        return broken(core, "the server sent a client's frame");
    }
}

int core_frame(void *ctx, const struct frame *frame)
{
    struct petrel_core *core = ctx;
    object_check(core, CORE_MAGIC);
    struct session_frame decoded;
    int rc = session_decode(core->codec, frame, &decoded);
    if (rc == 0)
        return handle(core, &decoded);
    /* A later server may say more than this version knows; but first it has to speak this protocol at all. */
    if (rc != PETREL_E_PROTOCOL && core->phase == CORE_LIVE)
        return 0;
    return broken(core, "the server sent what is no frame of the session protocol");
}
