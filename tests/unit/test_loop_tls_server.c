/* What a server brings to a connection: which certificate, whose tickets; and what files are of no use. */
#include "base/err.h"
#include "unit/stream_rig.h"
#include "unit/tls_files.h"
#include "unit/tls_peer.h"

#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct group {
    struct tls_files files;
    struct tls_pair first, first_rsa, second, wild;
};

static struct tls_server *serve(struct stream_rig *rig, const struct tls_server_config *config)
{
    char why[TLS_WHY_SIZE] = "";
    assert_int_equal(tls_server_new(&rig->tls, config, why), 0);
    return rig->tls;
}

static void start(struct stream_rig *rig)
{
    assert_true(stream_rig_start(rig, false));
    rig->echo = true;
    rig->flushed = true;
}

/* The kind of key and the host of the certificate that a client gets. */
static void assert_served(const struct stream_rig *rig, const struct group *group, const char *host,
                          const char *sigalgs, int kind, const char *certified)
{
    struct tls_peer peer;
    struct tls_peer_config config = {.port = rig->port, .host = host, .sigalgs = sigalgs};
    config.ca = strcmp(host, certified) == 0 ? group->files.ca : NULL;
    assert_true(tls_peer_connect(&peer, &config));
    X509 *certificate = SSL_get0_peer_certificate(peer.ssl);
    assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)), kind);
    assert_int_equal(X509_check_host(certificate, certified, 0, 0, NULL), 1);
    tls_peer_close(&peer);
}

static void the_host_asked_for_decides_and_ecdsa_goes_first(void **state)
{
    struct group *group = *state;
    struct stream_rig rig;
    start(&rig);
    /* The RSA certificate of the first host comes first in the list: that alone does not make it the favourite. */
    const struct tls_identity identities[] = {{group->first_rsa.cert, group->first_rsa.key},
                                              {group->first.cert, group->first.key},
                                              {group->second.cert, group->second.key},
                                              {group->wild.cert, group->wild.key}};
    serve(&rig, &(struct tls_server_config){.identities = identities, .identities_count = 4, .compact = true});
    assert_served(&rig, group, "first.test", NULL, EVP_PKEY_EC, "first.test");
    assert_served(&rig, group, "first.test", "RSA-PSS+SHA256:ECDSA+SHA256", EVP_PKEY_EC, "first.test");
    assert_served(&rig, group, "first.test", "RSA-PSS+SHA256", EVP_PKEY_RSA, "first.test");
    assert_served(&rig, group, "second.test", NULL, EVP_PKEY_EC, "second.test");
    assert_served(&rig, group, "eu.wild.test", NULL, EVP_PKEY_EC, "eu.wild.test");
    assert_served(&rig, group, "unknown.test", NULL, EVP_PKEY_EC, "first.test");
    loop_rig_wait(&rig.loop, &rig.closed, 6);
    stream_rig_stop(&rig);
    tls_server_unref(rig.tls);
}

static void tells_what_it_serves(void **state)
{
    struct group *group = *state;
    struct stream_rig rig = {.port = 0};
    const struct tls_identity identities[] = {{group->first_rsa.cert, group->first_rsa.key},
                                              {group->wild.cert, group->wild.key}};
    serve(&rig, &(struct tls_server_config){.identities = identities, .identities_count = 2});
    struct tls_certificate info;
    assert_true(tls_server_certificate(rig.tls, 0, &info));
    assert_string_equal(info.file, group->first_rsa.cert);
    assert_string_equal(info.names, "first.test");
    assert_string_equal(info.key, "RSA");
    assert_int_equal((info.not_after_s - info.not_before_s) / 86400, 30);
    assert_true(tls_server_certificate(rig.tls, 1, &info));
    assert_string_equal(info.names, "wild.test, *.wild.test");
    assert_string_equal(info.key, "EC");
    assert_false(tls_server_certificate(rig.tls, 2, &info));
    tls_server_unref(rig.tls);
}

