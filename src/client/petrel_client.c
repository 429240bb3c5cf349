#include "base/object.h"
#include "base/rng.h"
#include "client/client_lookup.h"
#include "client/client_tls.h"
#include "client/client_uv.h"
#include "client/core.h"
#include "client/hostport.h"
#include "petrel/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_MAGIC OBJECT_MAGIC('P', 'C', 'L', 'I')
#define CONNECT_TIMEOUT_MS 10000
#define GOODBYE_MS 1000 /* for the last ACK and DISCONNECT to reach a server that answers by closing */

enum phase {
    WAITING,  /* for the time of the next connect */
    FETCHING, /* the application was asked for a token */
    LOOKING,  /* lookup servers are asked */
    OPENING,  /* the server's name is resolved, and it is connected to */
    UP,       /* a connection stands */
    ENDING,   /* on_disconnected is being called */
    STOPPED,  /* until a token is handed over */
    CLOSING,  /* goodbye */
};

struct petrel_client {
    uint32_t magic;
    enum phase phase;
    struct petrel_core *core;
    struct client_uv *uv;
    struct client_tls *tls;            /* NULL: none is spoken */
    struct petrel_callbacks callbacks; /* the application's */
    void *ctx;
    petrel_token_fn *fetch_token;
    struct client_lookup *lookup; /* NULL: host and port are the usual address */
    char *host;
    uint16_t port;
    uint32_t connect_timeout_ms;
    uint32_t patience_ms;          /* with each lookup server */
    char server[HOSTPORT_MAX + 3]; /* with the brackets of an IPv6 address */
    char *token;
    bool token_used; /* a CONNECT carried it: a refusal is about it */
    bool paused;
    bool goodbye; /* closing: there is a server to say goodbye to */
    bool parting; /* it was said, the server's close is awaited */
    void (*on_closed)(void *ctx);
};

/* ---- the core's callbacks: the application's, but none once it has closed the client ---- */

static void on_message(void *ctx, const struct petrel_message *message)
{
    struct petrel_client *client = ctx;
    if (client->phase != CLOSING)
        client->callbacks.on_message(client->ctx, message);
}

static void on_save(void *ctx, const struct petrel_state *state)
{
    struct petrel_client *client = ctx;
    if (client->callbacks.on_save != NULL)
        client->callbacks.on_save(client->ctx, state);
}

static void on_gap(void *ctx, const struct petrel_gap *gap)
{
    struct petrel_client *client = ctx;
    if (client->phase != CLOSING && client->callbacks.on_gap != NULL)
        client->callbacks.on_gap(client->ctx, gap);
}

static void on_topic(void *ctx, const char *topic, bool follows, uint32_t code)
{
    struct petrel_client *client = ctx;
    if (client->phase != CLOSING && client->callbacks.on_topic != NULL)
        client->callbacks.on_topic(client->ctx, topic, follows, code);
}

static void on_connected(void *ctx, enum petrel_verdict verdict)
{
    struct petrel_client *client = ctx;
    if (client->phase != CLOSING && client->callbacks.on_connected != NULL)
        client->callbacks.on_connected(client->ctx, verdict);
}

static void set_token(struct petrel_client *client, const char *token)
{
    free(client->token);
    client->token = token != NULL ? object_strdup(token) : NULL;
    client->token_used = false;
}

static void on_disconnected(void *ctx, uint32_t code, const char *text, int64_t retry_ms)
{
    struct petrel_client *client = ctx;
    bool refused = code == SESSION_CODE_TOKEN_EXPIRED || code == SESSION_CODE_TOKEN_INVALID;
    if (refused && client->token_used && client->fetch_token != NULL)
        set_token(client, NULL);
    if (client->callbacks.on_disconnected != NULL)
        client->callbacks.on_disconnected(client->ctx, code, text, retry_ms);
}

static const struct petrel_callbacks CORE_CALLBACKS = {
    .on_message = on_message,
    .on_save = on_save,
    .on_gap = on_gap,
    .on_topic = on_topic,
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
};

/* ---- the way to a connection ---- */

static void wait_until(struct petrel_client *client, uint64_t at_ms)
{
    client->phase = WAITING;
    client_uv_timer(client->uv, at_ms);
}

