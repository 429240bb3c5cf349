/* Streams that speak TLS with clients of OpenSSL's own. */
#include "base/err.h"
#include "unit/stream_rig.h"
#include "unit/tls_peer.h"
#include "unit/tls_site.h"

#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LARGE ((size_t)4 * 1024 * 1024)
#define SECRET "the nodes of a test share thirty-two bytes"

struct server {
    struct stream_rig rig;
    struct tls_site *site;
};

static struct tls_server *new_tls(const struct tls_site *site, bool compact, const char *secret)
{
    return tls_site_server(site, (struct tls_server_config){.ticket_secret = bytes_str(secret), .compact = compact});
}

static void start(struct server *server, struct tls_site *site, bool compact)
{
    assert_true(stream_rig_start(&server->rig, false));
    server->site = site;
    server->rig.echo = true;
    server->rig.flushed = true;
    server->rig.tls = new_tls(site, compact, SECRET);
}

static void stop(struct server *server)
{
    stream_rig_stop(&server->rig);
    tls_server_unref(server->rig.tls);
}

static struct tls_peer_config peer_config(const struct server *server)
{
    return (struct tls_peer_config){.port = server->rig.port, .host = "push.test", .ca = server->site->files.ca};
}

struct limiting {
    struct server *server;
    struct tls_limits limits;
};

static void set_limits(void *arg)
{
    struct limiting *limiting = arg;
    tls_loop_limit(limiting->server->rig.loop.loop, &limiting->limits, NULL);
}

static void limit(struct server *server, struct tls_limits limits)
{
    struct limiting limiting = {server, limits};
    loop_rig_call(&server->rig.loop, set_limits, &limiting);
}

struct counting {
    struct server *server;
    struct tls_counts counts;
};

static void read_counts(void *arg)
{
    struct counting *counting = arg;
    tls_loop_counts(counting->server->rig.loop.loop, &counting->counts);
}

static struct tls_counts counts_of(struct server *server)
{
    struct counting counting = {.server = server};
    loop_rig_call(&server->rig.loop, read_counts, &counting);
    return counting.counts;
}

static void echo(struct tls_peer *peer, size_t len)
{
    char *sent = malloc(len);
    char *back = malloc(len);
    assert_true(sent != NULL && back != NULL);
    for (size_t i = 0; i < len; i++)
        sent[i] = (char)(i * 31 + len);
    assert_true(tls_peer_write(peer, sent, len));
    assert_true(tls_peer_read(peer, back, len));
    assert_memory_equal(sent, back, len);
    free(sent);
    free(back);
}

/* The peer says that it is done, the server's owner closes, and each knows that nothing was cut off. */
static void part(struct server *server, struct tls_peer *peer)
{
    int closed = loop_rig_read(&server->rig.loop, &server->rig.closed);
    (void)SSL_shutdown(peer->ssl);
    assert_true(tls_peer_flush(peer));
    assert_int_equal(tls_peer_end(peer), SSL_ERROR_ZERO_RETURN);
    tls_peer_close(peer);
    loop_rig_wait(&server->rig.loop, &server->rig.closed, closed + 1);
    assert_int_equal(server->rig.end_status, PETREL_E_EOF);
}

static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                     "TLS_CHACHA20_POLY1305_SHA256"};

/* Everything that a connection does, in one suite; resumed when there is a session. Returns the next. */
static SSL_SESSION *talk(struct server *server, const char *suite, SSL_SESSION *session, size_t piece)
{
    struct tls_peer peer;
    struct tls_peer_config config = peer_config(server);
    config.suites = suite;
    config.session = session;
    config.piece = piece;
    assert_true(tls_peer_connect(&peer, &config));
    assert_int_equal(SSL_session_reused(peer.ssl), session != NULL);
    assert_string_equal(SSL_get_cipher_name(peer.ssl), suite);
    echo(&peer, 1);
    echo(&peer, 100000);
    assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    echo(&peer, 100);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        echo(&peer, 20000);
    }
    SSL_SESSION *next = peer.session;
    assert_non_null(next);
    assert_int_equal(SSL_SESSION_up_ref(next), 1);
    part(server, &peer);
    return next;
}

static void check_suites(struct tls_site *site, bool compact, size_t piece)
{
    struct server server;
    start(&server, site, compact);
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        SSL_SESSION *full = talk(&server, suites[i], NULL, piece);
        SSL_SESSION *resumed = talk(&server, suites[i], full, piece);
        SSL_SESSION_free(full);
        SSL_SESSION_free(resumed);
    }
    struct tls_counts counts = counts_of(&server);
    assert_int_equal(counts.full, 3);
    assert_int_equal(counts.resumed, 3);
    assert_int_equal(counts.handshaking + counts.waiting + counts.kept + counts.compact, 0);
    stop(&server);
}

static void speaks_every_suite_full_and_resumed(void **state)
{
    check_suites(*state, true, 0);
}

static void speaks_with_clients_whose_bytes_come_in_pieces(void **state)
{
    check_suites(*state, true, 7);
    check_suites(*state, true, 1461);
}

