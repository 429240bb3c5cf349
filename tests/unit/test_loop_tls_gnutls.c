/* Streams that speak TLS with clients and servers of GnuTLS's: another's reading of the RFC than OpenSSL's. */
#include "base/err.h"
#include "unit/stream_rig.h"
#include "unit/tls_site.h"

#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define LARGE ((size_t)300000)

/* A blocking end of GnuTLS's. */
struct gnu {
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

static bool gnu_open(struct gnu *gnu, int fd, bool server, const struct tls_site *site, const char *priority)
{
    gnu->fd = fd;
    bool ready = gnutls_certificate_allocate_credentials(&gnu->credentials) == 0 &&
                 gnutls_init(&gnu->session, server ? GNUTLS_SERVER : GNUTLS_CLIENT) == 0 &&
                 gnutls_priority_set_direct(gnu->session, priority, NULL) == 0;
    if (server)
        ready = ready && gnutls_certificate_set_x509_key_file(gnu->credentials, site->pair.cert, site->pair.key,
                                                              GNUTLS_X509_FMT_PEM) == 0;
    else
        ready =
            ready && gnutls_certificate_set_x509_trust_file(gnu->credentials, site->files.ca, GNUTLS_X509_FMT_PEM) == 1;
    gnutls_session_set_verify_cert(gnu->session, server ? NULL : "push.test", 0);
    gnutls_transport_set_int(gnu->session, fd);
    return ready && gnutls_credentials_set(gnu->session, GNUTLS_CRD_CERTIFICATE, gnu->credentials) == 0;
}

static bool gnu_shake(struct gnu *gnu)
{
    int rc;
    while ((rc = gnutls_handshake(gnu->session)) < 0 && gnutls_error_is_fatal(rc) == 0) {
    }
    return rc == 0;
}

static void gnu_close(struct gnu *gnu)
{
    gnutls_deinit(gnu->session);
    gnutls_certificate_free_credentials(gnu->credentials);
    close(gnu->fd);
}

static bool gnu_write(struct gnu *gnu, const uint8_t *data, size_t len, size_t padding)
{
    for (size_t at = 0; at < len;) {
        size_t part = len - at < 10000 ? len - at : 10000; /* padding does not fit beside a whole record's data */
        ssize_t sent = padding > 0 ? gnutls_record_send2(gnu->session, data + at, part, padding, 0)
                                   : gnutls_record_send(gnu->session, data + at, part);
        if (sent <= 0)
            return false;
        at += (size_t)sent;
    }
    return true;
}

static bool gnu_read(struct gnu *gnu, uint8_t *out, size_t len)
{
    for (size_t have = 0; have < len;) {
        ssize_t got = gnutls_record_recv(gnu->session, out + have, len - have);
        if (got <= 0 && got != GNUTLS_E_AGAIN && got != GNUTLS_E_INTERRUPTED)
            return false;
        have += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static void echo(struct gnu *gnu, size_t len, size_t padding)
{
    uint8_t *sent = malloc(len);
    uint8_t *back = malloc(len);
    assert_true(sent != NULL && back != NULL);
    for (size_t i = 0; i < len; i++)
        sent[i] = (uint8_t)(i * 17 + len);
    assert_true(gnu_write(gnu, sent, len, padding));
    assert_true(gnu_read(gnu, back, len));
    assert_memory_equal(sent, back, len);
    free(sent);
    free(back);
}

static const char *const priorities[] = {
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM",
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM",
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305",
    "NORMAL:-VERS-ALL:+VERS-TLS1.2",
};

static void start(struct stream_rig *rig, const struct tls_site *site)
{
    assert_true(stream_rig_start(rig, false));
    rig->echo = true;
    rig->flushed = true;
    rig->tls = tls_site_server(site, (struct tls_server_config){.compact = true});
}

static void talk(struct stream_rig *rig, const struct tls_site *site, const char *priority, gnutls_datum_t *session)
{
    struct gnu gnu;
    assert_true(gnu_open(&gnu, loop_rig_connect(rig->port), false, site, priority));
    if (session->data != NULL)
        assert_int_equal(gnutls_session_set_data(gnu.session, session->data, session->size), 0);
    assert_true(gnu_shake(&gnu));
    assert_int_equal(gnutls_session_is_resumed(gnu.session) != 0, session->data != NULL);
    echo(&gnu, 1, 0);
    echo(&gnu, LARGE, 0);
    if (gnutls_protocol_get_version(gnu.session) == GNUTLS_TLS1_3) {
        echo(&gnu, 1000, 500);
        assert_int_equal(gnutls_session_key_update(gnu.session, 0), 0);
        echo(&gnu, 1000, 0);
        assert_int_equal(gnutls_session_key_update(gnu.session, GNUTLS_KU_PEER), 0);
        echo(&gnu, LARGE, 3);
    }
    gnutls_free(session->data);
    session->data = NULL;
    assert_int_equal(gnutls_session_get_data2(gnu.session, session), 0);
    int closed = loop_rig_read(&rig->loop, &rig->closed);
    assert_int_equal(gnutls_bye(gnu.session, GNUTLS_SHUT_RDWR), 0); /* close_notify both ways */
    gnu_close(&gnu);
    loop_rig_wait(&rig->loop, &rig->closed, closed + 1);
    assert_int_equal(rig->end_status, PETREL_E_EOF);
}

static void speaks_with_clients_of_gnutls(void **state)
{
    const struct tls_site *site = *state;
    struct stream_rig rig;
    start(&rig, site);
    for (size_t i = 0; i < sizeof priorities / sizeof priorities[0]; i++) {
        gnutls_datum_t session = {0};
        talk(&rig, site, priorities[i], &session);
        talk(&rig, site, priorities[i], &session);
        gnutls_free(session.data);
    }
    stream_rig_stop(&rig);
    tls_server_unref(rig.tls);
}

/* ---- the other way round ---- */

struct caller {
    struct stream_rig *rig;
    struct tls_client *tls;
    struct stream *stream;
    uint16_t port;
    int rc, opened, sessions, ended, closed;
    size_t got;
    int all;
};

static void on_open(void *owner)
{
    struct caller *caller = owner;
    loop_rig_bump(&caller->rig->loop, &caller->opened);
}

static void on_data(void *owner, struct bytes data)
{
    struct caller *caller = owner;
    stream_write_copy(caller->stream, data);
    caller->got += data.len;
}

static void on_session(void *owner, struct bytes session)
{
    struct caller *caller = owner;
    (void)session;
    loop_rig_bump(&caller->rig->loop, &caller->sessions);
}

static void on_end(void *owner, int status)
{
    struct caller *caller = owner;
    caller->rc = status;
    stream_close_flushed(caller->stream, 20000);
    loop_rig_bump(&caller->rig->loop, &caller->ended);
}

static void on_closed(void *owner)
{
    struct caller *caller = owner;
    loop_rig_bump(&caller->rig->loop, &caller->closed);
}

static const struct stream_ops ops = {
    .on_open = on_open, .on_data = on_data, .on_session = on_session, .on_end = on_end, .on_closed = on_closed};

static void call(void *arg)
{
    struct caller *caller = arg;
    caller->rc = stream_connect(&caller->stream, caller->rig->loop.loop, "127.0.0.1", caller->port, &ops, caller);
    if (caller->rc == 0)
        caller->rc = stream_secure_client(caller->stream, caller->tls, "push.test", bytes_of("", 0));
}

static int listen_on(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void speaks_with_servers_of_gnutls(void **state)
{
    const struct tls_site *site = *state;
    char why[TLS_WHY_SIZE];
    for (size_t i = 0; i < sizeof priorities / sizeof priorities[0]; i++) {
        struct stream_rig rig;
        assert_true(stream_rig_start(&rig, false));
        struct caller caller = {.rig = &rig};
        struct tls_client_config config = {.ca_file = site->files.ca, .compact = true, .sessions = i % 2 == 0};
        assert_int_equal(tls_client_new(&caller.tls, &config, why), 0);
        int listener = listen_on(&caller.port);
        loop_rig_call(&rig.loop, call, &caller);
        assert_int_equal(caller.rc, 0);
        struct gnu gnu;
        gnutls_datum_t key;
        assert_true(gnu_open(&gnu, accept(listener, NULL, NULL), true, site, priorities[i]));
        assert_int_equal(gnutls_session_ticket_key_generate(&key), 0);
        assert_int_equal(gnutls_session_ticket_enable_server(gnu.session, &key), 0);
        assert_true(gnu_shake(&gnu));
        loop_rig_wait(&rig.loop, &caller.opened, 1);
        echo(&gnu, 100, 0); /* echoed by ours: a stream that answers */
        echo(&gnu, LARGE, 0);
        if (i < 3) {
            assert_int_equal(gnutls_session_key_update(gnu.session, GNUTLS_KU_PEER), 0);
            echo(&gnu, LARGE, 0);
        }
        assert_int_equal(gnutls_bye(gnu.session, GNUTLS_SHUT_RDWR), 0);
        loop_rig_wait(&rig.loop, &caller.closed, 1);
        assert_int_equal(caller.rc, PETREL_E_EOF);
        assert_true((caller.sessions > 0) == config.sessions);
        gnutls_memset(key.data, 0, key.size);
        gnutls_free(key.data);
        gnu_close(&gnu);
        close(listener);
        stream_rig_stop(&rig);
        tls_client_unref(caller.tls);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_with_clients_of_gnutls),
        cmocka_unit_test(speaks_with_servers_of_gnutls),
    };
    return cmocka_run_group_tests(tests, tls_site_set_up, tls_site_tear_down);
}
