#include "sim/sim_device.h"

#include "sim/sim_store.h"

#include <stdlib.h>
#include <string.h>

static uint64_t now_ms(const struct sim_device *device)
{
    return clock_mono_ms(&device->sim->clock.clock);
}

/* ---- the app ---- */

static uint32_t topic_number(const char *name)
{
    return sim_news_topic_number(bytes_str(name));
}

static bool holds(const struct petrel_state *state, uint32_t topic)
{
    for (uint32_t i = 0; i < state->topics_count; i++) {
        if (topic_number(state->topics[i].name) == topic)
            return true;
    }
    return false;
}

/* On its disk. */
static void keep(struct sim_device *device, const struct petrel_state *state)
{
    device->durable = *state;
    if (holds(state, SIM_TOPIC_ALL))
        sim_news_kept(device->book, device->number);
}

static void on_message(void *ctx, const struct petrel_message *message)
{
    struct sim_device *device = ctx;
    if (device->crashed)
        return;
    if (device->crash_in > 0 && --device->crash_in == 0) {
        sim_trace(device->sim, "device %u: the app crashes in its callback", device->number);
        device->crashed = true;
        return;
    }
    const struct position at = {message->epoch, message->seq};
    if (message->topic[0] != '\0')
        sim_news_delivered(device->book, device->number, topic_number(message->topic), message->id, at);
    else
        sim_book_delivered(device->book, device->number, message->id, at);
    keep(device, petrel_core_state(device->core));
}

static void on_save(void *ctx, const struct petrel_state *state)
{
    struct sim_device *device = ctx;
    if (!device->crashed)
        keep(device, state);
}

static void on_gap(void *ctx, const struct petrel_gap *gap)
{
    struct sim_device *device = ctx;
    const struct petrel_state *state = petrel_core_state(device->core);
    if (device->crashed)
        return;
    if (gap->topic[0] != '\0')
        sim_news_gap(device->book, device->number, topic_number(gap->topic), gap->lost_at_most);
    else
        sim_book_gap(device->book, device->number, (struct position){state->epoch, state->seq}, gap->lost_at_most);
}

static void on_connected(void *ctx, enum petrel_verdict verdict)
{
    struct sim_device *device = ctx;
    struct sim_seen *seen = &device->book->devices[device->number];
    sim_trace(device->sim, "device %u: connected, verdict %d", device->number, (int)verdict);
    device->book->news.connected_us[device->number] = device->sim->now_us;
    if (device->topics && sim_chance(device->sim, 6))
        device->hurry = (uint32_t)sim_between(device->sim, 1, SIM_TOPICS_MAX - 1);
    if (seen->enrolled_us == UINT64_MAX)
        seen->enrolled_us = device->sim->now_us;
}

static void on_disconnected(void *ctx, uint32_t code, const char *text, int64_t retry_ms)
{
    struct sim_device *device = ctx;
    sim_trace(device->sim, "device %u: disconnected, code %u (%s), again in %lld ms", device->number, (unsigned)code,
              text, (long long)retry_ms);
    if (code == 0 && strncmp(text, "a topic's", 9) == 0)
        sim_book_break(device->book, "device %u: %s", device->number, text);
}

static void on_topic(void *ctx, const char *topic, bool follows, uint32_t code)
{
    struct sim_device *device = ctx;
    sim_trace(device->sim, "device %u: told that it %s topic %s, code %u", device->number,
              follows ? "follows" : "does not follow", topic, (unsigned)code);
    if (!device->crashed)
        sim_news_view(device->book, device->number, topic_number(topic), follows);
}

static const struct petrel_callbacks callbacks = {
    .on_message = on_message,
    .on_save = on_save,
    .on_gap = on_gap,
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
    .on_topic = on_topic,
};

/* ---- the connection ---- */

static const struct sim_conn_ops conn_ops;
static void on_begin(struct sim_event *event);
static void on_tick(struct sim_event *event);

