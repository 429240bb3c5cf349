#include "unit/session_client.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

static void open_socket(struct client *client, uint16_t port, int receive_bytes)
{
    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .codec = session_codec_new()};
    assert_true(client->fd >= 0);
    struct timeval patience = {.tv_sec = 30};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
    const int at_once = 1; /* small frames one after the other must not wait for the peer's kernel */
    assert_int_equal(setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once), 0);
    if (receive_bytes > 0)
        assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes), 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
}

void client_open(struct client *client, uint16_t port)
{
    open_socket(client, port, 0);
}

void client_open_narrow(struct client *client, uint16_t port)
{
    open_socket(client, port, 4096);
}

void client_close(struct client *client)
{
    if (client->fd >= 0)
        (void)close(client->fd);
    client->fd = -1;
    bytes_reset(&client->in);
    bytes_reset(&client->raw);
    bytes_reset(&client->scratch);
    bytes_reset(&client->pong);
    session_codec_free(&client->codec);
}

void client_send_raw(struct client *client, struct bytes data)
{
    while (data.len > 0) {
        ssize_t sent = send(client->fd, data.ptr, data.len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        data = bytes_of(data.ptr + sent, data.len - (size_t)sent);
    }
}

void client_send(struct client *client, struct bytes data)
{
    static const uint8_t mask[] = {0xa1, 0xb2, 0xc3, 0xd4};
    struct bytebuf message = {0};
    if (!client->is_websocket) {
        client_send_raw(client, data);
        return;
    }
    websocket_put(&message, WEBSOCKET_BINARY, true, mask, data);
    client_send_raw(client, bytes_view(&message));
    bytes_reset(&message);
}

static void send_buf(struct client *client, struct bytebuf *frames)
{
    client_send(client, bytes_view(frames));
    bytes_reset(frames);
}

void client_send_frame(struct client *client, uint8_t type, struct bytes body)
{
    uint8_t header[FRAME_HEADER_BYTES];
    struct bytebuf frame = {0};
    frame_header(header, type, (uint32_t)body.len);
    bytes_append(&frame, header, sizeof header);
    if (body.len > 0)
        bytes_append(&frame, body.ptr, body.len);
    send_buf(client, &frame);
}

void client_connect_as(struct client *client, const char *token, uint64_t attempt, struct position at)
{
    struct bytebuf frame = {0};
    struct session_connect connect_frame = {
        .version = SESSION_PROTOCOL_VERSION,
        .token = bytes_str(token),
        .attempt = attempt,
        .position = at,
        .client = bytes_str("test/1"),
    };
    session_encode_connect(&frame, &connect_frame);
    send_buf(client, &frame);
}

void client_connect(struct client *client, struct rig *rig, const char *device, uint64_t attempt, struct position at)
{
    struct bytebuf token = {0};
    rig_token(rig, "ada", device, &token);
    client_connect_as(client, (const char *)token.ptr, attempt, at);
    bytes_reset(&token);
}

void client_connect_token(struct client *client, const char *token)
{
    client_connect_as(client, token, 1, (struct position){0, 0});
}

void client_ack(struct client *client, uint64_t epoch, uint64_t seq)
{
    struct bytebuf frame = {0};
    session_encode_ack(&frame, (struct position){epoch, seq});
    send_buf(client, &frame);
}

void client_ping(struct client *client, uint64_t echo)
{
    struct bytebuf frame = {0};
    session_encode_ping(&frame, echo);
    send_buf(client, &frame);
}

void client_disconnect(struct client *client)
{
    struct bytebuf frame = {0};
    session_encode_disconnect(&frame, 0);
    send_buf(client, &frame);
}

static size_t receive_into(struct client *client, struct bytebuf *out)
{
    uint8_t *place = bytes_reserve(out, 65536);
    ssize_t got = recv(client->fd, place, 65536, 0);
    assert_true(got >= 0);
    out->len += (size_t)got;
    return (size_t)got;
}

/* Move what messages carry from raw to in. */
static void unwrap(struct client *client)
{
    struct bytes raw = bytes_view(&client->raw);
    struct websocket_event event;
    do {
        websocket_read(&client->reader, WEBSOCKET_CLIENT, UINT32_MAX, &raw, &client->scratch, &event);
        assert_int_not_equal(event.kind, WEBSOCKET_EVENT_BROKEN);
        assert_int_equal(client->closed, 0); /* nothing comes behind a close */
        if (event.kind == WEBSOCKET_EVENT_PIECE && event.payload.len > 0)
            bytes_append(&client->in, event.payload.ptr, event.payload.len);
        if (event.kind == WEBSOCKET_EVENT_PIECE)
            client->messages += event.ends;
        if (event.kind == WEBSOCKET_EVENT_CLOSE)
            client->closed = event.code;
        if (event.kind == WEBSOCKET_EVENT_PONG)
            bytes_put_blob(&client->pong, event.payload);
    } while (event.kind != WEBSOCKET_EVENT_MORE && raw.len > 0);
    client->raw.len = 0;
}

/* The bytes that came, or 0 at the end of the connection. */
static size_t receive(struct client *client)
{
    if (!client->is_websocket)
        return receive_into(client, &client->in);
    size_t got = receive_into(client, &client->raw);
    if (got > 0)
        unwrap(client);
    return got;
}

/* Where the body begins; NULL: the head is not whole. */
static const char *body_of(const struct client *client)
{
    const char *end = memmem(client->raw.ptr, client->raw.len, "\r\n\r\n", 4);
    return end != NULL ? end + 4 : NULL;
}

static size_t content_length(const struct client *client)
{
    const char *at = memmem(client->raw.ptr, client->raw.len, "Content-Length: ", 16);
    return at != NULL ? strtoul(at + 16, NULL, 10) : 0;
}

const char *client_take_http(struct client *client)
{
    client->raw.len = 0;
    const char *body;
    do {
        assert_true(receive_into(client, &client->raw) > 0);
        body = body_of(client);
    } while (body == NULL || (size_t)((const char *)client->raw.ptr + client->raw.len - body) < content_length(client));
    bytes_append(&client->raw, "", 1);
    client->raw.len = 0;
    return (const char *)client->raw.ptr;
}

void client_upgrade(struct client *client)
{
    client_send_raw(client, bytes_str("GET /v1/session HTTP/1.1\r\nHost: petrel\r\nConnection: Upgrade\r\n"
                                      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                      "Sec-WebSocket-Protocol: petrel.v1\r\n\r\n"));
    assert_non_null(strstr(client_take_http(client), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    client->is_websocket = true;
}

void client_open_websocket(struct client *client, uint16_t port)
{
    client_open(client, port);
    client_upgrade(client);
}

void client_take_close(struct client *client, uint32_t code)
{
    bytes_consume(&client->in, client->taken);
    client->taken = 0;
    while (receive(client) > 0) {
    }
    assert_int_equal(client->closed, code);
    assert_int_equal(client->in.len, 0);
}

void client_take_pong(struct client *client, struct bytes payload)
{
    while (client->pong.len == 0)
        assert_true(receive(client) > 0);
    struct bytes in = bytes_view(&client->pong), came;
    assert_int_equal(bytes_get_blob(&in, &came), 0);
    assert_true(bytes_equal(came, payload));
    bytes_consume(&client->pong, client->pong.len - in.len);
}

struct session_frame *client_take_any(struct client *client)
{
    bytes_consume(&client->in, client->taken);
    client->taken = 0;
    struct frame frame;
    for (;;) {
        struct bytes rest = bytes_view(&client->in);
        int rc = frame_take(&rest, FRAME_BODY_MAX, &frame);
        if (rc == 0) {
            client->taken = client->in.len - rest.len;
            break;
        }
        assert_int_equal(rc, PETREL_E_NEED_MORE);
        assert_true(receive(client) > 0);
    }
    assert_int_equal(session_decode(client->codec, &frame, &client->frame), 0);
    return &client->frame;
}

struct session_frame *client_take(struct client *client, enum session_type type)
{
    assert_int_equal(client_take_any(client)->type, type);
    return &client->frame;
}

void client_take_push(struct client *client, uint64_t seq, uint64_t prev, const char *text)
{
    const struct session_push *push = &client_take(client, SESSION_PUSH)->push;
    assert_int_equal(push->position.epoch, RIG_EPOCH);
    assert_int_equal(push->position.seq, seq);
    assert_int_equal(push->prev, prev);
    assert_int_equal(push->message.body.len, strlen(text));
    assert_memory_equal(push->message.body.ptr, text, strlen(text));
}

void client_take_end(struct client *client)
{
    bytes_consume(&client->in, client->taken);
    client->taken = 0;
    assert_int_equal(client->in.len, 0);
    assert_int_equal(receive(client), 0);
}

void client_take_error(struct client *client, uint32_t code)
{
    const struct session_error *error = &client_take(client, SESSION_ERROR)->error;
    assert_int_equal(error->code, code);
    assert_true(error->message.len > 0);
    const uint32_t least_ms = session_role_defaults().backoff_ms;
    if (code == SESSION_CODE_OVERLOADED || code == SESSION_CODE_UNAVAILABLE)
        assert_in_range(error->backoff_ms, least_ms, 10 * least_ms); /* spread */
    else
        assert_int_equal(error->backoff_ms, session_code_retry(code) ? least_ms : 0);
    if (client->is_websocket)
        client_take_close(client, code);
    else
        client_take_end(client);
}

void client_expect_silence(struct client *client)
{
    client_ping(client, 4711);
    assert_int_equal(client_take(client, SESSION_PONG)->echo, 4711);
}

struct route client_go_on_live(struct client *client, struct rig *rig, const char *device, uint64_t seq)
{
    client_connect(client, rig, device, 1, (struct position){0, 0});
    struct link_call *bind = rig_take(rig, PEER_BIND);
    struct route route = bind->in.bind.route;
    struct peer_bound bound = {.verdict = SESSION_NEW, .position = {RIG_EPOCH, seq}, .page = rig_page(seq, seq)};
    rig_answer_bound(rig, bind, &bound);
    assert_int_equal(client_take(client, SESSION_CONNECTED)->connected.position.seq, seq);
    return route;
}

struct route client_go_live(struct client *client, struct rig *rig, const char *device, uint64_t seq)
{
    client_open(client, rig->port);
    return client_go_on_live(client, rig, device, seq);
}

void scene_open(struct scene *scene, const struct session_config *config)
{
    scene->header = NULL;
    scene->rig = rig_new(config);
    client_go_live(&scene->bystander, scene->rig, "bystander", 0);
    client_open(&scene->client, scene->rig->port);
}

void scene_close(struct scene *scene)
{
    client_expect_silence(&scene->bystander);
    client_close(&scene->client);
    client_close(&scene->bystander);
    rig_free(&scene->rig);
}

void scene_reopen(struct scene *scene)
{
    client_close(&scene->client);
    client_open(&scene->client, scene->rig->port);
    if (scene->header != NULL)
        client_send_raw(&scene->client, bytes_str(scene->header));
}
