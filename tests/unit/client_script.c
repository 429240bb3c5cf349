#include "unit/client_script.h"

#include "base/object.h"

#include <inttypes.h>
#include <stdlib.h>

static void on_message(void *ctx, const struct petrel_message *message)
{
    struct script *script = ctx;
    const struct petrel_state *state = petrel_core_state(script->core);
    petrel_assert(state->epoch == message->epoch && state->seq == message->seq);
    bytes_printf(&script->seen, "message %" PRIu64 "/%" PRIu64 "; ", message->epoch, message->seq);
    if (script->leave_in_message)
        petrel_core_disconnect(script->core, true);
}

static void on_save(void *ctx, const struct petrel_state *state)
{
    struct script *script = ctx;
    script->saved = *state;
    bytes_printf(&script->seen, "save %" PRIu64 "/%" PRIu64 "#%" PRIu64 "; ", state->epoch, state->seq, state->attempt);
}

static void on_gap(void *ctx, const struct petrel_gap *gap)
{
    struct script *script = ctx;
    bytes_printf(&script->seen, "gap %" PRIu64 " %d; ", gap->lost_at_most, (int)gap->reason);
}

static void on_connected(void *ctx, enum petrel_verdict verdict)
{
    struct script *script = ctx;
    bytes_printf(&script->seen, "connected %d; ", (int)verdict);
}

static void on_disconnected(void *ctx, uint32_t code, const char *text, int64_t retry_ms)
{
    struct script *script = ctx;
    script->retry_ms = retry_ms;
    bytes_printf(&script->seen, "disconnected %" PRIu32 " %s; ", code, text);
}

static void on_topic(void *ctx, const char *topic, bool follows, uint32_t code)
{
    struct script *script = ctx;
    bytes_printf(&script->seen, "%s %s %" PRIu32 "; ", follows ? "follows" : "leaves", topic, code);
}

static const struct petrel_callbacks CALLBACKS = {on_message, on_save, on_gap, on_connected, on_disconnected, on_topic};

static void begin(struct script *script, const struct petrel_state *state, const struct petrel_core_config *wish)
{
    struct petrel_core_config config = *wish;
    config.callbacks = &CALLBACKS;
    config.ctx = script;
    config.client = "script/1";
    *script = (struct script){.now = 1000, .codec = session_codec_new()};
    script->core = petrel_core_new(&config, state);
}

void script_begin(struct script *script, const struct petrel_state *state, bool fresh_tokens, uint64_t seed)
{
    begin(script, state, &(struct petrel_core_config){.seed = seed, .fresh_tokens = fresh_tokens});
}

void script_begin_lookup(struct script *script, uint64_t seed)
{
    begin(script, NULL, &(struct petrel_core_config){.seed = seed, .lookup = true});
}

void script_end(struct script *script)
{
    petrel_core_free(&script->core);
    session_codec_free(&script->codec);
    bytes_reset(&script->in);
    bytes_reset(&script->seen);
    bytes_reset(&script->sent);
}

void script_connect(struct script *script)
{
    int rc = petrel_core_connected(script->core, script->now, "token");
    petrel_assert(rc == 0);
}

void script_live(struct script *script, uint64_t epoch, uint64_t seq)
{
    script_connect(script);
    script_sent(script);
    script_connected(script, SESSION_RESUMED, epoch, seq);
    int rc = script_feed(script, 0);
    petrel_assert(rc == 0);
    script_seen(script);
}

void script_connected(struct script *script, enum session_verdict verdict, uint64_t epoch, uint64_t seq)
{
    const struct session_connected connected = {
        .verdict = verdict,
        .position = {epoch, seq},
        .lost_at_most = verdict == SESSION_GAPPED ? 3 : 0,
        .reason = verdict == SESSION_GAPPED ? SESSION_GAP_CAP : SESSION_GAP_NONE,
        .heartbeat_s = 100,
        .node = bytes_str("server-1"),
    };
    session_encode_connected(&script->in, &connected);
}

void script_push(struct script *script, uint64_t epoch, uint64_t prev, uint64_t seq, uint8_t id)
{
    struct session_message message = {.body = bytes_str("{}"), .is_json = true, .collapse_key = bytes_str("key")};
    message.id.bytes[15] = id;
    struct buf *stored = session_encode_message(&message);
    session_encode_push(&script->in, 0, (struct position){epoch, seq}, prev, buf_bytes(stored));
    buf_unref(stored);
}

