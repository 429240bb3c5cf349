/* client_tls against OpenSSL's server, both without sockets: who is trusted, what is resumed, how connections end. */
#include "client/client_tls.h"
#include "petrel/client.h"
#include "unit/tls_files.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOST "push.test"

struct rig {
    struct tls_files files;
    struct tls_pair pair;
    SSL_CTX *context;
    SSL *server;
    struct client_tls *client;
};

static int take_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                         unsigned in_len, void *ctx)
{
    (void)ssl;
    (void)in_len;
    (void)ctx;
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    if (rig == NULL)
        return -1;
    tls_files_make(&rig->files);
    tls_files_issue(&rig->files, "server", "DNS:" HOST ",DNS:other.test,IP:192.0.2.1", false, &rig->pair);
    rig->context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_alpn_select_cb(rig->context, take_protocol, NULL);
    const bool loaded = SSL_CTX_use_certificate_chain_file(rig->context, rig->pair.cert) == 1 &&
                        SSL_CTX_use_PrivateKey_file(rig->context, rig->pair.key, SSL_FILETYPE_PEM) == 1;
    *state = rig;
    return loaded ? 0 : -1;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    client_tls_free(&rig->client);
    SSL_free(rig->server);
    SSL_CTX_free(rig->context);
    tls_files_remove(&rig->files);
    free(rig);
    return 0;
}

static void make_client(struct rig *rig, struct petrel_tls config)
{
    client_tls_free(&rig->client);
    rig->client = client_tls_new(&config);
    assert_non_null(rig->client);
}

/* What each has for the other. Whether the client took it, and something moved. */
static bool carry(struct rig *rig, bool *moved)
{
    const uint8_t *bytes;
    uint8_t back[4096];
    const size_t len = client_tls_output(rig->client, &bytes);
    if (len > 0)
        assert_int_equal(BIO_write(SSL_get_rbio(rig->server), bytes, (int)len), len);
    client_tls_sent(rig->client);
    if (!SSL_is_init_finished(rig->server))
        (void)SSL_do_handshake(rig->server);
    const int got = BIO_read(SSL_get_wbio(rig->server), back, sizeof back);
    *moved = len > 0 || got > 0;
    return got <= 0 || client_tls_feed(rig->client, back, (size_t)got);
}

