/* A device in the terminal: an application of libpetrel's, on a libuv loop of its own, which is why uv.h is included here. */
#include "client/hostport.h"
#include "petrel/client.h"
#include "petrelctl/admin.h"
#include "petrelctl/human.h"
#include "petrelctl/listen_print.h"
#include "petrelctl/listen_state.h"

#include "base/clock.h"
#include "base/object.h"
#include "wire/session_code.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define DEFAULT_DEVICE "petrelctl"
#define TOKEN_SIZE 8192
#define ALL "all" /* the topic that every device follows */

struct listen {
    const struct invocation *call;
    uv_loop_t loop;
    uv_signal_t interrupt;
    uv_signal_t terminate;
    uv_timer_t timer;
    struct petrel_client *client; /* NULL once its end has begun */
    struct admin *admin;          /* NULL with --token */
    const char *token_path;       /* NULL without --token */
    char *token;                  /* of the first registration, until the client has it */
    struct listen_state state;
    const char *lookup; /* NULL: host and port */
    char host[HOSTPORT_HOST_MAX + 1];
    uint16_t port;
    uint64_t wanted; /* --count; 0: no end */
    uint64_t came;
    bool json;
    enum command_exit code;
};

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("petrelctl: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- the end: of the client first, then of what else keeps the loop turning ---- */

static void on_closed(void *ctx)
{
    struct listen *listen = ctx;
    uv_close((uv_handle_t *)&listen->interrupt, NULL);
    uv_close((uv_handle_t *)&listen->terminate, NULL);
    uv_close((uv_handle_t *)&listen->timer, NULL);
}

static void finish(struct listen *listen, enum command_exit code)
{
    struct petrel_client *client = listen->client;
    if (client == NULL)
        return;
    listen->client = NULL;
    listen->code = code;
    petrel_client_close(client, on_closed);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    finish(handle->data, COMMAND_OK);
}

static void on_timer(uv_timer_t *handle)
{
    struct listen *listen = handle->data;
    bool short_of = listen->wanted > 0;
    if (short_of && listen->client != NULL)
        note("%llu of %llu messages came in time", (unsigned long long)listen->came,
             (unsigned long long)listen->wanted);
    finish(listen, short_of ? COMMAND_TIMEOUT : COMMAND_OK);
}

/* ---- what libpetrel tells ---- */

static void on_message(void *ctx, const struct petrel_message *message)
{
    struct listen *listen = ctx;
    uint64_t now_ms = clock_wall_ms(clock_system());
    if (listen->json)
        listen_print_json(message, now_ms);
    else
        listen_print_line(message, now_ms);
    /* What could not be shown must not be acked, and an orderly end would ack it: so this is none. It comes again. */
    if (fflush(stdout) != 0)
        exit((int)command_fail(COMMAND_FAILED, "standard output can't be written: %s", strerror(errno)));
    if (++listen->came == listen->wanted)
        finish(listen, COMMAND_OK);
}

static void on_save(void *ctx, const struct petrel_state *state)
{
    struct listen *listen = ctx;
    listen->state.position = *state;
    /* For the same reason: without its position on the disk a message would come again after its ack, or never. */
    if (listen_state_save(&listen->state) != COMMAND_OK)
        exit((int)COMMAND_FAILED);
}

static void on_gap(void *ctx, const struct petrel_gap *gap)
{
    static const char *const reasons[] = {
        [PETREL_GAP_CAP] = "the log's cap dropped them",
        [PETREL_GAP_ROLLBACK] = "the server went back to an earlier state",
        [PETREL_GAP_LAPSED] = "this device was away for too long",
        [PETREL_GAP_TRIMMED] = "the log was trimmed",
    };
    (void)ctx;
    size_t reason = (size_t)gap->reason;
    note("gap%s%s: at most %llu messages will not come: %s", gap->topic[0] != '\0' ? " in topic " : "", gap->topic,
         (unsigned long long)gap->lost_at_most,
         reason > 0 && reason < sizeof reasons / sizeof reasons[0] ? reasons[reason] : "the server does not say why");
}

/* Asked for on every connection: what it follows already stays as it is. */
static void follow(struct listen *listen)
{
    const char *topic = invocation_text(listen->call, "topic");
    if (topic == NULL || strcmp(topic, ALL) == 0 || petrel_client_topic(listen->client, topic, true) == 0)
        return;
    finish(listen, command_fail(COMMAND_USAGE, "'%s' is no name of a topic: 1 to %d of A-Z a-z 0-9 . _ : -", topic,
                                PETREL_TOPIC_NAME));
}

static void on_topic(void *ctx, const char *topic, bool follows, uint32_t code)
{
    struct listen *listen = ctx;
    const char *wanted = invocation_text(listen->call, "topic");
    if (code == 0) {
        note("%s topic %s", follows ? "follows" : "no longer follows", topic);
        return;
    }
    const char *text = session_code_text(code);
    note("topic %s: %" PRIu32 ": %s", topic, code, text != NULL ? text : "the server refuses it");
    if (wanted != NULL && strcmp(wanted, topic) == 0)
        finish(listen, COMMAND_FAILED);
}

static void on_connected(void *ctx, enum petrel_verdict verdict)
{
    struct listen *listen = ctx;
    note("connected to %s as %s, device %s: %s", petrel_client_server(listen->client), listen->state.user,
         listen->state.device,
         verdict == PETREL_NEW       ? "new"
         : verdict == PETREL_RESUMED ? "resumed"
                                     : "resumed, with a gap");
    follow(listen);
}

static void on_disconnected(void *ctx, uint32_t code, const char *text, int64_t retry_ms)
{
    struct listen *listen = ctx;
    char number[16] = "", wait[HUMAN_SIZE];
    if (code != 0)
        snprintf(number, sizeof number, "%u: ", code);
    if (retry_ms >= 0) {
        note("disconnected: %s%s; reconnecting in %s", number, text, human_span((uint64_t)retry_ms, wait));
    } else if (listen->client != NULL) {
        note("disconnected: %s%s", number, text);
        finish(listen, COMMAND_FAILED);
    }
}

/* ---- tokens ---- */

static enum command_exit read_token(const char *path, char **token)
{
    char text[TOKEN_SIZE];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return command_fail(COMMAND_FAILED, "the device's token can't be read from %s: %s", path, strerror(errno));
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] == '\0')
        return command_fail(COMMAND_FAILED, "%s holds no token", path);
    *token = object_strdup(text);
    explicit_bzero(text, sizeof text);
    return COMMAND_OK;
}

