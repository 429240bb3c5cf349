#include "base/err.h"
#include "base/object.h"
#include "client/core.h"
#include "client/core_topics.h"

#include <stdlib.h>

static bool is_up(const struct petrel_core *core)
{
    return core->phase == CORE_CONNECTING || core->phase == CORE_LIVE;
}

/* The client's name as CONNECT may carry it. */
static char *client_name(const char *wish)
{
    if (wish != NULL)
        return object_strndup(wish, SESSION_CLIENT_MAX);
    struct bytebuf name = {0};
    bytes_printf(&name, "libpetrel/%s", petrel_version());
    char *text = object_strndup((const char *)name.ptr, name.len);
    bytes_reset(&name);
    return text;
}

struct petrel_core *petrel_core_new(const struct petrel_core_config *config, const struct petrel_state *state)
{
    petrel_assert(config->callbacks != NULL && config->callbacks->on_message != NULL);
    struct petrel_core *core = calloc(1, sizeof *core);
    if (core == NULL)
        return NULL;
    core->magic = CORE_MAGIC;
    core->callbacks = *config->callbacks;
    core->ctx = config->ctx;
    core->client = client_name(config->client);
    core->heartbeat_wish_s = config->heartbeat_s;
    core->ack_delay_ms = config->ack_delay_ms != 0 ? config->ack_delay_ms : CORE_ACK_DELAY_MS;
    core->fresh_tokens = config->fresh_tokens;
    core->topics = config->topics;
    core->attempt_jump = CORE_ATTEMPT_JUMP;
    core->servers.lookup = config->lookup;
    core->patience_ms = SERVERS_PATIENCE_MS;
    core->codec = session_codec_new();
    rng_seed(&core->rng, config->seed);
    if (state != NULL) {
        petrel_assert(state->recent_count <= PETREL_RECENT_IDS && state->topics_count <= PETREL_TOPICS);
        core->state = *state;
        if (core->state.attempt > CORE_ATTEMPT_MAX)
            core->state.attempt = CORE_ATTEMPT_MAX;
    }
    return core;
}

void petrel_core_free(struct petrel_core **core)
{
    struct petrel_core *gone = *core;
    *core = NULL;
    if (gone == NULL)
        return;
    object_check(gone, CORE_MAGIC);
    petrel_assert(!gone->busy);
    gone->magic = 0;
    frame_reader_reset(&gone->reader);
    bytes_reset(&gone->out);
    session_codec_free(&gone->codec);
    free(gone->client);
    free(gone);
}

static void save(struct petrel_core *core)
{
    core->unsaved = false;
    if (core->callbacks.on_save != NULL)
        core->callbacks.on_save(core->ctx, &core->state);
}

static struct position position_of(const struct petrel_state *state)
{
    return (struct position){state->epoch, state->seq};
}

/* Only ever of a state that was saved. */
static void queue_ack(struct petrel_core *core)
{
    core->unacked = 0;
    session_encode_ack(&core->out, position_of(&core->state));
}

static void say_goodbye(struct petrel_core *core)
{
    if (core->phase == CORE_LIVE && core->unacked > 0)
        queue_ack(core);
    session_encode_disconnect(&core->out, core->leave_reason);
    core_move(core, CORE_LEAVING);
}

/* The batch is over: save, then ack. */
static void finish_batch(struct petrel_core *core, bool broken)
{
    if (core->unsaved)
        save(core);
    /* While earlier bytes wait for the socket the ack waits with them, and is a greater one later. */
    if (!broken && core->unacked >= CORE_ACK_MESSAGES && core->out.len == 0)
        queue_ack(core);
    if (!core->leave_asked)
        return;
    core->leave_asked = false;
    if (!broken)
        say_goodbye(core);
}

int petrel_core_connected(struct petrel_core *core, uint64_t now_ms, const char *token)
{
    object_check(core, CORE_MAGIC);
    struct bytes text = bytes_str(token);
    if (text.len > SESSION_TOKEN_MAX)
        return -1;
    core_move(core, CORE_CONNECTING);
    core->now_ms = core->began_ms = core->heard_ms = core->sent_ms = now_ms;
    core->heartbeat_ms = 0;
    core->unacked = 0; /* CONNECT itself says how far this installation is */
    core->end = (struct core_end){0};
    core->goaway = (struct core_goaway){0};
    if (core->state.attempt < CORE_ATTEMPT_MAX)
        core->state.attempt++;
    core->busy = true;
    save(core);
    core->busy = false;
    struct session_topic_position topics[SESSION_TOPICS_MAX];
    const struct session_connect connect = {
        .version = SESSION_PROTOCOL_VERSION,
        .token = text,
        .attempt = core->state.attempt,
        .position = position_of(&core->state),
        .client = bytes_str(core->client),
        .heartbeat_s = core->heartbeat_wish_s,
        .takes_topics = core->topics,
        .topics_count = core->topics ? core_topics_list(core, topics) : 0,
        .topics = topics,
    };
    session_encode_connect(&core->out, &connect);
    finish_batch(core, false);
    return 0;
}

int petrel_core_receive(struct petrel_core *core, uint64_t now_ms, const uint8_t *bytes, size_t len)
{
    object_check(core, CORE_MAGIC);
    if (core->phase == CORE_LEAVING)
        return 0;
    if (!is_up(core))
        return -1;
    core->now_ms = core->heard_ms = now_ms;
    core->busy = true;
    int rc = frame_reader_feed(&core->reader, CORE_FRAME_MAX, bytes_of(bytes, len), core_frame, core);
    if (rc == PETREL_E_TOO_LARGE)
        core_end(core, 0, "the server sent a frame that is larger than any may be");
    finish_batch(core, rc < 0);
    core->busy = false;
    if (rc < 0)
        core_move(core, CORE_BROKEN);
    return rc < 0 ? -1 : 0;
}