/* This try, or this connection, is over. text: why, unless the core knows better. */
static void fail(struct petrel_client *client, const char *text)
{
    uint64_t now = client_uv_now(client->uv);
    client_uv_drop(client->uv);
    client_uv_timer(client->uv, UINT64_MAX);
    client->phase = ENDING;
    if (text != NULL)
        core_end(client->core, 0, text);
    int64_t retry_ms = petrel_core_lost(client->core, now);
    if (client->phase == CLOSING)
        return;
    /* Stopped, but the application answered with another token: not without any wait, it might be as bad. */
    if (retry_ms < 0 && client->token != NULL && !client->token_used)
        retry_ms = CORE_BACKOFF_MIN_MS;
    if (retry_ms >= 0)
        wait_until(client, now + (uint64_t)retry_ms);
    else
        client->phase = STOPPED;
}

static void open_server(struct petrel_client *client, const struct petrel_next *next)
{
    char host[HOSTPORT_HOST_MAX + 1];
    uint32_t timeout_ms =
        client->connect_timeout_ms < next->patience_ms ? client->connect_timeout_ms : next->patience_ms;
    client->phase = OPENING;
    if (next->address != NULL) {
        uint16_t port = hostport_split(next->address, strlen(next->address), host);
        snprintf(client->server, sizeof client->server, "%s", next->address);
        client_uv_open(client->uv, host, port, CLIENT_TLS_SESSION, timeout_ms);
        return;
    }
    bool is_ipv6 = strchr(client->host, ':') != NULL;
    snprintf(client->server, sizeof client->server, "%s%.*s%s:%u", is_ipv6 ? "[" : "", HOSTPORT_HOST_MAX, client->host,
             is_ipv6 ? "]" : "", (unsigned)client->port);
    client_uv_open(client->uv, client->host, client->port, CLIENT_TLS_SESSION, timeout_ms);
}

/* Ask the next lookup server; when there is none left, go by what is known. text: why the one before gave no answer. */
static void look_up(struct petrel_client *client, const char *text)
{
    struct petrel_next next;
    client->phase = LOOKING;
    if (client_lookup_open(client->lookup, client->uv, client->patience_ms)) {
        client_uv_timer(client->uv, client_uv_now(client->uv) + client->patience_ms);
        return;
    }
    client_uv_timer(client->uv, UINT64_MAX);
    if (petrel_core_unanswered(client->core) != 0) {
        char why[200];
        snprintf(why, sizeof why, "no lookup server answers: %s", text);
        fail(client, why);
        return;
    }
    petrel_core_next(client->core, client_uv_now(client->uv), &next);
    open_server(client, &next);
}

static void look_further(struct petrel_client *client, const char *text)
{
    client_uv_drop(client->uv);
    look_up(client, text);
}

/* Bytes of a lookup server's; {NULL, 0}: its connection ended, as text says. */
static void take_lookup(struct petrel_client *client, struct bytes in, const char *text)
{
    struct bytes body;
    enum client_lookup_event event = client_lookup_feed(client->lookup, in, &body);
    if (event == CLIENT_LOOKUP_MORE)
        return;
    uint64_t now = client_uv_now(client->uv);
    int64_t wait_ms = -1;
    if (event == CLIENT_LOOKUP_ANSWER)
        wait_ms = petrel_core_servers(client->core, now, (const char *)body.ptr, body.len);
    if (wait_ms < 0) {
        look_further(client, text != NULL ? text : client_lookup_why(client->lookup));
        return;
    }
    client_lookup_keep(client->lookup);
    client_uv_drop(client->uv);
    wait_until(client, now + (uint64_t)wait_ms);
}

static void find_server(struct petrel_client *client)
{
    struct petrel_next next;
    petrel_core_next(client->core, client_uv_now(client->uv), &next);
    if (next.address != NULL || client->lookup == NULL) {
        open_server(client, &next);
        return;
    }
    client->patience_ms = next.patience_ms;
    client_lookup_begin(client->lookup);
    look_up(client, "");
}

static void try_connect(struct petrel_client *client)
{
    if (client->token != NULL) {
        find_server(client);
    } else if (client->fetch_token != NULL) {
        client->phase = FETCHING;
        client->fetch_token(client->ctx, client);
    } else {
        client->phase = STOPPED;
    }
}

