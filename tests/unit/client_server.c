#include "unit/client_server.h"

#include "base/object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LIMIT_MS 10000
#define BURST_BODY 1000

/* ---- the server ---- */

static void tell(struct rig *rig, const char *who, const char *what)
{
    bytes_printf(&rig->seen, "%s %s; ", who, what);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void server_drop(struct server *server)
{
    if (server->peer == NULL)
        return;
    uv_close((uv_handle_t *)server->peer, free_handle);
    server->peer = NULL;
}

static void free_write(uv_write_t *write, int status)
{
    (void)status;
    free(write->data);
    free(write);
}

/* Takes the bytes over. */
static void send_bytes(struct server *server, struct bytebuf *out)
{
    uv_write_t *write = object_zalloc(sizeof *write);
    write->data = out->ptr;
    uv_buf_t buffer = uv_buf_init((char *)out->ptr, (unsigned)out->len);
    *out = (struct bytebuf){0};
    int rc = uv_write(write, (uv_stream_t *)server->peer, &buffer, 1, free_write);
    petrel_assert(rc == 0);
}

static void put_push(struct bytebuf *out, uint64_t seq)
{
    uint8_t body[BURST_BODY] = {0};
    struct session_message message = {.body = bytes_of(body, sizeof body)};
    memcpy(message.id.bytes, &seq, sizeof seq);
    struct buf *stored = session_encode_message(&message);
    session_encode_push(out, 0, (struct position){7, seq}, seq - 1, buf_bytes(stored));
    buf_unref(stored);
}

static void put_goaway(struct bytebuf *out, const struct server *next)
{
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%u", (unsigned)next->port);
    const struct session_goaway goaway = {.code = SESSION_CODE_DRAIN,
                                          .deadline_ms = 5000,
                                          .spread_ms = 10,
                                          .targets_count = 2,
                                          .targets = {bytes_str("nonsense"), bytes_str(target)}};
    session_encode_goaway(out, &goaway);
}

static void answer_connect(struct server *server, const struct session_connect *connect)
{
    struct bytebuf out = {0};
    enum answer answer = server->answer;
    if (answer == ANSWER_NOTHING || answer == ANSWER_CLOSE) {
        if (answer == ANSWER_CLOSE)
            server_drop(server);
        return;
    }
    if (answer == ANSWER_ERROR) {
        session_encode_error(&out, server->code, "no", 1);
        server->answer = ANSWER_CONNECTED;
        send_bytes(server, &out);
        return;
    }
    const struct session_connected connected = {
        .verdict = SESSION_RESUMED,
        .position = {7, connect->position.epoch == 7 ? connect->position.seq : 0},
        .heartbeat_s = 100,
    };
    session_encode_connected(&out, &connected);
    if (answer == ANSWER_GOAWAY)
        put_goaway(&out, server->next);
    for (uint64_t i = 1; answer == ANSWER_MESSAGES && i <= server->messages; i++)
        put_push(&out, connected.position.seq + i);
    send_bytes(server, &out);
}

static int on_frame(void *ctx, const struct frame *frame)
{
    struct server *server = ctx;
    struct session_frame in;
    int rc = session_decode(server->rig->codec, frame, &in);
    petrel_assert(rc == 0);
    char text[160];
    if (in.type == SESSION_CONNECT) {
        snprintf(text, sizeof text, "CONNECT %" PRIu64 "/%" PRIu64 "#%" PRIu64 " %.*s", in.connect.position.epoch,
                 in.connect.position.seq, in.connect.attempt, (int)in.connect.token.len,
                 (const char *)in.connect.token.ptr);
        tell(server->rig, server->name, text);
        answer_connect(server, &in.connect);
    } else if (in.type == SESSION_ACK) {
        snprintf(text, sizeof text, "ACK %" PRIu64, in.ack.seq);
        if (!server->rig->quiet)
            tell(server->rig, server->name, text);
    } else if (in.type == SESSION_DISCONNECT) {
        tell(server->rig, server->name, "DISCONNECT");
        server_drop(server);
    }
    return server->peer == NULL; /* stop: the connection is gone */
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)handle;
    *out = uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct server *server = stream->data;
    if (len < 0 && server->peer == (uv_tcp_t *)stream) {
        tell(server->rig, server->name, "end");
        server_drop(server);
    } else if (len > 0 && server->peer == (uv_tcp_t *)stream) {
        frame_reader_feed(&server->reader, FRAME_BODY_DEFAULT, bytes_of(buffer->base, (size_t)len), on_frame, server);
    }
    free(buffer->base);
}

static void on_accept(uv_stream_t *listener, int status)
{
    struct server *server = listener->data;
    uv_tcp_t *peer = object_zalloc(sizeof *peer);
    uv_tcp_init(listener->loop, peer);
    peer->data = server;
    if (status != 0 || uv_accept(listener, (uv_stream_t *)peer) != 0) {
        uv_close((uv_handle_t *)peer, free_handle);
        return;
    }
    server_drop(server);
    frame_reader_reset(&server->reader);
    server->peer = peer;
    uv_read_start((uv_stream_t *)peer, on_alloc, on_read);
}

