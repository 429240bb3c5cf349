/* A server's bytes, in two pieces, at libpetrel's core: whatever comes, the application sees each position of an epoch once and in
 * order, no id twice, and is told to save what it has seen before any ack. */
#include "base/object.h"
#include "client/core.h"
#include "client/state_recent.h"
#include "fuzz/fuzz.h"
#include "wire/session.h"

struct app {
    struct petrel_core *core;
    struct petrel_state seen; /* position and ids of what on_message brought */
    bool gap;                 /* CONNECTED or GAP set the position since */
    struct petrel_state saved;
};

static void on_message(void *ctx, const struct petrel_message *message)
{
    struct app *app = ctx;
    petrel_assert(app->gap || (message->epoch == app->seen.epoch && message->seq > app->seen.seq));
    petrel_assert(!state_recent_has(&app->seen, message->id));
    petrel_assert(message->body != NULL && strlen(message->collapse_key) <= ROUTE_COLLAPSE_MAX);
    state_recent_add(&app->seen, message->id);
    app->seen.epoch = message->epoch;
    app->seen.seq = message->seq;
    app->gap = false;
}

static void on_save(void *ctx, const struct petrel_state *state)
{
    struct app *app = ctx;
    app->saved = *state;
}

static void on_gap(void *ctx, const struct petrel_gap *gap)
{
    struct app *app = ctx;
    petrel_assert(gap->reason >= PETREL_GAP_CAP && gap->reason <= PETREL_GAP_TRIMMED);
    app->gap = true;
}

static void on_connected(void *ctx, enum petrel_verdict verdict)
{
    struct app *app = ctx;
    petrel_assert(verdict >= PETREL_NEW && verdict <= PETREL_GAP);
    app->gap = true;
}

static const struct petrel_callbacks CALLBACKS = {on_message, on_save, on_gap, on_connected, NULL, NULL};

/* What goes out after each call acks what was saved. */
static void take_output(struct app *app)
{
    const uint8_t *bytes;
    struct bytes out = bytes_of(NULL, petrel_core_output(app->core, &bytes));
    out.ptr = bytes;
    size_t len = out.len;
    struct frame frame;
    struct session_frame decoded;
    while (out.len > 0) {
        int rc = frame_take(&out, FRAME_BODY_DEFAULT, &frame);
        petrel_assert(rc == 0);
        rc = session_decode(app->core->codec, &frame, &decoded);
        petrel_assert(rc == 0);
        petrel_assert(decoded.type != SESSION_ACK ||
                      (decoded.ack.epoch == app->saved.epoch && decoded.ack.seq == app->saved.seq));
    }
    petrel_core_sent(app->core, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct app app = {0};
    const struct petrel_core_config config = {.callbacks = &CALLBACKS, .ctx = &app, .seed = 1};
    uint64_t now = 1;
    app.core = petrel_core_new(&config, NULL);
    petrel_assert(app.core != NULL);
    int rc = petrel_core_connected(app.core, now, "token");
    petrel_assert(rc == 0);
    take_output(&app);
    size_t half = size / 2;
    rc = petrel_core_receive(app.core, now, data, half);
    take_output(&app);
    if (rc == 0)
        rc = petrel_core_receive(app.core, now, data + half, size - half);
    while (rc == 0 && petrel_core_deadline(app.core) != UINT64_MAX && now < 1000000) {
        take_output(&app);
        now = petrel_core_deadline(app.core) > now ? petrel_core_deadline(app.core) : now + 1;
        rc = petrel_core_tick(app.core, now);
    }
    const struct petrel_state *state = petrel_core_state(app.core);
    petrel_assert(state->epoch == app.saved.epoch && state->seq == app.saved.seq);
    int64_t retry_ms = petrel_core_lost(app.core, now);
    petrel_assert(retry_ms >= -1 && retry_ms <= CORE_BACKOFF_SERVER_MAX_MS + CORE_BACKOFF_MAX_MS);
    petrel_core_free(&app.core);
    return 0;
}