/* Registering again what is registered changes nothing and mints a fresh token. */
static enum command_exit register_device(struct listen *listen, char **token)
{
    json_t *answer = NULL;
    enum command_exit code = admin_request(
        listen->admin, "POST", json_pack("{s:s, s:s}", "device", listen->state.device, "platform", "petrelctl"),
        &answer, "/v1/apps/%s/users/%s/devices", listen->state.app, listen->state.user);
    const char *text = json_string_value(json_object_get(answer, "token"));
    if (code == COMMAND_OK && text == NULL)
        code = command_fail(COMMAND_FAILED, "the server gave no token for the device");
    if (code == COMMAND_OK)
        *token = object_strdup(text);
    json_decref(answer);
    return code;
}

static enum command_exit get_token(struct listen *listen, char **token)
{
    *token = NULL;
    return listen->token_path != NULL ? read_token(listen->token_path, token) : register_device(listen, token);
}

static void free_token(char **token)
{
    if (*token != NULL)
        explicit_bzero(*token, strlen(*token));
    free(*token);
    *token = NULL;
}

static void on_fetch(void *ctx, struct petrel_client *client)
{
    struct listen *listen = ctx;
    char *token;
    (void)get_token(listen, &token);
    petrel_client_token(client, token);
    free_token(&token);
}

/* ---- the beginning ---- */

/* --server names the one server; else lookup finds one, and another when that is lost. */
static enum command_exit find_server(struct listen *listen)
{
    const char *server = invocation_text(listen->call, "server");
    listen->lookup = invocation_text(listen->call, "lookup");
    if (server != NULL && listen->lookup != NULL)
        return command_fail(COMMAND_USAGE, "--server and --lookup can't be given together");
    if (server != NULL) {
        listen->port = hostport_split(server, strlen(server), listen->host);
        return listen->port != 0
                   ? COMMAND_OK
                   : command_fail(COMMAND_USAGE, "'%s' is no address of a server; write host:port", server);
    }
    if (listen->lookup == NULL && listen->admin == NULL)
        return command_fail(COMMAND_USAGE, "--token needs --lookup or --server: where are sessions served?");
    if (listen->lookup == NULL)
        listen->lookup = admin_lookup(listen->admin);
    if (listen->lookup == NULL)
        return command_fail(COMMAND_USAGE, "the admin API is not at http://host:port; name send API listeners, which "
                                           "know the session servers, with --lookup");
    size_t count = hostport_count(listen->lookup);
    return count > 0 && count <= PETREL_LOOKUP_SERVERS
               ? COMMAND_OK
               : command_fail(COMMAND_USAGE, "'%s' is no list of at most %d lookup servers; write host:port,host:port",
                              listen->lookup, PETREL_LOOKUP_SERVERS);
}

