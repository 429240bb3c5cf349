/* A device in under 70 lines: prints each push, remembers where it is in a file, reconnects for ever. Ctrl-C ends it. */
#include <petrel/client.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

static void on_message(void *ctx, const struct petrel_message *message)
{
    (void)ctx;
    printf("%" PRIu64 " %.*s\n", message->seq, (int)message->body_len, (const char *)message->body);
    fflush(stdout);
}

static void on_save(void *ctx, const struct petrel_state *state)
{
    uint8_t packed[PETREL_STATE_BYTES];
    FILE *file = fopen(ctx, "wb");
    if (file == NULL || fwrite(packed, petrel_state_pack(state, packed), 1, file) != 1 || fclose(file) != 0)
        perror(ctx);
}

static void on_disconnected(void *ctx, uint32_t code, const char *text, int64_t retry_ms)
{
    (void)ctx;
    fprintf(stderr, "disconnected: %" PRIu32 " %s; next try in %" PRId64 " ms\n", code, text, retry_ms);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    petrel_client_close(signal->data, NULL);
    uv_close((uv_handle_t *)signal, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return fprintf(stderr, "usage: %s {HOST PORT | --lookup HOST:PORT[,...]} TOKEN STATE_FILE\n", argv[0]), 2;
    struct petrel_state state = {0};
    uint8_t packed[PETREL_STATE_BYTES];
    FILE *file = fopen(argv[4], "rb");
    if (file != NULL && petrel_state_unpack(packed, fread(packed, 1, sizeof packed, file), &state) != 0)
        return fprintf(stderr, "%s: not a saved state\n", argv[4]), 1;
    if (file != NULL)
        fclose(file);
    static const struct petrel_callbacks callbacks = {
        .on_message = on_message, .on_save = on_save, .on_disconnected = on_disconnected};
    struct petrel_client_config config = {.loop = uv_default_loop(), .token = argv[3], .port = (uint16_t)atoi(argv[2])};
    if (strcmp(argv[1], "--lookup") == 0)
        config.lookup = argv[2];
    else
        config.host = argv[1];
    config.core = (struct petrel_core_config){.callbacks = &callbacks, .ctx = argv[4]};
    signal(SIGPIPE, SIG_IGN);
    uv_signal_t interrupt = {.data = petrel_client_new(&config, &state)};
    if (interrupt.data == NULL)
        return fprintf(stderr, "%s: no list of lookup servers\n", argv[2]), 2;
    uv_signal_init(config.loop, &interrupt);
    uv_signal_start(&interrupt, on_signal, SIGINT);
    return uv_run(config.loop, UV_RUN_DEFAULT);
}