static void end_app(struct sim_device *device, uint64_t off_us)
{
    petrel_core_free(&device->core);
    device->on = false;
    device->opened = false;
    device->crashed = false;
    device->crash_in = 0;
    sim_cancel(device->sim, &device->tick);
    sim_at(device->sim, &device->begin, off_us, on_begin);
}

static void lost(struct sim_device *device)
{
    device->conn = NULL;
    device->opened = false;
    sim_cancel(device->sim, &device->tick);
    int64_t retry_ms = petrel_core_lost(device->core, now_ms(device));
    if (retry_ms < 0) {
        sim_book_break(device->book, "device %u was told never to come back", device->number);
        retry_ms = 1000;
    }
    sim_at(device->sim, &device->begin, (uint64_t)retry_ms * SIM_MS, on_begin);
}

static void close_conn(struct sim_device *device)
{
    struct sim_conn *conn = device->conn;
    device->conn = NULL;
    if (conn != NULL)
        sim_conn_close(conn);
}

static void output(struct sim_device *device)
{
    const uint8_t *bytes;
    size_t len = petrel_core_output(device->core, &bytes);
    if (len > 0)
        sim_conn_write(device->conn, bytes_of(bytes, len));
    petrel_core_sent(device->core, len);
}

static void watch_clock(struct sim_device *device)
{
    uint64_t deadline = petrel_core_deadline(device->core);
    if (deadline == UINT64_MAX)
        return;
    uint64_t now = now_ms(device);
    sim_at(device->sim, &device->tick, deadline > now ? (deadline - now) * SIM_MS : 0, on_tick);
}

/* Before the server can have said what the device follows. */
static void ask_in_a_hurry(struct sim_device *device)
{
    char name[16];
    sim_news_topic(device->hurry, name);
    const bool follow = sim_chance(device->sim, 2);
    device->hurry = 0;
    if (petrel_core_topic(device->core, name, follow) == 0)
        sim_trace(device->sim, "device %u: asks to %s topic %s", device->number, follow ? "follow" : "leave", name);
}

/* After every call on the core. */
static void go_on(struct sim_device *device, int rc)
{
    if (device->crashed) {
        close_conn(device);
        end_app(device, sim_between(device->sim, 10 * SIM_MS, 5 * SIM_S));
        return;
    }
    if (rc != 0) {
        close_conn(device);
        lost(device);
        return;
    }
    if (device->hurry != 0)
        ask_in_a_hurry(device);
    output(device);
    watch_clock(device);
}

static void on_tick(struct sim_event *event)
{
    struct sim_device *device = container_of(event, struct sim_device, tick);
    if (!device->opened) {
        sim_conn_vanish(device->conn, sim_between(device->sim, 0, 8 * SIM_S));
        lost(device);
        return;
    }
    go_on(device, petrel_core_tick(device->core, now_ms(device)));
}

static void on_open(void *owner)
{
    struct sim_device *device = owner;
    device->opened = true;
    go_on(device, petrel_core_connected(device->core, now_ms(device), device->token));
}

static void on_readable(void *owner)
{
    struct sim_device *device = owner;
    uint8_t bytes[2048];
    size_t len;
    while (device->conn != NULL && !device->stalled && (len = sim_conn_read(device->conn, bytes, sizeof bytes)) > 0)
        go_on(device, petrel_core_receive(device->core, now_ms(device), bytes, len));
}

static void on_end(void *owner)
{
    struct sim_device *device = owner;
    lost(device);
}

static const struct sim_conn_ops conn_ops = {on_open, on_readable, on_end};

