/* petrel-limit's TLS: a client of OpenSSL's own shakes hands, has all that is written however slowly it reads, and resumes. */
#include "../../bench/limit_out.h"
#include "unit/tls_files.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WRITES 3000
#define WORDS "a few words for whoever reads them late; "

struct rig {
    struct tls_files files;
    SSL_CTX *server;
    SSL_CTX *client;
    SSL_SESSION *session; /* the client's newest; NULL: none */
};

/* A connection, both ends of it. */
struct pair {
    struct limit_wire wire;
    int fd; /* the client's */
    SSL *ssl;
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct rig *rig = SSL_get_app_data(ssl);
    SSL_SESSION_free(rig->session);
    rig->session = session;
    return 1;
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct tls_pair pair;
    tls_files_make(&rig->files);
    tls_files_issue(&rig->files, "limit", "DNS:localhost", false, &pair);
    rig->server = limit_wire_context(pair.cert, pair.key);
    rig->client = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(rig->client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(rig->client, keep_session);
    *state = rig;
    return rig->server != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    SSL_SESSION_free(rig->session);
    SSL_CTX_free(rig->client);
    SSL_CTX_free(rig->server);
    tls_files_remove(&rig->files);
    free(rig);
    return 0;
}

/* Both ends by turns until the client's hello, and what it says first, have been read. */
static void connect_pair(struct rig *rig, struct pair *pair)
{
    int ends[2];
    char got[64];
    ssize_t read = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    pair->wire = (struct limit_wire){.fd = ends[0], .ssl = limit_wire_accept(rig->server, ends[0])};
    pair->fd = ends[1];
    pair->ssl = SSL_new(rig->client);
    SSL_set_app_data(pair->ssl, rig);
    SSL_set_fd(pair->ssl, pair->fd);
    SSL_set_connect_state(pair->ssl);
    if (rig->session != NULL)
        assert_int_equal(SSL_set_session(pair->ssl, rig->session), 1);
    for (bool said = false; read == 0; read = limit_wire_recv(pair->wire, got, sizeof got)) {
        const int rc = said ? 1 : SSL_write(pair->ssl, "hello", 5);
        said = said || rc == 5;
        assert_true(rc > 0 || SSL_get_error(pair->ssl, rc) == SSL_ERROR_WANT_READ);
    }
    assert_int_equal(read, 5);
    assert_memory_equal(got, "hello", 5);
    assert_false(limit_wire_pending(pair->wire));
    assert_int_equal(limit_wire_recv(pair->wire, got, sizeof got), 0);
}

static void end_pair(struct pair *pair)
{
    SSL_set_shutdown(pair->ssl, SSL_SENT_SHUTDOWN); /* else its session counts as broken, not to be resumed */
    SSL_free(pair->ssl);
    close(pair->fd);
    limit_wire_close(pair->wire);
}

static size_t drain(struct pair *pair, struct bytebuf *got)
{
    uint8_t data[16384];
    const size_t before = got->len;
    int len;
    while ((len = SSL_read(pair->ssl, data, sizeof data)) > 0)
        bytes_append(got, data, (size_t)len);
    assert_int_equal(SSL_get_error(pair->ssl, len), SSL_ERROR_WANT_READ);
    return got->len - before;
}

static void nothing_is_dropped(void **state)
{
    struct pair pair;
    struct limit_out out = {0};
    struct bytebuf wanted = {0}, got = {0};
    connect_pair(*state, &pair);
    struct limit_push *push = limit_push_of(bytes_str(WORDS));
    for (int i = 0; i < WRITES; i++) {
        assert_true(limit_out_push(&out, pair.wire, push));
        assert_true(limit_out_write(&out, pair.wire, bytes_str("between")));
        bytes_append_str(&wanted, WORDS "between");
    }
    limit_push_unref(push);
    assert_true(limit_out_waits(&out)); /* else the test shows nothing */
    while (limit_out_waits(&out)) {
        assert_true(drain(&pair, &got) > 0);
        assert_true(limit_out_flush(&out, pair.wire));
    }
    drain(&pair, &got);
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.ptr, wanted.ptr, wanted.len);
    end_pair(&pair);
    bytes_reset(&wanted);
    bytes_reset(&got);
}

static void records_that_came_together_are_given_one_by_one(void **state)
{
    struct pair pair;
    char got[64];
    connect_pair(*state, &pair);
    assert_int_equal(SSL_write(pair.ssl, "first", 5), 5);
    assert_int_equal(SSL_write(pair.ssl, "second", 6), 6);
    assert_int_equal(limit_wire_recv(pair.wire, got, sizeof got), 5);
    assert_true(limit_wire_pending(pair.wire));
    assert_int_equal(limit_wire_recv(pair.wire, got, sizeof got), 6);
    assert_false(limit_wire_pending(pair.wire));
    close(pair.fd);
    pair.fd = -1;
    assert_int_equal(limit_wire_recv(pair.wire, got, sizeof got), -1);
    assert_int_equal(limit_wire_send(pair.wire, bytes_str("x")), -1);
    end_pair(&pair);
}

static void assert_handshakes(struct rig *rig, long full, long resumed)
{
    char text[LIMIT_WIRE_METRICS_MAX], wanted[128];
    const size_t len = limit_wire_metrics(rig->server, text);
    const int body =
        snprintf(wanted, sizeof wanted,
                 "petrel_tls_handshakes_full_total %ld\npetrel_tls_handshakes_resumed_total %ld\n", full, resumed);
    assert_int_equal(len, strlen(text));
    assert_string_equal(strstr(text, "\r\n\r\n") + 4, wanted);
    assert_int_equal(strtol(strstr(text, "Content-Length: ") + 16, NULL, 10), body);
}

static void who_comes_back_resumes(void **state)
{
    struct rig *rig = *state;
    struct bytebuf got = {0};
    for (long round = 0; round < 3; round++) {
        struct pair pair;
        connect_pair(rig, &pair);
        drain(&pair, &got); /* the ticket */
        assert_non_null(rig->session);
        assert_int_equal(SSL_session_reused(pair.ssl), round > 0);
        assert_handshakes(rig, 1, round);
        end_pair(&pair);
    }
    assert_int_equal(got.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_that_came_together_are_given_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_comes_back_resumes, set_up, tear_down),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as petrel-limit does: OpenSSL writes without care */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