void script_error(struct script *script, uint32_t code, uint32_t backoff_ms)
{
    session_encode_error(&script->in, code, "text", backoff_ms);
}

int script_feed(struct script *script, size_t piece)
{
    struct bytes rest = bytes_view(&script->in);
    int rc = 0;
    while (rest.len > 0 && rc == 0) {
        size_t len = piece == 0 || piece > rest.len ? rest.len : piece;
        /* A copy of its own, so that reading beyond it is seen. */
        uint8_t *copy = object_alloc(len);
        memcpy(copy, rest.ptr, len);
        rc = petrel_core_receive(script->core, script->now, copy, len);
        free(copy);
        rest = bytes_of(rest.ptr + len, rest.len - len);
    }
    bytes_reset(&script->in);
    return rc;
}

int script_pass(struct script *script, uint64_t ms)
{
    script->now += ms;
    return petrel_core_tick(script->core, script->now);
}

static const char *take(struct bytebuf *text, char *out, size_t size)
{
    petrel_assert(text->len < size);
    if (text->len > 0)
        memcpy(out, text->ptr, text->len);
    out[text->len] = '\0';
    bytes_reset(text);
    return out;
}

static void describe(struct script *script, const struct session_frame *frame)
{
    struct bytebuf *out = &script->sent;
    switch (frame->type) {
    case SESSION_CONNECT:
        bytes_printf(out, "CONNECT %" PRIu64 "/%" PRIu64 "#%" PRIu64 " %.*s; ", frame->connect.position.epoch,
                     frame->connect.position.seq, frame->connect.attempt, (int)frame->connect.token.len,
                     (const char *)frame->connect.token.ptr);
        break;
    case SESSION_ACK:
        bytes_printf(out, "ACK %" PRIu64 "/%" PRIu64 "; ", frame->ack.epoch, frame->ack.seq);
        break;
    case SESSION_PING:
        bytes_append_str(out, "PING; ");
        break;
    case SESSION_DISCONNECT:
        bytes_printf(out, "DISCONNECT %" PRIu32 "; ", frame->disconnect_reason);
        break;
    default:
        bytes_printf(out, "type %d; ", (int)frame->type);
    }
}

const char *script_sent(struct script *script)
{
    const uint8_t *bytes;
    size_t len = petrel_core_output(script->core, &bytes);
    struct bytes in = bytes_of(bytes, len);
    struct frame frame;
    struct session_frame decoded;
    while (in.len > 0) {
        int rc = frame_take(&in, FRAME_BODY_DEFAULT, &frame);
        petrel_assert(rc == 0);
        rc = session_decode(script->codec, &frame, &decoded);
        petrel_assert(rc == 0);
        describe(script, &decoded);
    }
    if (len > 0)
        petrel_core_sent(script->core, len);
    return take(&script->sent, script->sent_text, sizeof script->sent_text);
}

const char *script_seen(struct script *script)
{
    return take(&script->seen, script->seen_text, sizeof script->seen_text);
}

int64_t script_lost(struct script *script)
{
    return petrel_core_lost(script->core, script->now);
}

int64_t script_refused(struct script *script, uint32_t code, uint32_t backoff_ms)
{
    script_connect(script);
    script_sent(script);
    script_error(script, code, backoff_ms);
    int rc = script_feed(script, 0);
    petrel_assert(rc == -1);
    return script_lost(script);
}

void script_told_to_go(struct script *script, uint32_t deadline_ms, uint32_t spread_ms)
{
    script_live(script, 7, 40);
    int rc = script_pass(script, 30000);
    petrel_assert(rc == 0);
    const struct session_goaway goaway = {
        .code = SESSION_CODE_DRAIN,
        .deadline_ms = deadline_ms,
        .spread_ms = spread_ms,
        .backoff_ms = 5000,
        .targets_count = 2,
        .targets = {bytes_str("one:1"), bytes_str("two:2")},
    };
    session_encode_goaway(&script->in, &goaway);
    rc = script_feed(script, 0);
    petrel_assert(rc == 0);
    script_seen(script);
}