void petrel_client_token(struct petrel_client *client, const char *token)
{
    object_check(client, CLIENT_MAGIC);
    if (client->phase == CLOSING)
        return;
    if (token != NULL)
        set_token(client, token);
    if (client->phase == FETCHING && token == NULL)
        fail(client, "no token could be had");
    else if ((client->phase == FETCHING || client->phase == STOPPED) && token != NULL)
        wait_until(client, client_uv_now(client->uv)); /* connects from the loop, not from inside this call */
}

/* ---- a connection that stands ---- */

/* Hand the core's output to the socket, and have the timer go off when the core wants it. */
static void pump(struct petrel_client *client)
{
    const uint8_t *bytes;
    size_t len = petrel_core_output(client->core, &bytes);
    if (len > 0 && client_uv_write(client->uv, bytes, len))
        petrel_core_sent(client->core, len);
    if (client->phase == UP)
        client_uv_timer(client->uv, petrel_core_deadline(client->core));
}

static void ask(struct petrel_client *client)
{
    struct bytebuf request = {0};
    client_lookup_request(client->lookup, &request);
    bool taken = client_uv_write(client->uv, request.ptr, request.len);
    petrel_assert(taken);
    bytes_reset(&request);
}

static void on_uv_open(void *owner)
{
    struct petrel_client *client = owner;
    uint64_t now = client_uv_now(client->uv);
    if (client->phase == LOOKING) {
        ask(client);
        return;
    }
    client->phase = UP;
    client->token_used = true;
    if (petrel_core_connected(client->core, now, client->token) != 0) {
        set_token(client, NULL);
        fail(client, "the token is too long");
        return;
    }
    if (client->paused) {
        petrel_core_pause(client->core, now, true);
        client_uv_read(client->uv, false);
    }
    pump(client);
}

static void on_uv_read(void *owner, const uint8_t *bytes, size_t len)
{
    struct petrel_client *client = owner;
    if (client->phase == LOOKING)
        take_lookup(client, bytes_of(bytes, len), NULL);
    else if (petrel_core_receive(client->core, client_uv_now(client->uv), bytes, len) == 0)
        pump(client);
    else if (client->phase == CLOSING)
        client->goodbye = false;
    else
        fail(client, NULL);
}

static void on_uv_sent(void *owner)
{
    struct petrel_client *client = owner;
    if (client->phase != LOOKING)
        pump(client);
}

static void free_parts(struct petrel_client *client)
{
    petrel_core_free(&client->core);
    client_lookup_free(&client->lookup);
    client_tls_free(&client->tls);
}

static void on_uv_closed(void *owner)
{
    struct petrel_client *client = owner;
    void (*on_closed)(void *ctx) = client->on_closed;
    void *ctx = client->ctx;
    free_parts(client);
    free(client->host);
    free(client->token);
    client->magic = 0;
    free(client);
    if (on_closed != NULL)
        on_closed(ctx);
}

static void on_uv_end(void *owner, const char *text)
{
    struct petrel_client *client = owner;
    if (client->phase == LOOKING)
        take_lookup(client, (struct bytes){NULL, 0}, text);
    else if (client->phase != CLOSING)
        fail(client, text);
    else if (client->parting)
        client_uv_close(&client->uv, on_uv_closed);
    else
        client->goodbye = false; /* the timer that petrel_client_close() set does the rest */
}

/* Once to send the goodbye; and when the server does not answer it by closing in time, to close from this side. */
static void part(struct petrel_client *client)
{
    if (client->parting || !client->goodbye) {
        client_uv_close(&client->uv, on_uv_closed);
        return;
    }
    client->parting = true;
    client_uv_read(client->uv, true);
    client_uv_timer(client->uv, client_uv_now(client->uv) + GOODBYE_MS);
    pump(client);
}

static void on_uv_timer(void *owner)
{
    struct petrel_client *client = owner;
    if (client->phase == CLOSING)
        part(client);
    else if (client->phase == WAITING)
        try_connect(client);
    else if (client->phase == LOOKING)
        look_further(client, "no answer in time");
    else if (petrel_core_tick(client->core, client_uv_now(client->uv)) == 0)
        pump(client);
    else
        fail(client, NULL);
}