static void speaks_every_suite_with_openssl_kept(void **state)
{
    check_suites(*state, false, 0);
}

static void lets_go_of_openssl_or_keeps_it(void **state)
{
    for (int compact = 0; compact < 2; compact++) {
        struct server server;
        start(&server, *state, compact == 1);
        struct tls_peer peer;
        struct tls_peer_config config = peer_config(&server);
        assert_true(tls_peer_connect(&peer, &config));
        echo(&peer, 10);
        struct tls_counts counts = counts_of(&server);
        assert_int_equal(counts.compact, compact);
        assert_int_equal(counts.kept, 1 - compact);
        part(&server, &peer);
        stop(&server);
    }
}

static void speaks_tls_1_2_and_keeps_no_more_than_it_may(void **state)
{
    struct server server;
    start(&server, *state, true);
    limit(&server, (struct tls_limits){.kept = 1});
    struct tls_peer first, second;
    struct tls_peer_config config = peer_config(&server);
    config.version = TLS1_2_VERSION;
    assert_true(tls_peer_connect(&first, &config));
    echo(&first, 100000);
    assert_int_equal(counts_of(&server).kept, 1);
    assert_true(tls_peer_connect(&second, &config)); /* its last word is the server's first after the decision */
    assert_int_not_equal(tls_peer_end(&second), SSL_ERROR_ZERO_RETURN);
    tls_peer_close(&second);
    loop_rig_wait(&server.rig.loop, &server.rig.closed, 1);
    assert_int_equal(server.rig.end_status, PETREL_E_BUSY);
    assert_int_equal(counts_of(&server).refused, 1);
    SSL_SESSION *session = first.session;
    assert_int_equal(SSL_SESSION_up_ref(session), 1);
    part(&server, &first);
    config.session = session;
    assert_true(tls_peer_connect(&first, &config));
    assert_int_equal(SSL_session_reused(first.ssl), 1);
    echo(&first, 10);
    part(&server, &first);
    SSL_SESSION_free(session);
    stop(&server);
}

static void data_right_behind_the_handshake_are_read(void **state)
{
    struct server server;
    start(&server, *state, true);
    struct tls_peer peer;
    struct tls_peer_config config = peer_config(&server);
    config.hold = true;
    assert_true(tls_peer_connect(&peer, &config));
    char back[14];
    for (int i = 0; i < 7; i++)
        assert_true(tls_peer_buffer(&peer, "hi", 2)); /* seven records, and Finished before them, in one send */
    assert_true(tls_peer_flush(&peer));
    assert_true(tls_peer_read(&peer, back, sizeof back));
    assert_memory_equal(back, "hihihihihihihi", sizeof back);
    part(&server, &peer);
    stop(&server);
}

static void the_first_byte_may_decide(void **state)
{
    struct server server;
    start(&server, *state, true);
    server.rig.peek = true;
    for (size_t piece = 0; piece < 3; piece++) {
        struct tls_peer peer;
        struct tls_peer_config config = peer_config(&server);
        config.piece = piece;
        assert_true(tls_peer_connect(&peer, &config));
        echo(&peer, 1000);
        part(&server, &peer);
    }
    stop(&server);
}

static void write_large(void *arg)
{
    stream_rig_write_pattern(arg, LARGE);
}

static void a_slow_reader_gets_everything_and_drains_once(void **state)
{
    struct server server;
    start(&server, *state, true);
    struct tls_peer peer;
    struct tls_peer_config config = peer_config(&server);
    assert_true(tls_peer_connect(&peer, &config));
    echo(&peer, 1);
    loop_rig_call(&server.rig.loop, write_large, &server.rig);
    loop_rig_turns(&server.rig.loop);
    assert_int_equal(loop_rig_read(&server.rig.loop, &server.rig.drained), 0);
    uint8_t *got = malloc(LARGE);
    assert_non_null(got);
    assert_true(tls_peer_read(&peer, got, LARGE));
    assert_int_equal(stream_rig_check_pattern(got, LARGE, 0), LARGE);
    free(got);
    loop_rig_wait(&server.rig.loop, &server.rig.drained, 1);
    part(&server, &peer);
    assert_int_equal(server.rig.drained, 1);
    stop(&server);
}

static void half_closed_the_other_way_goes_on(void **state)
{
    struct server server;
    start(&server, *state, true);
    server.rig.keep_after_end = true;
    struct tls_peer peer;
    struct tls_peer_config config = peer_config(&server);
    assert_true(tls_peer_connect(&peer, &config));
    echo(&peer, 1);
    (void)SSL_shutdown(peer.ssl);
    assert_true(tls_peer_flush(&peer));
    loop_rig_wait(&server.rig.loop, &server.rig.ended, 1);
    loop_rig_call(&server.rig.loop, write_large, &server.rig);
    uint8_t *got = malloc(LARGE);
    assert_non_null(got);
    assert_true(tls_peer_read(&peer, got, LARGE));
    assert_int_equal(stream_rig_check_pattern(got, LARGE, 0), LARGE);
    free(got);
    tls_peer_close(&peer);
    stop(&server);
}

/* ---- bad input ---- */