static enum command_exit prepare(struct listen *listen)
{
    const char *device = invocation_text(listen->call, "device");
    struct listen_state *state = &listen->state;
    if (device != NULL && strlen(device) >= sizeof state->device)
        return command_fail(COMMAND_USAGE, "--device: at most %zu characters", sizeof state->device - 1);
    snprintf(state->device, sizeof state->device, "%s", device != NULL ? device : "");
    enum command_exit code = listen_state_load(state);
    if (state->device[0] == '\0')
        snprintf(state->device, sizeof state->device, "%s",
                 listen->token_path != NULL ? "of-the-token" : DEFAULT_DEVICE);
    if (code == COMMAND_OK && listen->token_path == NULL)
        code = admin_open(&listen->admin, listen->call);
    if (code == COMMAND_OK)
        code = find_server(listen);
    /* Once here, before anything else: what is wrong with the app or the user is told, and petrelctl ends. */
    return code == COMMAND_OK ? get_token(listen, &listen->token) : code;
}

static bool wants_tls(const struct invocation *call)
{
    return invocation_flag(call, "tls") || invocation_text(call, "tls-ca") != NULL ||
           invocation_text(call, "tls-name") != NULL;
}

static enum command_exit begin(struct listen *listen)
{
    static const struct petrel_callbacks callbacks = {
        .on_message = on_message,
        .on_save = on_save,
        .on_gap = on_gap,
        .on_connected = on_connected,
        .on_disconnected = on_disconnected,
        .on_topic = on_topic,
    };
    const struct petrel_tls tls = {.ca_file = invocation_text(listen->call, "tls-ca"),
                                   .name = invocation_text(listen->call, "tls-name")};
    char client_name[64];
    snprintf(client_name, sizeof client_name, "petrelctl/%s", petrel_version());
    const struct petrel_client_config config = {
        .loop = &listen->loop,
        .lookup = listen->lookup,
        .host = listen->lookup == NULL ? listen->host : NULL,
        .port = listen->port,
        .token = listen->token,
        .fetch_token = on_fetch,
        .tls = wants_tls(listen->call) ? &tls : NULL,
        .core = {.callbacks = &callbacks,
                 .ctx = listen,
                 .client = client_name,
                 .topics = invocation_flag(listen->call, "topics") || invocation_text(listen->call, "topic") != NULL},
    };
    listen->client = petrel_client_new(&config, &listen->state.position);
    free_token(&listen->token);
    /* All else of the config was judged before. */
    return listen->client != NULL ? COMMAND_OK
                                  : command_fail(COMMAND_FAILED, "%s holds no certificates to trust",
                                                 tls.ca_file != NULL ? tls.ca_file : "the system");
}

static void start_watches(struct listen *listen)
{
    uint64_t for_ms = invocation_number(listen->call, "for", 0);
    int rc = uv_loop_init(&listen->loop);
    rc = rc == 0 ? uv_signal_init(&listen->loop, &listen->interrupt) : rc;
    rc = rc == 0 ? uv_signal_init(&listen->loop, &listen->terminate) : rc;
    rc = rc == 0 ? uv_timer_init(&listen->loop, &listen->timer) : rc;
    listen->interrupt.data = listen->terminate.data = listen->timer.data = listen;
    rc = rc == 0 ? uv_signal_start(&listen->interrupt, on_signal, SIGINT) : rc;
    rc = rc == 0 ? uv_signal_start(&listen->terminate, on_signal, SIGTERM) : rc;
    if (rc == 0 && for_ms > 0)
        rc = uv_timer_start(&listen->timer, on_timer, for_ms, 0);
    petrel_assert(rc == 0);
    signal(SIGPIPE, SIG_IGN); /* of standard output: it is told as an error instead */
}

enum command_exit command_listen(const struct invocation *call)
{
    struct listen listen = {
        .call = call,
        .token_path = invocation_text(call, "token"),
        .state = {.path = invocation_text(call, "state"),
                  .app = invocation_argument(call, 0),
                  .user = invocation_argument(call, 1)},
        .wanted = invocation_number(call, "count", 0),
        .json = invocation_json(call),
    };
    enum command_exit code = prepare(&listen);
    if (code == COMMAND_OK) {
        start_watches(&listen);
        code = begin(&listen);
        if (code != COMMAND_OK)
            on_closed(&listen);
        uv_run(&listen.loop, UV_RUN_DEFAULT);
        petrel_assert(uv_loop_close(&listen.loop) == 0);
        code = code == COMMAND_OK ? listen.code : code;
    }
    free_token(&listen.token);
    admin_close(&listen.admin);
    return code;
}