static const struct client_uv_ops UV_OPS = {
    .on_timer = on_uv_timer,
    .on_open = on_uv_open,
    .on_read = on_uv_read,
    .on_sent = on_uv_sent,
    .on_end = on_uv_end,
};

/* ---- life ---- */

static uint64_t random_number(void)
{
    struct rng rng;
    rng_seed_system(&rng);
    return rng_u64(&rng);
}

static struct petrel_core *new_core(struct petrel_client *client, const struct petrel_client_config *config,
                                    const struct petrel_state *state)
{
    struct petrel_core_config own = config->core;
    own.callbacks = &CORE_CALLBACKS;
    own.ctx = client;
    own.fresh_tokens = config->fetch_token != NULL;
    own.lookup = config->lookup != NULL;
    if (own.seed == 0)
        own.seed = random_number();
    return petrel_core_new(&own, state);
}

static bool is_whole(const struct petrel_client_config *config)
{
    const struct petrel_callbacks *callbacks = config->core.callbacks;
    return config->loop != NULL && (config->host == NULL) != (config->lookup == NULL) && callbacks != NULL &&
           callbacks->on_message != NULL;
}

struct petrel_client *petrel_client_new(const struct petrel_client_config *config, const struct petrel_state *state)
{
    struct petrel_client *client = is_whole(config) ? calloc(1, sizeof *client) : NULL;
    if (client == NULL)
        return NULL;
    if (config->lookup != NULL)
        client->lookup = client_lookup_new(config->lookup, random_number());
    if (config->tls != NULL)
        client->tls = client_tls_new(config->tls);
    if ((client->lookup != NULL) == (config->lookup != NULL) && (client->tls != NULL) == (config->tls != NULL))
        client->core = new_core(client, config, state);
    client->uv = client->core != NULL ? client_uv_new(config->loop, client->tls, &UV_OPS, client) : NULL;
    if (client->uv == NULL) {
        free_parts(client);
        free(client);
        return NULL;
    }
    client->magic = CLIENT_MAGIC;
    client->callbacks = *config->core.callbacks;
    client->ctx = config->core.ctx;
    client->fetch_token = config->fetch_token;
    client->host = config->host != NULL ? object_strdup(config->host) : NULL;
    client->port = config->port;
    client->connect_timeout_ms = config->connect_timeout_ms != 0 ? config->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    set_token(client, config->token);
    wait_until(client, client_uv_now(client->uv));
    return client;
}

static void set_paused(struct petrel_client *client, bool paused)
{
    object_check(client, CLIENT_MAGIC);
    client->paused = paused;
    if (client->phase != UP)
        return;
    petrel_core_pause(client->core, client_uv_now(client->uv), paused);
    client_uv_read(client->uv, !paused);
    client_uv_timer(client->uv, petrel_core_deadline(client->core));
}

int petrel_client_topic(struct petrel_client *client, const char *topic, bool follow)
{
    object_check(client, CLIENT_MAGIC);
    if (client->phase != UP || petrel_core_topic(client->core, topic, follow) != 0)
        return -1;
    pump(client);
    return 0;
}

void petrel_client_pause(struct petrel_client *client)
{
    set_paused(client, true);
}

void petrel_client_resume(struct petrel_client *client)
{
    set_paused(client, false);
}

void petrel_client_close(struct petrel_client *client, void (*on_closed)(void *ctx))
{
    object_check(client, CLIENT_MAGIC);
    petrel_assert(client->phase != CLOSING);
    client->goodbye = client->phase == UP;
    if (client->goodbye)
        petrel_core_disconnect(client->core, false);
    else
        client_uv_drop(client->uv);
    client->phase = CLOSING;
    client->on_closed = on_closed;
    client_uv_timer(client->uv, client_uv_now(client->uv));
}

const struct petrel_state *petrel_client_state(const struct petrel_client *client)
{
    object_check(client, CLIENT_MAGIC);
    return petrel_core_state(client->core);
}

const char *petrel_client_server(const struct petrel_client *client)
{
    object_check(client, CLIENT_MAGIC);
    return client->server;
}