static void a_bad_record_gets_an_alert_and_the_end(void **state)
{
    static const uint8_t bad[] = {23, 3,  3,  0,  20, 1,  2,  3,  4,  5,  6,  7, 8,
                                  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    static const uint8_t oversize[] = {23, 3, 3, 0x48, 0};
    const struct {
        const uint8_t *bytes;
        size_t len;
        int reason;
    } cases[] = {
        {bad, sizeof bad, SSL_R_SSLV3_ALERT_BAD_RECORD_MAC},
        {oversize, sizeof oversize, SSL_R_TLSV1_ALERT_RECORD_OVERFLOW},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server server;
        start(&server, *state, true);
        struct tls_peer peer;
        struct tls_peer_config config = peer_config(&server);
        assert_true(tls_peer_connect(&peer, &config));
        echo(&peer, 1);
        assert_int_equal(send(peer.fd, cases[i].bytes, cases[i].len, 0), cases[i].len);
        assert_int_equal(tls_peer_end(&peer), SSL_ERROR_SSL);
        assert_int_equal(ERR_GET_REASON(ERR_peek_error()), cases[i].reason);
        tls_peer_close(&peer);
        loop_rig_wait(&server.rig.loop, &server.rig.closed, 1);
        assert_int_equal(server.rig.end_status, PETREL_E_PROTOCOL);
        stop(&server);
    }
}

static void what_is_not_tls_ends_the_connection(void **state)
{
    const char *const texts[] = {"GET / HTTP/1.1\r\nHost: push.test\r\n\r\n", "\x16\x03\x01\x40\x01",
                                 "\x16\x03\x01\x00\x04hihi",
                                 "\x17\x03\x03\x00\x03"
                                 "abc"};
    const size_t sizes[] = {36, 5, 9, 8};
    struct server server;
    start(&server, *state, true);
    for (int i = 0; i < 4; i++) {
        int fd = loop_rig_connect(server.rig.port);
        assert_int_equal(send(fd, texts[i], sizes[i], 0), sizes[i]);
        if (i == 1) /* a size that may be, of which no more comes */
            assert_int_equal(shutdown(fd, SHUT_WR), 0);
        (void)loop_rig_read_all(fd, NULL, 0);
        close(fd);
        loop_rig_wait(&server.rig.loop, &server.rig.closed, i + 1);
        assert_int_equal(server.rig.end_status, i == 1 ? PETREL_E_EOF : PETREL_E_PROTOCOL);
    }
    assert_int_equal(server.rig.data, 0);
    stop(&server);
}

/* ---- many at a time ---- */

#define CROWD 12

static void handshakes_wait_for_their_turn(void **state)
{
    struct server server;
    start(&server, *state, true);
    limit(&server, (struct tls_limits){.handshakes = 2, .handshakes_per_second = 50});
    struct tls_peer peers[CROWD];
    for (int i = 0; i < CROWD; i++) {
        struct tls_peer_config config = peer_config(&server);
        assert_true(tls_peer_connect(&peers[i], &config));
        echo(&peers[i], 10);
    }
    assert_int_equal(counts_of(&server).compact, CROWD);
    assert_int_equal(counts_of(&server).full, CROWD);
    for (int i = 0; i < CROWD; i++)
        tls_peer_close(&peers[i]);
    loop_rig_wait(&server.rig.loop, &server.rig.closed, CROWD);
    stop(&server);
}

static void a_new_snapshot_leaves_connections_alone(void **state)
{
    struct server server;
    start(&server, *state, true);
    struct tls_peer before, after;
    struct tls_peer_config config = peer_config(&server);
    assert_true(tls_peer_connect(&before, &config));
    echo(&before, 10);
    tls_server_unref(server.rig.tls);
    server.rig.tls = new_tls(*state, true, SECRET);
    echo(&before, 10);
    config.session = before.session; /* made under the old one, with the same secret */
    assert_true(tls_peer_connect(&after, &config));
    assert_int_equal(SSL_session_reused(after.ssl), 1);
    echo(&after, 10);
    echo(&before, 10);
    part(&server, &before);
    part(&server, &after);
    stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_every_suite_full_and_resumed),
        cmocka_unit_test(speaks_with_clients_whose_bytes_come_in_pieces),
        cmocka_unit_test(speaks_every_suite_with_openssl_kept),
        cmocka_unit_test(lets_go_of_openssl_or_keeps_it),
        cmocka_unit_test(speaks_tls_1_2_and_keeps_no_more_than_it_may),
        cmocka_unit_test(data_right_behind_the_handshake_are_read),
        cmocka_unit_test(the_first_byte_may_decide),
        cmocka_unit_test(a_slow_reader_gets_everything_and_drains_once),
        cmocka_unit_test(half_closed_the_other_way_goes_on),
        cmocka_unit_test(a_bad_record_gets_an_alert_and_the_end),
        cmocka_unit_test(what_is_not_tls_ends_the_connection),
        cmocka_unit_test(handshakes_wait_for_their_turn),
        cmocka_unit_test(a_new_snapshot_leaves_connections_alone),
    };
    return cmocka_run_group_tests(tests, tls_site_set_up, tls_site_tear_down);
}