size_t petrel_core_output(struct petrel_core *core, const uint8_t **bytes)
{
    object_check(core, CORE_MAGIC);
    *bytes = core->out.ptr;
    return core->out.len;
}

void petrel_core_sent(struct petrel_core *core, size_t len)
{
    object_check(core, CORE_MAGIC);
    petrel_assert(len <= core->out.len);
    if (len > 0)
        core->sent_ms = core->now_ms;
    bytes_consume(&core->out, len);
}

static uint64_t silence_deadline(const struct petrel_core *core)
{
    if (core->phase == CORE_CONNECTING)
        return core->began_ms + core->patience_ms;
    return core->paused ? UINT64_MAX
                        : core->heard_ms + core->heartbeat_ms + core->heartbeat_ms / 2 + CORE_SILENCE_EXTRA_MS;
}

int petrel_core_tick(struct petrel_core *core, uint64_t now_ms)
{
    object_check(core, CORE_MAGIC);
    core->now_ms = now_ms;
    if (!is_up(core))
        return core->phase == CORE_BROKEN ? -1 : 0;
    int rc = 0;
    if (core->goaway.told && now_ms >= core->goaway.close_at)
        rc = core_end(core, core->goaway.code, session_code_text(core->goaway.code));
    else if (now_ms >= silence_deadline(core))
        rc = core_end(core, 0, "the server has been silent for too long");
    if (rc != 0) {
        core_move(core, CORE_BROKEN);
        return -1;
    }
    if (core->phase != CORE_LIVE || core->out.len > 0)
        return 0;
    if (core->unacked > 0 && now_ms >= core->ack_due_ms)
        queue_ack(core);
    else if (now_ms >= core->sent_ms + core->heartbeat_ms)
        session_encode_ping(&core->out, core->now_ms);
    return 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t petrel_core_deadline(const struct petrel_core *core)
{
    object_check(core, CORE_MAGIC);
    if (!is_up(core))
        return UINT64_MAX;
    uint64_t deadline = silence_deadline(core);
    if (core->goaway.told)
        deadline = earlier(deadline, core->goaway.close_at);
    /* While bytes wait for the socket no more are made; petrel_core_sent() ends that. */
    if (core->phase != CORE_LIVE || core->out.len > 0)
        return deadline;
    if (core->unacked > 0)
        deadline = earlier(deadline, core->ack_due_ms);
    return earlier(deadline, core->sent_ms + core->heartbeat_ms);
}

int64_t petrel_core_lost(struct petrel_core *core, uint64_t now_ms)
{
    object_check(core, CORE_MAGIC);
    petrel_assert(!core->busy);
    core->now_ms = now_ms;
    if (core->goaway.told && core->end.code == 0)
        core->end.known = false; /* the connection went as the GOAWAY had said */
    if (core->goaway.told)
        core_end(core, core->goaway.code, session_code_text(core->goaway.code));
    core_end(core, 0, core->phase == CORE_IDLE ? "the server could not be reached" : "the connection was lost");
    int64_t retry_ms = core_retry_ms(core);
    const struct core_end end = core->end;
    frame_reader_reset(&core->reader);
    bytes_reset(&core->out);
    core->end = (struct core_end){0};
    core->goaway = (struct core_goaway){0};
    core->leave_asked = false;
    core->paused = false;
    core->patience_ms = SERVERS_PATIENCE_MS;
    core_move(core, CORE_IDLE);
    if (core->callbacks.on_disconnected != NULL)
        core->callbacks.on_disconnected(core->ctx, end.code, end.text, retry_ms);
    return retry_ms;
}

void petrel_core_disconnect(struct petrel_core *core, bool sign_out)
{
    object_check(core, CORE_MAGIC);
    if (!is_up(core))
        return;
    core->leave_reason = sign_out ? 1 : 0;
    if (core->busy)
        core->leave_asked = true;
    else
        say_goodbye(core);
}

int petrel_core_topic(struct petrel_core *core, const char *topic, bool follow)
{
    object_check(core, CORE_MAGIC);
    const struct bytes name = bytes_str(topic);
    if (core->phase != CORE_LIVE || !core->topics || name.len > PETREL_TOPIC_NAME || !route_valid_device(name))
        return -1;
    if (follow)
        session_encode_topic_subscribe(&core->out, name);
    else
        session_encode_topic_unsubscribe(&core->out, name);
    return 0;
}

void petrel_core_pause(struct petrel_core *core, uint64_t now_ms, bool paused)
{
    object_check(core, CORE_MAGIC);
    /* What the server said meanwhile stands in the socket: its silence is counted anew. */
    if (core->paused && !paused)
        core->now_ms = core->heard_ms = now_ms;
    core->paused = paused;
}

void petrel_core_next(struct petrel_core *core, uint64_t now_ms, struct petrel_next *next)
{
    object_check(core, CORE_MAGIC);
    petrel_assert(core->phase == CORE_IDLE);
    (void)servers_next(&core->servers, now_ms, &next->address, &next->patience_ms);
    core->patience_ms = next->patience_ms;
}

int64_t petrel_core_servers(struct petrel_core *core, uint64_t now_ms, const char *json, size_t len)
{
    object_check(core, CORE_MAGIC);
    return servers_answered(&core->servers, now_ms, json, len);
}

int petrel_core_unanswered(struct petrel_core *core)
{
    object_check(core, CORE_MAGIC);
    return servers_unanswered(&core->servers);
}

const struct petrel_state *petrel_core_state(const struct petrel_core *core)
{
    object_check(core, CORE_MAGIC);
    return &core->state;
}
