/* petrel-crowd: many devices in one process, each a libpetrel client that finds its server by lookup, for tests that watch what
 * happens to them. Says on standard output, a line each:
 *
 *   connected DEVICE SERVER VERDICT       a session is up
 *   message DEVICE BODY
 *   disconnected DEVICE CODE
 *   gap DEVICE LOST
 *
 * DEVICE is the number of the token's line. Ends in order on SIGTERM. */
#include "base/object.h"

#include "petrel/client.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#define TOKEN_MAX 2048

struct crowd {
    uv_loop_t loop;
    uv_signal_t end;
    size_t count;
    struct device *devices;
};

struct device {
    size_t number;
    struct petrel_client *client;
    char token[TOKEN_MAX];
};

static void on_message(void *ctx, const struct petrel_message *message)
{
    const struct device *device = ctx;
    printf("message %zu %.*s\n", device->number, (int)message->body_len, (const char *)message->body);
}

static void on_gap(void *ctx, const struct petrel_gap *gap)
{
    const struct device *device = ctx;
    printf("gap %zu %" PRIu64 "\n", device->number, gap->lost_at_most);
}

static void on_connected(void *ctx, enum petrel_verdict verdict)
{
    const struct device *device = ctx;
    printf("connected %zu %s %d\n", device->number, petrel_client_server(device->client), (int)verdict);
}

static void on_disconnected(void *ctx, uint32_t code, const char *text, int64_t retry_ms)
{
    const struct device *device = ctx;
    (void)text;
    (void)retry_ms;
    printf("disconnected %zu %" PRIu32 "\n", device->number, code);
}

static void on_end(uv_signal_t *end, int number)
{
    struct crowd *crowd = end->data;
    (void)number;
    for (size_t i = 0; i < crowd->count; i++)
        petrel_client_close(crowd->devices[i].client, NULL);
    uv_close((uv_handle_t *)end, NULL);
}

static int read_tokens(struct crowd *crowd, const char *path)
{
    char line[TOKEN_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        crowd->devices = realloc(crowd->devices, (crowd->count + 1) * sizeof *crowd->devices);
        petrel_assert(crowd->devices != NULL);
        struct device *device = &crowd->devices[crowd->count];
        *device = (struct device){.number = crowd->count++};
        memcpy(device->token, line, sizeof line);
    }
    fclose(file);
    return 0;
}

static int begin(struct crowd *crowd, const char *lookup)
{
    static const struct petrel_callbacks callbacks = {
        .on_message = on_message, .on_gap = on_gap, .on_connected = on_connected, .on_disconnected = on_disconnected};
    for (size_t i = 0; i < crowd->count; i++) {
        struct device *device = &crowd->devices[i];
        const struct petrel_client_config config = {.loop = &crowd->loop,
                                                    .lookup = lookup,
                                                    .token = device->token,
                                                    .core = {.callbacks = &callbacks, .ctx = device}};
        device->client = petrel_client_new(&config, NULL);
        if (device->client == NULL)
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct crowd crowd = {.count = 0};
    if (argc != 3 || read_tokens(&crowd, argv[2]) != 0)
        return fprintf(stderr, "usage: petrel-crowd HOST:PORT[,HOST:PORT...] FILE-OF-TOKENS\n"), 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    petrel_assert(uv_loop_init(&crowd.loop) == 0 && uv_signal_init(&crowd.loop, &crowd.end) == 0);
    crowd.end.data = &crowd;
    petrel_assert(uv_signal_start(&crowd.end, on_end, SIGTERM) == 0);
    if (begin(&crowd, argv[1]) != 0)
        return fprintf(stderr, "petrel-crowd: %s: no list of send APIs\n", argv[1]), 2;
    uv_run(&crowd.loop, UV_RUN_DEFAULT);
    uv_loop_close(&crowd.loop);
    free(crowd.devices);
    return 0;
}
