/* A real petreld that speaks TLS: devices with and without, resumption over a restart, certificates changed in mid-service. */
#include "lib/until.h"
#include "system/raw.h"
#include "system/rig.h"
#include "unit/tls_files.h"
#include "unit/tls_peer.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct tls_rig {
    struct rig rig;
    struct tls_files files;
    struct tls_pair pair;
    char secret[TLS_FILES_PATH];
    const char *args[DAEMON_ARGS_MAX];
    struct session_codec *codec;
};

static struct tls_rig tls;

/* A device of OpenSSL's own. */
struct phone {
    struct tls_peer peer;
    struct bytebuf in;
};

static uint16_t port_of(const char *address)
{
    return (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

static bool dial(struct phone *phone, SSL_SESSION *session, int version)
{
    static const unsigned char alpn[] = "\x08petrel/1";
    *phone = (struct phone){.in = {0}};
    return tls_peer_connect(&phone->peer, &(struct tls_peer_config){
                                              .port = port_of(tls.rig.daemon.session),
                                              .host = "push.test",
                                              .ca = tls.files.ca,
                                              .version = version,
                                              .alpn = alpn,
                                              .alpn_len = sizeof alpn - 1,
                                              .session = session,
                                          });
}

static void hang_up(struct phone *phone)
{
    (void)SSL_shutdown(phone->peer.ssl);
    (void)tls_peer_flush(&phone->peer);
    tls_peer_close(&phone->peer);
    bytes_reset(&phone->in);
}

/* The next frame; it borrows from phone->in. */
static bool read_frame(struct phone *phone, struct session_frame *out)
{
    uint8_t header[FRAME_HEADER_BYTES];
    if (!tls_peer_read(&phone->peer, header, sizeof header))
        return false;
    size_t len = (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
    phone->in.len = 0;
    uint8_t *body = bytes_reserve(&phone->in, len + 1);
    struct frame frame = {.type = header[0], .body = bytes_of(body, len)};
    return (len == 0 || tls_peer_read(&phone->peer, body, len)) && session_decode(tls.codec, &frame, out) == 0;
}

static bool sign_in(struct phone *phone, const char *token, uint64_t attempt)
{
    struct bytebuf out = {0};
    struct session_connect connect = {.version = SESSION_PROTOCOL_VERSION,
                                      .token = bytes_str(token),
                                      .attempt = attempt,
                                      .client = bytes_str("tls/1")};
    session_encode_connect(&out, &connect);
    bool sent = tls_peer_write(&phone->peer, out.ptr, out.len);
    bytes_reset(&out);
    struct session_frame frame;
    return sent && read_frame(phone, &frame) && frame.type == SESSION_CONNECTED;
}

/* A message sent to the user reaches the phone. */
static bool is_reached(struct phone *phone, const char *user, const char *data)
{
    struct session_frame frame;
    return rig_send(&tls.rig, user, data, "") == 200 && read_frame(phone, &frame) && frame.type == SESSION_PUSH;
}

static void devices_connect_with_tls_and_without(void **state)
{
    (void)state;
    char *token = rig_register(&tls.rig, "both", "tls");
    char *plain_token = rig_register(&tls.rig, "both", "plain");
    assert_true(token != NULL && plain_token != NULL);
    struct phone phone;
    assert_true(dial(&phone, NULL, 0));
    assert_string_equal(SSL_get_version(phone.peer.ssl), "TLSv1.3");
    const unsigned char *alpn;
    unsigned alpn_len;
    SSL_get0_alpn_selected(phone.peer.ssl, &alpn, &alpn_len);
    assert_int_equal(alpn_len, 8);
    assert_true(sign_in(&phone, token, 1));
    struct raw raw;
    assert_true(raw_open(&raw, tls.rig.daemon.session, 0));
    assert_true(raw_connect(&raw, plain_token, 1, (struct position){0}));
    assert_true(is_reached(&phone, "both", "\"hello\""));
    struct session_frame frame;
    assert_true(raw_frame_of(&raw, SESSION_PUSH, &frame));
    assert_int_equal(rig_metric(&tls.rig, "petrel_tls_compact"), 1);
    assert_int_equal(rig_metric(&tls.rig, "petrel_tls_openssl"), 0);
    struct phone old;
    char *old_token = rig_register(&tls.rig, "old", "phone");
    assert_non_null(old_token);
    assert_true(dial(&old, NULL, TLS1_2_VERSION));
    assert_true(sign_in(&old, old_token, 1));
    assert_true(is_reached(&old, "old", "\"hello\""));
    assert_int_equal(rig_metric(&tls.rig, "petrel_tls_openssl"), 1);
    hang_up(&old);
    hang_up(&phone);
    raw_close(&raw);
    free(old_token);
    free(plain_token);
    free(token);
}

static void a_device_resumes_also_after_a_restart(void **state)
{
    (void)state;
    char *token = rig_register(&tls.rig, "again", "phone");
    assert_non_null(token);
    struct phone phone;
    assert_true(dial(&phone, NULL, 0));
    assert_true(sign_in(&phone, token, 1));
    SSL_SESSION *session = phone.peer.session;
    assert_non_null(session);
    assert_int_equal(SSL_SESSION_up_ref(session), 1);
    hang_up(&phone);
    assert_true(rig_restart(&tls.rig, SIGKILL, tls.args));
    assert_true(dial(&phone, session, 0));
    assert_int_equal(SSL_session_reused(phone.peer.ssl), 1);
    assert_true(sign_in(&phone, token, 2));
    assert_true(is_reached(&phone, "again", "\"hello\""));
    assert_int_equal(rig_metric(&tls.rig, "petrel_tls_handshakes_resumed_total"), 1);
    hang_up(&phone);
    SSL_SESSION_free(session);
    free(token);
}

static bool is_served(void *ctx)
{
    const X509 *wanted = ctx;
    struct phone phone;
    bool served = dial(&phone, NULL, 0) && X509_cmp(SSL_get0_peer_certificate(phone.peer.ssl), wanted) == 0;
    hang_up(&phone);
    return served;
}

static bool has_logged(void *ctx)
{
    return rig_logged(&tls.rig, ctx);
}

static X509 *served_certificate(void)
{
    struct phone phone;
    assert_true(dial(&phone, NULL, 0));
    X509 *certificate = SSL_get1_peer_certificate(phone.peer.ssl);
    hang_up(&phone);
    return certificate;
}

static void certificates_are_changed_without_dropping_a_session(void **state)
{
    (void)state;
    char *token = rig_register(&tls.rig, "stays", "phone");
    assert_non_null(token);
    struct phone phone;
    assert_true(dial(&phone, NULL, 0));
    assert_true(sign_in(&phone, token, 1));
    X509 *before = served_certificate();
    /* Files that are of no use change nothing. */
    FILE *file = fopen(tls.pair.cert, "w");
    assert_non_null(file);
    assert_int_equal(fputs("not a certificate\n", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(kill(tls.rig.daemon.pid, SIGHUP), 0);
    assert_true(until(has_logged, "the certificates before stay in service", RIG_WAIT_MS));
    assert_true(is_served(before));
    tls_files_issue(&tls.files, "push", "DNS:push.test", false, &tls.pair);
    file = fopen(tls.pair.cert, "r");
    assert_non_null(file);
    X509 *after = PEM_read_X509(file, NULL, NULL, NULL);
    assert_int_equal(fclose(file), 0);
    assert_non_null(after);
    assert_int_equal(kill(tls.rig.daemon.pid, SIGHUP), 0);
    assert_true(until(is_served, after, RIG_WAIT_MS));
    assert_true(is_reached(&phone, "stays", "\"still here\""));
    X509_free(before);
    X509_free(after);
    hang_up(&phone);
    free(token);
}

static void without_tls_a_device_is_turned_away_where_it_is_required(void **state)
{
    (void)state;
    size_t count = 0;
    const char *args[DAEMON_ARGS_MAX];
    for (; tls.args[count] != NULL; count++)
        args[count] = tls.args[count];
    args[count++] = "--tls-sessions";
    args[count++] = "required";
    args[count] = NULL;
    assert_true(rig_restart(&tls.rig, SIGTERM, args));
    char *token = rig_register(&tls.rig, "strict", "phone");
    assert_non_null(token);
    struct raw raw;
    assert_true(raw_open(&raw, tls.rig.daemon.session, 0));
    assert_false(raw_connect(&raw, token, 1, (struct position){0}));
    raw_close(&raw);
    assert_true(raw_open(&raw, tls.rig.daemon.session, 0));
    assert_true(raw_write(&raw, bytes_of("\1\0\0\0", 4)));
    assert_int_equal(raw_error(&raw), SESSION_CODE_UNSUPPORTED);
    raw_close(&raw);
    struct phone phone;
    assert_true(dial(&phone, NULL, 0));
    assert_true(sign_in(&phone, token, 1));
    hang_up(&phone);
    free(token);
}

static void it_does_not_start_with_files_of_no_use(void **state)
{
    (void)state;
    struct daemon daemon;
    char tail[4096];
    assert_true(daemon_init(&daemon));
    const char *const args[] = {"--tls-cert", tls.pair.cert, "--tls-key", "no-such.key", NULL};
    assert_false(daemon_start(&daemon, args, RIG_WAIT_MS));
    assert_non_null(strstr(daemon_log_tail(&daemon, tail, sizeof tail), "no-such.key"));
    daemon_free(&daemon);
}

static int begin(void **state)
{
    (void)state;
    tls_files_make(&tls.files);
    tls_files_issue(&tls.files, "push", "DNS:push.test", false, &tls.pair);
    (void)snprintf(tls.secret, sizeof tls.secret, "%s/tickets.secret", tls.files.dir.path);
    FILE *file = fopen(tls.secret, "w");
    if (file == NULL || fputs("what the nodes of a test share among them\n", file) < 0 || fclose(file) != 0)
        return -1;
    if (chmod(tls.secret, 0600) != 0)
        return -1;
    const char *args[] = {"--tls-cert", tls.pair.cert, "--tls-key", tls.pair.key, "--tls-ticket-secret-file",
                          tls.secret};
    memcpy(tls.args, args, sizeof args);
    tls.codec = session_codec_new();
    return rig_begin(&tls.rig, tls.args) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    rig_end(&tls.rig);
    tls_files_remove(&tls.files);
    session_codec_free(&tls.codec);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_connect_with_tls_and_without),
        cmocka_unit_test(a_device_resumes_also_after_a_restart),
        cmocka_unit_test(certificates_are_changed_without_dropping_a_session),
        cmocka_unit_test(without_tls_a_device_is_turned_away_where_it_is_required),
        cmocka_unit_test(it_does_not_start_with_files_of_no_use),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
