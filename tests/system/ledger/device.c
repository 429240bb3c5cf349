#include "system/ledger/device.h"

#include "base/object.h"
#include "client/client_tls.h"
#include "client/client_uv.h"
#include "lib/until.h"
#include "petrel/client.h"
#include "system/ledger/app.h"
#include "system/ledger/follow.h"
#include "system/ledger/reply.h"
#include "system/ledger/web.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_MS 2000
#define LOOKUP_MAX 16384
#define CUT_MS 10000      /* a connection that ends so long after its node was killed ended because of that */
#define AWAY_MAX_MS 2000  /* how long a device that dropped stays away */
#define RETRY_MAX_MS 1500 /* these devices are impatient: an outage must stay under the inbox's cap */
#define EVENT_MIN_MS 500  /* between two things that happen to a device */
#define EVENT_SPAN_MS 9000
/* Of more devices the events are as many as of these: who is many is not to be busy with himself alone. */
#define EVENT_DEVICES 500
#define PAUSE_MAX_MS 1500
#define NEVER UINT64_MAX

struct device {
    struct ledger *ledger;
    uint32_t number;
    char *token;
    struct client_uv *uv;
    struct client_tls *tls; /* NULL: none is spoken */
    struct web web;
    struct petrel_core *core;
    struct rng rng;
    struct app app;
    struct follow follow;
    /* LOOKING: for servers. UPGRADING: to WebSocket. UP: connected, CONNECTED or not. */
    enum { AWAY, LOOKING, OPENING, UPGRADING, UP } where;
    char address[LEDGER_ADDRESS_MAX]; /* of the server */
    uint32_t api;                     /* which it looks up by */
    uint32_t apis_asked;              /* in this round */
    uint32_t patience_ms;             /* with each */
    struct bytebuf answer;
    uint64_t cut_ms; /* its node was killed then, and it is not back; 0: no such thing */
    bool live;
    bool paused;
    uint64_t wake_ms;  /* when away: to connect; when paused: to read again */
    uint64_t event_ms; /* when the next thing happens */
};

static void set_live(struct device *device, bool live)
{
    if (live != device->live)
        device->ledger->live += live ? 1U : (uint32_t)-1;
    device->live = live;
}

/* ---- what the core says ---- */

static void on_message(void *ctx, const struct petrel_message *message)
{
    struct device *device = ctx;
    app_message(&device->app, message, petrel_core_state(device->core));
}

static void on_save(void *ctx, const struct petrel_state *state)
{
    struct device *device = ctx;
    app_save(&device->app, state);
}

static void on_gap(void *ctx, const struct petrel_gap *gap)
{
    struct device *device = ctx;
    app_gap(&device->app, gap, petrel_core_state(device->core));
}

static void on_connected(void *ctx, enum petrel_verdict verdict)
{
    struct device *device = ctx;
    (void)verdict;
    set_live(device, true);
    if (device->cut_ms != 0)
        tally_failover(&device->ledger->tally, until_now_ms() - device->cut_ms);
    device->cut_ms = 0;
}

static void on_disconnected(void *ctx, uint32_t code, const char *text, int64_t retry_ms)
{
    struct device *device = ctx;
    if (retry_ms >= 0 || code == 0)
        return;
    device->ledger->stopped++;
    printf("stopped: device %" PRIu32 ": %" PRIu32 " %s\n", device->number, code, text);
}

static void on_topic(void *ctx, const char *topic, bool follows, uint32_t code)
{
    struct device *device = ctx;
    (void)follows;
    follow_told(&device->follow, topic, code, client_uv_now(device->uv));
}

static const struct petrel_callbacks CALLBACKS = {
    .on_message = on_message,
    .on_save = on_save,
    .on_gap = on_gap,
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
    .on_topic = on_topic,
};

static void start_app(struct device *device)
{
    const struct petrel_core_config config = {.callbacks = &CALLBACKS,
                                              .ctx = device,
                                              .client = "ledger/1",
                                              .topics = device->ledger->options.topics,
                                              .lookup = device->ledger->options.cluster,
                                              .seed = rng_u64(&device->rng)};
    device->core = petrel_core_new(&config, &device->app.stored);
    petrel_assert(device->core != NULL);
    app_start(&device->app);
}

/* ---- the phone ---- */

static void arm(struct device *device)
{
    uint64_t at = device->where == UP ? petrel_core_deadline(device->core) : NEVER;
    if ((device->where == AWAY || device->paused) && device->wake_ms < at)
        at = device->wake_ms;
    if (device->where == UP && device->event_ms < at)
        at = device->event_ms;
    if (device->where == UP && follow_deadline(&device->follow) < at)
        at = follow_deadline(&device->follow);
    client_uv_timer(device->uv, at);
}

static void pump(struct device *device)
{
    const uint8_t *bytes;
    if (!device_is_led(device->number))
        follow_seek(&device->follow, device->core, client_uv_now(device->uv));
    const size_t len = petrel_core_output(device->core, &bytes);
    struct bytes out = bytes_of(bytes, len);
    if (len > 0 && device->ledger->options.ws) {
        web_wrap(&device->web, &device->rng, out);
        out = bytes_view(&device->web.out);
    }
    if (len > 0 && client_uv_write(device->uv, out.ptr, out.len))
        petrel_core_sent(device->core, len);
}

