/* Peers of link_tcp that misbehave: strangers, wrong secrets, lies. A connection of the test's own says what it likes. */
#include "contract/link_pair.h"
#include "wire/peer_codec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define WAIT_S 30

/* A blocking socket, and what came on it. */
struct raw {
    int fd;
    struct peer_codec *codec;
    struct bytebuf in;
    struct bytebuf out;
    struct bytebuf ours, theirs; /* hellos' bodies */
};

static void raw_open(struct raw *raw, uint16_t port)
{
    *raw = (struct raw){.fd = socket(AF_INET, SOCK_STREAM, 0), .codec = peer_codec_new()};
    const struct timeval wait = {.tv_sec = WAIT_S};
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(raw->fd >= 0);
    assert_int_equal(setsockopt(raw->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(connect(raw->fd, (const struct sockaddr *)&address, sizeof address), 0);
}

static void raw_close(struct raw *raw)
{
    close(raw->fd);
    peer_codec_free(&raw->codec);
    bytes_reset(&raw->in);
    bytes_reset(&raw->out);
    bytes_reset(&raw->ours);
    bytes_reset(&raw->theirs);
}

static void raw_write(struct raw *raw, struct bytes bytes)
{
    assert_int_equal(send(raw->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL), bytes.len);
}

static void raw_flush(struct raw *raw)
{
    raw_write(raw, bytes_view(&raw->out));
    raw->out.len = 0;
}

/* The next frame's type, its body in raw->theirs; -1: the connection has ended. */
static int raw_frame(struct raw *raw)
{
    for (;;) {
        struct bytes in = bytes_view(&raw->in);
        struct frame frame;
        if (frame_take(&in, FRAME_BODY_MAX, &frame) == 0) {
            const int type = frame.type;
            raw->theirs.len = 0;
            bytes_append(&raw->theirs, frame.body.ptr, frame.body.len);
            bytes_consume(&raw->in, FRAME_HEADER_BYTES + frame.body.len);
            return type;
        }
        const ssize_t got = recv(raw->fd, bytes_reserve(&raw->in, 4096), 4096, 0);
        if (got <= 0) {
            assert_true(got == 0 || errno == ECONNRESET); /* and not EAGAIN: it was ended in time */
            return -1;
        }
        raw->in.len += (size_t)got;
    }
}

static void raw_expect_end(struct raw *raw)
{
    while (raw_frame(raw) >= 0)
        continue;
}

static struct peer_hello hello_of(uint32_t node, uint64_t incarnation, uint64_t serial)
{
    struct peer_hello hello = {.version = PEER_PROTOCOL_VERSION,
                               .node = node,
                               .incarnation = incarnation,
                               .name = bytes_str("raw"),
                               .window = 10,
                               .serial = serial};
    memset(hello.nonce, 7, sizeof hello.nonce);
    return hello;
}

/* Greet as a caller, with that secret. Whether the other side proved itself in turn. */
static bool raw_greet(struct raw *raw, const struct peer_hello *hello, const char *secret)
{
    uint8_t mac[DIGEST_SHA256_BYTES];
    uint8_t theirs[DIGEST_SHA256_BYTES];
    peer_codec_encode_hello(&raw->out, hello);
    bytes_append(&raw->ours, raw->out.ptr + FRAME_HEADER_BYTES, raw->out.len - FRAME_HEADER_BYTES);
    raw_flush(raw);
    if (raw_frame(raw) != PEER_HELLO)
        return false;
    struct bytebuf called = {0};
    bytes_append(&called, raw->theirs.ptr, raw->theirs.len);
    peer_codec_mac(bytes_str(secret), true, bytes_view(&raw->ours), bytes_view(&called), mac);
    peer_codec_encode_proof(&raw->out, mac);
    raw_flush(raw);
    const bool proved = raw_frame(raw) == PEER_PROOF;
    if (proved) {
        peer_codec_mac(bytes_str(secret), false, bytes_view(&raw->ours), bytes_view(&called), mac);
        assert_int_equal(peer_codec_decode_proof(raw->codec, bytes_view(&raw->theirs), theirs), 0);
        assert_true(digest_equal(mac, theirs));
    }
    bytes_reset(&called);
    return proved;
}

static void open_node(struct link_pair_node *node)
{
    struct link_tcp_config config = link_pair_config(1, 1700000000001, DISCOVERY_MESSAGE);
    config.window = 4;
    link_pair_open(node, &config, 0);
}

static uint64_t total_refused(struct link_pair_node *node)
{
    return link_pair_look(node, 0).refused + link_pair_look(node, 1).refused;
}

static void who_does_not_greet_as_a_node_is_closed(void **state)
{
    (void)state;
    struct link_pair_node node;
    open_node(&node);
    struct peer_hello later = hello_of(9, 1, 1);
    struct peer_hello own = hello_of(1, 1, 1);
    struct bytebuf greetings[6] = {{0}};
    later.version = 2;
    bytes_append_str(&greetings[0], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_codec_encode_hello(&greetings[1], &later);
    peer_codec_encode_hello(&greetings[2], &own);
    peer_codec_encode_bare(&greetings[3], PEER_PING);
    bytes_append(&greetings[4], "\x01\x00\x04\x01", 4); /* a hello of 1,025 bytes, of which none comes */
    bytes_append(&greetings[5], "\x01\x00\x00\x03\x08\x01\xff", 7);
    for (size_t i = 0; i < 6; i++) {
        struct raw raw;
        raw_open(&raw, node.port);
        raw_write(&raw, bytes_view(&greetings[i]));
        assert_int_equal(raw_frame(&raw), -1);
        raw_close(&raw);
        bytes_reset(&greetings[i]);
        assert_int_equal(total_refused(&node), i + 1);
    }
    link_pair_close(&node);
}

static void a_wrong_secret_learns_no_proof(void **state)
{
    (void)state;
    struct link_pair_node node;
    open_node(&node);
    const struct peer_hello hello = hello_of(9, 1, 1);
    struct raw raw;
    raw_open(&raw, node.port);
    assert_false(raw_greet(&raw, &hello, "a secret of some nodes"));
    raw_close(&raw);
    assert_int_equal(total_refused(&node), 1);
    assert_int_equal(link_pair_look(&node, 0).known, 0);

    /* And two real nodes never come together. */
    struct link_pair_node other;
    struct link_tcp_config config = link_pair_config(2, 1700000000002, DISCOVERY_SESSION);
    config.secret = bytes_str("a secret of some nodes");
    link_pair_open(&other, &config, 0);
    link_pair_view(&other, (struct link_pair_node *[]){&node}, 1);
    LINK_PAIR_REACHES(&other, 0, refused, 3); /* it tries again, and again */
    assert_int_equal(link_pair_look(&other, 0).peers_up + link_pair_look(&other, 0).dirty, 0);
    link_pair_close(&other);
    link_pair_close(&node);
}

static void another_node_at_the_address_is_not_taken_for_it(void **state)
{
    (void)state;
    struct link_pair_node node;
    struct link_pair_node session;
    const struct link_tcp_config config = link_pair_config(2, 1700000000002, DISCOVERY_SESSION);
    open_node(&node);
    link_pair_open(&session, &config, 0);
    struct link_pair_node named = {.number = 5, .roles = DISCOVERY_MESSAGE, .incarnation = 1, .port = node.port};
    link_pair_view(&session, (struct link_pair_node *[]){&named}, 1);
    LINK_PAIR_REACHES(&session, 0, refused, 2);
    assert_int_equal(link_pair_look(&session, 0).peers_up, 0);
    link_pair_close(&session);
    link_pair_close(&node);
}

static void who_does_not_greet_in_time_is_closed(void **state)
{
    (void)state;
    struct link_pair_node node;
    struct link_tcp_config config = link_pair_config(1, 1700000000001, DISCOVERY_MESSAGE);
    config.silence_ms = 200;
    config.max_strangers = 1;
    link_pair_open(&node, &config, 0);
    struct raw raw[2 * LINK_PAIR_LOOPS + 1];
    const size_t count = sizeof raw / sizeof raw[0];
    for (size_t i = 0; i < count; i++)
        raw_open(&raw[i], node.port); /* one a loop is let in, the others are closed at once */
    for (size_t i = 0; i < count; i++) {
        raw_expect_end(&raw[i]);
        raw_close(&raw[i]);
    }
    assert_int_equal(total_refused(&node), count);
    link_pair_close(&node);
}

static void of_two_connections_of_a_loop_the_newer_stays(void **state)
{
    (void)state;
    struct link_pair_node node;
    open_node(&node);
    const uint64_t serials[] = {5, 9, 7};
    struct raw raw[3];
    for (size_t i = 0; i < 3; i++) {
        const struct peer_hello hello = hello_of(9, 1000, serials[i]);
        raw_open(&raw[i], node.port);
        const bool proved = raw_greet(&raw[i], &hello, LINK_PAIR_SECRET);
        assert_true(proved || i == 2); /* which may be closed before its proof is out */
        if (i == 1)
            raw_expect_end(&raw[0]); /* the newer has come */
        for (size_t loop = 0; loop < LINK_PAIR_LOOPS; loop++)
            LINK_PAIR_IS(&node, loop, known, 1);
    }
    raw_expect_end(&raw[2]); /* it is older than one that is there */
    const struct link_pair_node named = {.number = 9, .incarnation = 1000};
    assert_int_equal(link_pair_tell(&node, 0, &named, 0, 77, 1, NULL), 1);
    int type;
    while ((type = raw_frame(&raw[1])) == PEER_PING)
        continue;
    assert_int_equal(type, PEER_DELIVER);
    for (size_t i = 0; i < 3; i++)
        raw_close(&raw[i]);
    for (size_t loop = 0; loop < LINK_PAIR_LOOPS; loop++)
        LINK_PAIR_IS(&node, loop, known, 0);
    link_pair_close(&node);
}

/* Each connection of a loop has a greater serial than those before it, as a caller's have: that an earlier one has ended may be known
 * on one loop of the node and not yet on the other. */
static void raw_join(struct raw *raw, struct link_pair_node *node, uint64_t serial)
{
    const struct peer_hello hello = hello_of(9, 1000, serial);
    raw_open(raw, node->port);
    assert_true(raw_greet(raw, &hello, LINK_PAIR_SECRET));
}

static void a_peer_that_breaks_the_protocol_is_closed(void **state)
{
    (void)state;
    struct link_pair_node node;
    open_node(&node);
    struct bytebuf lies[5] = {{0}};
    const struct peer_msg evict = {.type = PEER_EVICT, .evict = {.route = {.generation = 1}, .code = 3006}};
    const struct peer_reply unasked = {.status = 0};
    const struct peer_hello again = hello_of(9, 1000, 1);
    assert_int_equal(peer_codec_encode_tell(&lies[0], &evict), 0); /* callers don't tell */
    assert_int_equal(peer_codec_encode_reply(&lies[1], 1, PEER_ACK, &unasked), 0);
    peer_codec_encode_hello(&lies[2], &again);
    bytes_append(&lies[3], "\xff\x00\x00\x00", 4);
    bytes_append(&lies[4], "\x10\x00\x00\x02\x00\x01", 6); /* a BIND that ends in its number */
    for (size_t i = 0; i < 5; i++) {
        struct raw raw;
        raw_join(&raw, &node, i + 1);
        raw_write(&raw, bytes_view(&lies[i]));
        raw_expect_end(&raw);
        raw_close(&raw);
        bytes_reset(&lies[i]);
    }
    assert_int_equal(link_pair_look(&node, 0).evicts + link_pair_look(&node, 1).evicts, 0);
    link_pair_close(&node);
}

/* A caller that does not keep to the window is told so, and its other calls are answered. */
static void calls_beyond_the_window_are_answered_busy(void **state)
{
    (void)state;
    struct link_pair_node node;
    open_node(&node);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        link_pair_hold(&node, i);
    struct raw raw;
    raw_join(&raw, &node, 1);
    const struct peer_msg user = {.type = PEER_USER, .user = {.app = bytes_str("demo"), .user = bytes_str("ada")}};
    for (uint32_t number = 1; number <= 6; number++)
        assert_int_equal(peer_codec_encode_call(&raw.out, number, &user), 0);
    raw_flush(&raw);
    uint32_t statuses[7] = {0};
    for (int answers = 0; answers < 6;) {
        const int type = raw_frame(&raw);
        assert_true(type == PEER_PING || type == PEER_USER + (int)PEER_CODEC_REPLY);
        if (type == PEER_PING)
            continue;
        assert_true(raw.theirs.len == 8 && raw.theirs.ptr[3] <= 6);
        statuses[raw.theirs.ptr[3]] = raw.theirs.ptr[7];
        if (++answers == 2) {
            for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
                link_pair_release(&node, i);
        }
    }
    for (uint32_t number = 1; number <= 6; number++)
        assert_int_equal(statuses[number], number <= 4 ? -PETREL_E_UNREGISTERED : -PETREL_E_BUSY);
    raw_close(&raw);
    link_pair_close(&node);
}

static void a_config_that_is_none_is_refused(void **state)
{
    (void)state;
    struct loops loops;
    struct link_tcp *set = NULL;
    loops_open(&loops, 1);
    struct link_tcp_config config = link_pair_config(1, 1, DISCOVERY_SESSION);
    config.secret = bytes_str("short");
    assert_int_equal(link_tcp_new(&set, &config, loops.loops, 1), PETREL_E_INVALID);
    config = link_pair_config(1, 1, DISCOVERY_SESSION);
    config.silence_ms = config.heartbeat_ms;
    assert_int_equal(link_tcp_new(&set, &config, loops.loops, 1), PETREL_E_INVALID);
    assert_null(set);
    link_tcp_free(&set);
    loops_free(&loops);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(who_does_not_greet_as_a_node_is_closed),
        cmocka_unit_test(a_wrong_secret_learns_no_proof),
        cmocka_unit_test(another_node_at_the_address_is_not_taken_for_it),
        cmocka_unit_test(who_does_not_greet_in_time_is_closed),
        cmocka_unit_test(of_two_connections_of_a_loop_the_newer_stays),
        cmocka_unit_test(a_peer_that_breaks_the_protocol_is_closed),
        cmocka_unit_test(calls_beyond_the_window_are_answered_busy),
        cmocka_unit_test(a_config_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
