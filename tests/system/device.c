#include "system/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <uv.h>

struct device {
    uv_loop_t loop;
    struct petrel_client *client; /* NULL: away */
    struct petrel_state saved;
    char *token;
    char *seen;
    size_t seen_len;
    size_t seen_room;
    size_t count;
    uint64_t gaps;
    unsigned connects;
    enum petrel_verdict verdict;
    uint32_t code;
    bool stopped;
    bool last_high;
};

static void on_message(void *ctx, const struct petrel_message *message)
{
    struct device *device = ctx;
    size_t needed = device->seen_len + message->body_len + 2;
    if (needed > device->seen_room) {
        device->seen_room = 2 * needed;
        device->seen = realloc(device->seen, device->seen_room);
        if (device->seen == NULL)
            abort();
    }
    memcpy(device->seen + device->seen_len, message->body, message->body_len);
    device->seen_len += message->body_len;
    memcpy(device->seen + device->seen_len, " ", 2);
    device->seen_len++;
    device->count++;
    device->last_high = message->high;
}

static void on_save(void *ctx, const struct petrel_state *state)
{
    ((struct device *)ctx)->saved = *state;
}

static void on_gap(void *ctx, const struct petrel_gap *gap)
{
    ((struct device *)ctx)->gaps += gap->lost_at_most;
}

static void on_connected(void *ctx, enum petrel_verdict verdict)
{
    struct device *device = ctx;
    device->verdict = verdict;
    device->connects++;
}

static void on_disconnected(void *ctx, uint32_t code, const char *text, int64_t retry_ms)
{
    struct device *device = ctx;
    (void)text;
    device->code = code;
    device->stopped = retry_ms < 0;
}

static void on_closed(void *ctx)
{
    ((struct device *)ctx)->client = NULL;
}

static void start(struct device *device, const char *address)
{
    static const struct petrel_callbacks callbacks = {
        .on_message = on_message,
        .on_save = on_save,
        .on_gap = on_gap,
        .on_connected = on_connected,
        .on_disconnected = on_disconnected,
    };
    char host[64];
    snprintf(host, sizeof host, "%s", address);
    char *colon = strrchr(host, ':');
    if (colon == NULL)
        return;
    *colon = '\0';
    struct petrel_client_config config = {
        .loop = &device->loop,
        .host = host,
        .port = (uint16_t)atoi(colon + 1),
        .token = device->token,
        .core = {.callbacks = &callbacks, .ctx = device, .ack_delay_ms = 1},
    };
    device->stopped = false;
    device->client = petrel_client_new(&config, &device->saved);
}

struct device *device_open(struct rig *rig, const char *token, const struct petrel_state *state)
{
    struct device *device = calloc(1, sizeof *device);
    if (device == NULL || uv_loop_init(&device->loop) != 0)
        abort();
    size_t i = 0;
    while (i < RIG_DEVICES_MAX - 1 && rig->devices[i] != NULL)
        i++;
    if (rig->devices[i] != NULL)
        abort();
    rig->devices[i] = device;
    device->token = strdup(token);
    device->seen = calloc(1, 1);
    if (state != NULL)
        device->saved = *state;
    start(device, rig->daemon.session);
    return device;
}

struct device *device_join(struct rig *rig, const char *user, const char *name)
{
    char *token = rig_register(rig, user, name);
    struct device *device = token != NULL ? device_open(rig, token, NULL) : NULL;
    free(token);
    return device;
}

static bool is_away(void *ctx)
{
    return ((struct device *)ctx)->client == NULL;
}

bool device_leave(struct rig *rig, struct device *device)
{
    if (device->client != NULL)
        petrel_client_close(device->client, on_closed);
    return rig_until(rig, is_away, device);
}

static void cut_tcp(uv_handle_t *handle, void *ctx)
{
    uv_os_fd_t fd;
    (void)ctx;
    if (handle->type == UV_TCP && uv_fileno(handle, &fd) == 0)
        shutdown(fd, SHUT_RDWR);
}

void device_cut(struct device *device)
{
    uv_walk(&device->loop, cut_tcp, NULL);
}

void device_return(struct rig *rig, struct device *device)
{
    start(device, rig->daemon.session);
}

void device_turn(struct device *device)
{
    uv_run(&device->loop, UV_RUN_NOWAIT);
}

void device_free(struct device **inside)
{
    struct device *device = *inside;
    *inside = NULL;
    if (device == NULL)
        return;
    if (device->client != NULL)
        petrel_client_close(device->client, on_closed);
    uv_run(&device->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&device->loop) != 0)
        abort();
    free(device->token);
    free(device->seen);
    free(device);
}

const char *device_seen(const struct device *device)
{
    return device->seen;
}

void device_forget(struct device *device)
{
    device->seen_len = 0;
    device->seen[0] = '\0';
    device->count = 0;
}

size_t device_count(const struct device *device)
{
    return device->count;
}

uint64_t device_gaps(const struct device *device)
{
    return device->gaps;
}

unsigned device_connects(const struct device *device)
{
    return device->connects;
}

enum petrel_verdict device_verdict(const struct device *device)
{
    return device->verdict;
}

uint32_t device_code(const struct device *device)
{
    return device->code;
}

bool device_stopped(const struct device *device)
{
    return device->stopped;
}

bool device_last_high(const struct device *device)
{
    return device->last_high;
}

const char *device_token(const struct device *device)
{
    return device->token;
}

const struct petrel_state *device_saved(const struct device *device)
{
    return &device->saved;
}

struct wish {
    struct device *device;
    const char *seen;
    unsigned connects;
};

static bool saw(void *ctx)
{
    const struct wish *wish = ctx;
    return strcmp(wish->device->seen, wish->seen) == 0;
}

bool device_sees(struct rig *rig, struct device *device, const char *seen)
{
    struct wish wish = {device, seen, 0};
    return rig_until(rig, saw, &wish);
}

static bool has_connected(void *ctx)
{
    const struct wish *wish = ctx;
    return wish->device->connects >= wish->connects;
}

bool device_connected(struct rig *rig, struct device *device, unsigned connects)
{
    struct wish wish = {device, "", connects};
    return rig_until(rig, has_connected, &wish);
}

static bool has_stopped(void *ctx)
{
    return ((struct device *)ctx)->stopped;
}

bool device_stops(struct rig *rig, struct device *device)
{
    return rig_until(rig, has_stopped, device);
}