/* Whether a ticket of a server with one secret is taken by another server with the other. */
static bool resumes(struct group *group, const char *made_with, const char *taken_with)
{
    const struct tls_identity identity = {group->first.cert, group->first.key};
    SSL_SESSION *session = NULL;
    bool reused = false;
    const char *const secrets[] = {made_with, taken_with};
    for (int i = 0; i < 2; i++) {
        struct stream_rig rig;
        start(&rig);
        serve(&rig, &(struct tls_server_config){.identities = &identity,
                                                .identities_count = 1,
                                                .ticket_secret = bytes_str(secrets[i]),
                                                .compact = true});
        struct tls_peer peer;
        struct tls_peer_config config = {
            .port = rig.port, .host = "first.test", .ca = group->files.ca, .session = session};
        char back[2];
        assert_true(tls_peer_connect(&peer, &config));
        assert_true(tls_peer_write(&peer, "hi", 2) && tls_peer_read(&peer, back, 2));
        reused = SSL_session_reused(peer.ssl) == 1;
        SSL_SESSION_free(session);
        session = peer.session;
        assert_int_equal(SSL_SESSION_up_ref(session), 1);
        (void)SSL_shutdown(peer.ssl); /* else OpenSSL takes the session for one that went wrong */
        tls_peer_close(&peer);
        loop_rig_wait(&rig.loop, &rig.closed, 1);
        stream_rig_stop(&rig);
        tls_server_unref(rig.tls);
    }
    SSL_SESSION_free(session);
    return reused;
}

static void tickets_are_taken_by_whoever_shares_the_secret(void **state)
{
    const char *one = "one secret of at least thirty-two bytes";
    const char *other = "another secret of as many bytes as that";
    assert_true(resumes(*state, one, one));
    assert_false(resumes(*state, one, other));
    assert_false(resumes(*state, NULL, NULL)); /* each has one of its own */
}

static void assert_useless(const struct tls_server_config *config, const char *named)
{
    struct tls_server *server = NULL;
    char why[TLS_WHY_SIZE] = "";
    assert_int_equal(tls_server_new(&server, config, why), PETREL_E_INVALID);
    assert_null(server);
    assert_non_null(strstr(why, named));
}

static void says_which_file_is_of_no_use(void **state)
{
    struct group *group = *state;
    struct tls_identity identity = {group->first.cert, group->second.key};
    struct tls_server_config config = {.identities = &identity, .identities_count = 1};
    assert_useless(&config, group->second.key); /* another certificate's */
    identity = (struct tls_identity){"no-such-file.crt", group->first.key};
    assert_useless(&config, "no-such-file.crt");
    identity = (struct tls_identity){group->first.key, group->first.key};
    assert_useless(&config, group->first.key);
    identity = (struct tls_identity){group->first.cert, group->first.key};
    config.client_ca_file = "no-such-ca.crt";
    assert_useless(&config, "no-such-ca.crt");
    config.client_ca_file = NULL;
    config.ticket_secret = bytes_str("short");
    assert_useless(&config, "ticket");
    struct tls_client *client = NULL;
    char why[TLS_WHY_SIZE] = "";
    assert_int_equal(tls_client_new(&client, &(struct tls_client_config){.ca_file = "no-such-ca.crt"}, why),
                     PETREL_E_INVALID);
    assert_non_null(strstr(why, "no-such-ca.crt"));
}

static int make_group(void **state)
{
    struct group *group = calloc(1, sizeof *group);
    assert_non_null(group);
    tls_files_make(&group->files);
    tls_files_issue(&group->files, "first", "DNS:first.test", false, &group->first);
    tls_files_issue(&group->files, "first_rsa", "DNS:first.test", true, &group->first_rsa);
    tls_files_issue(&group->files, "second", "DNS:second.test", false, &group->second);
    tls_files_issue(&group->files, "wild", "DNS:wild.test,DNS:*.wild.test", false, &group->wild);
    *state = group;
    return 0;
}

static int remove_group(void **state)
{
    struct group *group = *state;
    tls_files_remove(&group->files);
    free(group);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_asked_for_decides_and_ecdsa_goes_first),
        cmocka_unit_test(tells_what_it_serves),
        cmocka_unit_test(tickets_are_taken_by_whoever_shares_the_secret),
        cmocka_unit_test(says_which_file_is_of_no_use),
    };
    return cmocka_run_group_tests(tests, make_group, remove_group);
}