static void stay_away(struct device *device, uint64_t ms)
{
    client_uv_drop(device->uv);
    set_live(device, false);
    follow_restart(&device->follow);
    device->where = AWAY;
    device->paused = false;
    device->answer.len = 0;
    web_reset(&device->web);
    device->wake_ms = ms == NEVER ? NEVER : client_uv_now(device->uv) + ms;
    arm(device);
}

/* Whether it was the death of its node that ended its session. */
static void note_cut(struct device *device)
{
    const struct ledger *ledger = device->ledger;
    if (device->live && ledger->killed_ms != 0 && until_now_ms() - ledger->killed_ms < CUT_MS &&
        strcmp(device->address, ledger->killed) == 0)
        device->cut_ms = ledger->killed_ms;
}

static void lost(struct device *device)
{
    note_cut(device);
    int64_t wait = petrel_core_lost(device->core, client_uv_now(device->uv));
    uint64_t patience = rng_below(&device->rng, RETRY_MAX_MS);
    stay_away(device, wait < 0 ? NEVER : (uint64_t)wait < patience ? (uint64_t)wait : patience);
}

static void crash(struct device *device)
{
    petrel_core_free(&device->core);
    start_app(device);
    stay_away(device, rng_below(&device->rng, AWAY_MAX_MS));
}

static void leave(struct device *device)
{
    petrel_core_disconnect(device->core, false);
    pump(device);
    petrel_core_lost(device->core, client_uv_now(device->uv));
    stay_away(device, rng_below(&device->rng, AWAY_MAX_MS));
}

static void drop(struct device *device)
{
    petrel_core_lost(device->core, client_uv_now(device->uv));
    stay_away(device, rng_below(&device->rng, AWAY_MAX_MS));
}

bool device_is_led(uint32_t number)
{
    return number % 3 == 0;
}

void device_turn(struct device *device)
{
    device->follow.wanted = book_device(device->ledger->book, device->number).set;
    if (device->where == UP) {
        pump(device);
        arm(device);
    }
}

bool device_has_turned(const struct device *device)
{
    bool all;
    const uint8_t set = follow_set(&device->app.stored, &all);
    return all == device->ledger->options.topics && set == book_device(device->ledger->book, device->number).set;
}

void device_reconnect(struct device *device)
{
    if (device->where == UP)
        drop(device);
}

static void set_paused(struct device *device, bool paused)
{
    uint64_t now = client_uv_now(device->uv);
    device->paused = paused;
    device->wake_ms = now + rng_below(&device->rng, PAUSE_MAX_MS);
    petrel_core_pause(device->core, now, paused);
    client_uv_read(device->uv, !paused);
    arm(device);
}

static void draw_event(struct device *device)
{
    uint64_t crowd = 1 + (device->ledger->options.devices - 1) / EVENT_DEVICES;
    device->event_ms = client_uv_now(device->uv) + EVENT_MIN_MS + rng_below(&device->rng, EVENT_SPAN_MS * crowd);
}

static void something_happens(struct device *device)
{
    draw_event(device);
    uint64_t which = rng_below(&device->rng, 20);
    if (device->ledger->calm || device->cut_ms != 0)
        arm(device);
    else if (which < 8)
        drop(device);
    else if (which < 12)
        leave(device);
    else if (which < 15)
        crash(device);
    else
        set_paused(device, true);
}

/* ---- where to ---- */

static void look_up(struct device *device)
{
    device->where = LOOKING;
    device->answer.len = 0;
    client_uv_open(device->uv, "127.0.0.1", ledger_port(device->ledger->apis[device->api]), CLIENT_TLS_LOOKUP,
                   device->patience_ms);
}

static void go(struct device *device)
{
    struct petrel_next next;
    petrel_core_next(device->core, client_uv_now(device->uv), &next);
    const char *address = next.address != NULL ? next.address : device->ledger->session;
    if (next.address == NULL && device->ledger->options.cluster) {
        device->patience_ms = next.patience_ms;
        device->apis_asked = 0;
        look_up(device);
        return;
    }
    device->where = OPENING;
    snprintf(device->address, sizeof device->address, "%s", address);
    uint32_t patience = device->ledger->options.cluster ? next.patience_ms : CONNECT_MS;
    client_uv_open(device->uv, "127.0.0.1", ledger_port(device->address),
                   device->ledger->options.ws ? CLIENT_TLS_LOOKUP : CLIENT_TLS_SESSION, patience);
}

/* This one did not answer: the next, each once. */
static void look_elsewhere(struct device *device)
{
    device->api = (device->api + 1) % device->ledger->apis_count;
    if (++device->apis_asked < device->ledger->apis_count) {
        client_uv_drop(device->uv);
        look_up(device);
    } else if (petrel_core_unanswered(device->core) == 0) {
        stay_away(device, 0);
    } else {
        lost(device);
    }
}