/* Where a GOAWAY named nobody, the usual address is any of the servers. */
static uint16_t port_of(struct sim_device *device, const char *address)
{
    if (address == NULL)
        return (uint16_t)(device->first_port + rng_below(&device->sim->rng, device->ports));
    return (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

static void connect(struct sim_device *device)
{
    struct petrel_next next;
    petrel_core_next(device->core, now_ms(device), &next);
    uint16_t port = port_of(device, next.address);
    device->node = port - device->first_port + 1U;
    sim_trace(device->sim, "device %u: connects to %u", device->number, (unsigned)port);
    device->conn = sim_conn_new(device->sim, port, &conn_ops, device);
    sim_at(device->sim, &device->tick, next.patience_ms * SIM_MS, on_tick);
}

static void on_begin(struct sim_event *event)
{
    struct sim_device *device = container_of(event, struct sim_device, begin);
    if (!device->on) {
        const struct petrel_core_config config = {
            .callbacks = &callbacks,
            .ctx = device,
            .client = "sim",
            .topics = device->topics,
            .seed = rng_u64(&device->sim->rng),
        };
        device->core = petrel_core_new(&config, &device->durable);
        device->on = true;
        for (uint32_t topic = 0; topic < SIM_TOPICS_MAX; topic++)
            sim_news_view(device->book, device->number, topic, holds(&device->durable, topic));
    }
    if (device->conn == NULL)
        connect(device);
}

/* ---- from outside ---- */

void sim_device_init(struct sim_device *device, struct sim *sim, struct sim_book *book, uint32_t number,
                     const char *token, uint16_t first_port, uint16_t ports, bool topics)
{
    *device = (struct sim_device){.sim = sim,
                                  .book = book,
                                  .number = number,
                                  .token = token,
                                  .first_port = first_port,
                                  .ports = ports,
                                  .topics = topics};
    book->news.takes[number] = topics;
}

void sim_device_free(struct sim_device *device)
{
    struct sim_conn *conn = device->conn;
    device->conn = NULL;
    if (conn != NULL)
        sim_conn_break(conn);
    petrel_core_free(&device->core);
    sim_cancel(device->sim, &device->tick);
    sim_cancel(device->sim, &device->begin);
    sim_cancel(device->sim, &device->stall);
}

void sim_device_start(struct sim_device *device)
{
    if (!device->on)
        sim_at(device->sim, &device->begin, 0, on_begin);
}

void sim_device_drop(struct sim_device *device)
{
    if (device->conn == NULL)
        return;
    struct sim_conn *conn = device->conn;
    if (sim_chance(device->sim, 2))
        sim_conn_close(conn);
    else
        sim_conn_break(conn);
    lost(device);
}

void sim_device_vanish(struct sim_device *device, uint64_t late_us)
{
    if (device->conn == NULL)
        return;
    sim_conn_vanish(device->conn, late_us);
    lost(device);
}

static void on_stall_over(struct sim_event *event)
{
    sim_device_calm(container_of(event, struct sim_device, stall));
}

void sim_device_stall(struct sim_device *device, uint64_t us)
{
    device->stalled = true;
    sim_at(device->sim, &device->stall, us, on_stall_over);
}

void sim_device_crash(struct sim_device *device, uint32_t messages, uint64_t off_us)
{
    if (!device->on)
        return;
    device->crash_in = messages;
    if (messages > 0)
        return;
    if (device->conn != NULL)
        sim_conn_break(device->conn);
    device->conn = NULL;
    end_app(device, off_us);
}

void sim_device_switch_off(struct sim_device *device, uint64_t off_us)
{
    if (!device->on)
        return;
    if (device->conn != NULL && device->opened) {
        petrel_core_disconnect(device->core, false);
        output(device);
    }
    close_conn(device);
    end_app(device, off_us);
}

void sim_device_subscribe(struct sim_device *device, uint32_t topic, bool follow)
{
    char name[16];
    if (!device->on || !device->opened)
        return;
    sim_news_topic(topic, name);
    if (petrel_core_topic(device->core, name, follow) != 0)
        return;
    sim_trace(device->sim, "device %u: asks to %s topic %u", device->number, follow ? "follow" : "leave", topic);
    go_on(device, 0);
}

void sim_device_calm(struct sim_device *device)
{
    device->stalled = false;
    sim_cancel(device->sim, &device->stall);
    if (device->conn != NULL)
        on_readable(device);
}

bool sim_device_is_up(const struct sim_device *device)
{
    return device->on && device->opened;
}