static void server_begin(struct server *server, struct rig *rig, const char *name)
{
    struct sockaddr_in address;
    int len = sizeof address;
    server->rig = rig;
    server->name = name;
    server->listener.data = server;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(&rig->loop, &server->listener);
    uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
    int rc = uv_listen((uv_stream_t *)&server->listener, 16, on_accept);
    petrel_assert(rc == 0);
    uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &len);
    server->port = ntohs(address.sin_port);
}

static void server_end(struct server *server)
{
    server_drop(server);
    frame_reader_reset(&server->reader);
    uv_close((uv_handle_t *)&server->listener, NULL);
}

/* ---- the application ---- */

static void on_closed(void *ctx)
{
    struct rig *rig = ctx;
    rig->client = NULL;
    tell(rig, "app", "closed");
}

static void close_if(struct rig *rig, const char *where)
{
    if (rig->close_in != NULL && strcmp(rig->close_in, where) == 0) {
        rig->close_in = NULL;
        petrel_client_close(rig->client, on_closed);
    }
}

static void on_message(void *ctx, const struct petrel_message *message)
{
    struct rig *rig = ctx;
    rig->messages++;
    if (!rig->quiet)
        bytes_printf(&rig->seen, "app message %" PRIu64 "; ", message->seq);
    close_if(rig, "message");
}

static void on_connected(void *ctx, enum petrel_verdict verdict)
{
    (void)verdict;
    tell(ctx, "app", "connected");
}

static void on_disconnected(void *ctx, uint32_t code, const char *text, int64_t retry_ms)
{
    struct rig *rig = ctx;
    bytes_printf(&rig->seen, "app disconnected %" PRIu32 " %s %s; ", code, text, retry_ms >= 0 ? "retry" : "stop");
    close_if(rig, "disconnected");
}

static void on_fetch(void *ctx, struct petrel_client *client)
{
    struct rig *rig = ctx;
    tell(rig, "app", "fetch");
    if (rig->close_in != NULL)
        close_if(rig, "fetch");
    else
        petrel_client_token(client, rig->tokens_used < 4 ? rig->tokens[rig->tokens_used++] : NULL);
}

void server_rig_client(struct rig *rig, const char *host, const char *token, bool fetch)
{
    static const struct petrel_callbacks callbacks = {
        .on_message = on_message, .on_connected = on_connected, .on_disconnected = on_disconnected};
    const struct petrel_client_config config = {
        .loop = &rig->loop,
        .lookup = rig->lookup,
        .host = rig->lookup == NULL ? host : NULL,
        .port = rig->one.port,
        .token = token,
        .fetch_token = fetch ? on_fetch : NULL,
        .core = {.callbacks = &callbacks, .ctx = rig, .ack_delay_ms = 1},
        .connect_timeout_ms = 300,
    };
    rig->client = petrel_client_new(&config, NULL);
    petrel_assert(rig->client != NULL);
}

/* ---- the rig ---- */

static void on_limit(uv_timer_t *timer)
{
    struct rig *rig = timer->data;
    rig->too_late = true;
}

void server_rig_begin(struct rig *rig)
{
    *rig = (struct rig){.codec = session_codec_new()};
    uv_loop_init(&rig->loop);
    uv_timer_init(&rig->loop, &rig->limit);
    rig->limit.data = rig;
    server_begin(&rig->one, rig, "one");
    server_begin(&rig->two, rig, "two");
}

const char *server_rig_seen(struct rig *rig)
{
    bytes_reserve(&rig->seen, 1)[0] = '\0';
    return (const char *)rig->seen.ptr;
}

bool server_rig_until(struct rig *rig, const char *text)
{
    rig->too_late = false;
    uv_timer_start(&rig->limit, on_limit, LIMIT_MS, 0);
    while (strstr(server_rig_seen(rig), text) == NULL && !rig->too_late)
        uv_run(&rig->loop, UV_RUN_ONCE);
    uv_timer_stop(&rig->limit);
    return !rig->too_late;
}

bool server_rig_close(struct rig *rig)
{
    petrel_client_close(rig->client, on_closed);
    return server_rig_until(rig, "app closed");
}

bool server_rig_end(struct rig *rig)
{
    if (rig->client != NULL) /* the test failed */
        server_rig_close(rig);
    server_end(&rig->one);
    server_end(&rig->two);
    uv_timer_stop(&rig->limit);
    uv_close((uv_handle_t *)&rig->limit, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    session_codec_free(&rig->codec);
    bytes_reset(&rig->seen);
    return uv_loop_close(&rig->loop) == 0;
}