static void on_answer(struct device *device, const uint8_t *bytes, size_t len)
{
    struct reply reply;
    bytes_append(&device->answer, bytes, len);
    int rc = device->answer.len <= LOOKUP_MAX ? reply_read(bytes_view(&device->answer), &reply) : -1;
    if (rc == 0)
        return;
    int64_t wait = rc > 0 && reply.status == 200 ? petrel_core_servers(device->core, client_uv_now(device->uv),
                                                                       (const char *)reply.body.ptr, reply.body.len)
                                                 : -1;
    if (wait >= 0)
        stay_away(device, (uint64_t)wait);
    else
        look_elsewhere(device);
}

static void ask(struct device *device)
{
    static const char request[] = "GET /v1/lookup HTTP/1.1\r\nHost: ledger\r\n\r\n";
    client_uv_write(device->uv, (const uint8_t *)request, sizeof request - 1);
    client_uv_timer(device->uv, client_uv_now(device->uv) + device->patience_ms);
}

/* ---- what comes from the loop ---- */

static void on_timer(void *owner)
{
    struct device *device = owner;
    uint64_t now = client_uv_now(device->uv);
    if (device->where == AWAY) {
        go(device);
    } else if (device->where == LOOKING) {
        look_elsewhere(device);
    } else if (device->where == UPGRADING) {
        lost(device);
    } else if (device->paused && now >= device->wake_ms) {
        set_paused(device, false);
    } else if (device->where == UP && now >= device->event_ms) {
        something_happens(device);
    } else if (device->where == UP && petrel_core_tick(device->core, now) != 0) {
        lost(device);
    } else if (device->where == UP) {
        pump(device);
        arm(device);
    }
}

static void begin_session(struct device *device)
{
    int rc = petrel_core_connected(device->core, client_uv_now(device->uv), device->token);
    petrel_assert(rc == 0);
    device->where = UP;
    draw_event(device);
    pump(device);
    arm(device);
}

static void upgrade(struct device *device)
{
    const struct bytes request = web_request();
    device->where = UPGRADING;
    client_uv_timer(device->uv, client_uv_now(device->uv) + CONNECT_MS);
    client_uv_write(device->uv, request.ptr, request.len);
}

static void on_open(void *owner)
{
    struct device *device = owner;
    if (device->where == LOOKING)
        ask(device);
    else if (device->ledger->options.ws)
        upgrade(device);
    else
        begin_session(device);
}

/* What the core has of it; -1: the connection is to be ended. */
static int hear(struct device *device, struct bytes in)
{
    if (device->ledger->options.ws) {
        if (web_take(&device->web, in) != 0)
            return -1;
        in = bytes_view(&device->web.frames);
    }
    if (device->where == UPGRADING && device->web.upgraded)
        begin_session(device);
    return in.len > 0 ? petrel_core_receive(device->core, client_uv_now(device->uv), in.ptr, in.len) : 0;
}

static void on_read(void *owner, const uint8_t *bytes, size_t len)
{
    struct device *device = owner;
    if (device->where == LOOKING) {
        on_answer(device, bytes, len);
        return;
    }
    const int rc = hear(device, bytes_of(bytes, len));
    if (device->app.crashed) {
        crash(device);
    } else if (rc != 0) {
        lost(device);
    } else if (device->where == UP) {
        pump(device);
        arm(device);
    }
}

static void on_sent(void *owner)
{
    struct device *device = owner;
    if (device->where != UP)
        return;
    pump(device);
    arm(device);
}

static void on_end(void *owner, const char *text)
{
    struct device *device = owner;
    (void)text;
    if (device->where == LOOKING)
        look_elsewhere(device);
    else
        lost(device);
}

static const struct client_uv_ops OPS = {on_timer, on_open, on_read, on_sent, on_end};

struct device *device_new(struct ledger *ledger, uint32_t number, char **token)
{
    struct device *device = object_zalloc(sizeof *device);
    device->ledger = ledger;
    device->number = number;
    device->api = number % ledger->apis_count;
    device->token = *token;
    *token = NULL;
    app_init(&device->app, ledger, number, &device->rng);
    device->tls = ledger->options.tls ? client_tls_new(&(struct petrel_tls){.ca_file = ledger->ca}) : NULL;
    device->uv = client_uv_new(&ledger->loop, device->tls, &OPS, device);
    petrel_assert(device->uv != NULL && (device->tls != NULL || !ledger->options.tls));
    rng_seed(&device->rng, ledger->options.seed * 2 + 1 + number * UINT64_C(0x9e3779b97f4a7c15));
    device->follow.wanted = book_device(ledger->book, number).set;
    start_app(device);
    ledger->open++;
    stay_away(device, rng_below(&device->rng, AWAY_MAX_MS));
    return device;
}

static void on_closed(void *owner)
{
    struct device *device = owner;
    device->ledger->open--;
    petrel_core_free(&device->core);
    client_tls_free(&device->tls);
    bytes_reset(&device->answer);
    web_reset(&device->web);
    app_reset(&device->app);
    free(device->token);
    free(device);
}

void device_close(struct device **device)
{
    if (*device != NULL)
        client_uv_close(&(*device)->uv, on_closed);
    *device = NULL;
}