/* Whether both shook hands. */
static bool connects(struct rig *rig, const char *host)
{
    bool moved = true;
    SSL_free(rig->server);
    rig->server = SSL_new(rig->context);
    SSL_set_bio(rig->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(rig->server);
    client_tls_end(rig->client);
    if (!client_tls_begin(rig->client, host, CLIENT_TLS_SESSION))
        return false;
    while (moved)
        if (!carry(rig, &moved))
            return false;
    return client_tls_is_up(rig->client) && SSL_is_init_finished(rig->server);
}

static int read_client(struct rig *rig, char out[64])
{
    const int got = client_tls_read(rig->client, (uint8_t *)out, 63);
    out[got > 0 ? got : 0] = '\0';
    return got;
}

static void data_go_both_ways(void **state)
{
    struct rig *rig = *state;
    char text[64] = "";
    bool moved;
    make_client(rig, (struct petrel_tls){.ca_file = rig->files.ca});
    assert_true(connects(rig, HOST));
    assert_string_equal(SSL_get_servername(rig->server, TLSEXT_NAMETYPE_host_name), HOST);
    const unsigned char *protocol;
    unsigned len;
    SSL_get0_alpn_selected(rig->server, &protocol, &len);
    assert_int_equal(len, strlen(CLIENT_TLS_SESSION));
    assert_memory_equal(protocol, CLIENT_TLS_SESSION, len);
    assert_true(client_tls_write(rig->client, (const uint8_t *)"hello", 5));
    assert_true(carry(rig, &moved));
    assert_int_equal(SSL_read(rig->server, text, sizeof text), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(SSL_write(rig->server, "welcome", 7), 7);
    assert_true(carry(rig, &moved));
    assert_int_equal(read_client(rig, text), 7);
    assert_string_equal(text, "welcome");
    assert_int_equal(read_client(rig, text), 0);
}

static void strangers_are_refused(void **state)
{
    struct rig *rig = *state;
    struct tls_files others;
    tls_files_make(&others);
    make_client(rig, (struct petrel_tls){.ca_file = others.ca});
    assert_false(connects(rig, HOST));
    assert_non_null(strstr(client_tls_why(rig->client), "the server's certificate: "));
    make_client(rig, (struct petrel_tls){.ca_file = others.ca, .insecure = true});
    assert_true(connects(rig, HOST));
    tls_files_remove(&others);
}

static void names_are_verified(void **state)
{
    struct rig *rig = *state;
    make_client(rig, (struct petrel_tls){.ca_file = rig->files.ca});
    assert_false(connects(rig, "wrong.test"));
    assert_non_null(strstr(client_tls_why(rig->client), "hostname mismatch"));
    assert_false(connects(rig, "192.0.2.2"));
    assert_non_null(strstr(client_tls_why(rig->client), "IP address mismatch"));
    assert_true(connects(rig, "192.0.2.1"));
    assert_null(SSL_get_servername(rig->server, TLSEXT_NAMETYPE_host_name));
    make_client(rig, (struct petrel_tls){.ca_file = rig->files.ca, .name = HOST});
    assert_true(connects(rig, "192.0.2.2"));
    assert_string_equal(SSL_get_servername(rig->server, TLSEXT_NAMETYPE_host_name), HOST);
    make_client(rig, (struct petrel_tls){.ca_file = rig->files.ca, .name = "wrong.test"});
    assert_false(connects(rig, HOST));
}

static void connections_resume_where_the_name_is_the_same(void **state)
{
    struct rig *rig = *state;
    char text[64];
    make_client(rig, (struct petrel_tls){.ca_file = rig->files.ca});
    assert_true(connects(rig, HOST));
    assert_int_equal(SSL_session_reused(rig->server), 0);
    assert_int_equal(read_client(rig, text), 0); /* takes the tickets */
    assert_true(connects(rig, HOST));
    assert_int_equal(SSL_session_reused(rig->server), 1);
    assert_int_equal(read_client(rig, text), 0);
    assert_true(connects(rig, "other.test"));
    assert_int_equal(SSL_session_reused(rig->server), 0);
    assert_false(connects(rig, "wrong.test"));
}

static void old_versions_are_refused(void **state)
{
    struct rig *rig = *state;
    make_client(rig, (struct petrel_tls){.ca_file = rig->files.ca});
    SSL_CTX_set_max_proto_version(rig->context, TLS1_2_VERSION);
    assert_true(connects(rig, HOST));
    SSL_CTX_set_cipher_list(rig->context, "ALL:@SECLEVEL=0");
    SSL_CTX_set_max_proto_version(rig->context, TLS1_1_VERSION);
    SSL_CTX_set_min_proto_version(rig->context, TLS1_VERSION);
    assert_false(connects(rig, HOST));
}

static void ends_are_told(void **state)
{
    struct rig *rig = *state;
    char text[64];
    bool moved;
    make_client(rig, (struct petrel_tls){.ca_file = rig->files.ca});
    assert_true(connects(rig, HOST));
    client_tls_close(rig->client);
    assert_true(carry(rig, &moved));
    assert_int_equal(SSL_read(rig->server, text, sizeof text), 0);
    assert_int_equal(SSL_get_error(rig->server, 0), SSL_ERROR_ZERO_RETURN);
    assert_true(connects(rig, HOST));
    assert_int_equal(SSL_shutdown(rig->server), 0);
    assert_true(carry(rig, &moved));
    assert_int_equal(read_client(rig, text), -1);
    assert_string_equal(client_tls_why(rig->client), "closed by the server");
    assert_true(connects(rig, HOST));
    assert_true(client_tls_feed(rig->client, (const uint8_t *)"\x17\x03\x03\x00\x14 twenty bytes of dust", 25));
    assert_int_equal(read_client(rig, text), -1);
    assert_string_not_equal(client_tls_why(rig->client), "closed by the server");
}

static void files_without_certificates_are_refused(void **state)
{
    struct rig *rig = *state;
    assert_null(client_tls_new(&(struct petrel_tls){.ca_file = rig->pair.key}));
    assert_null(client_tls_new(&(struct petrel_tls){.ca_file = "/nowhere/ca.pem"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(data_go_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(strangers_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_verified, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_resume_where_the_name_is_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(old_versions_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(files_without_certificates_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
