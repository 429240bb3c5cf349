#include "loop/tls_talk.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "loop/tls_bio.h"
#include "loop/tls_context.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define RECORD_DATA 23

struct tls_talk *tls_talk_new(struct tls_loop *tls, struct tls_conn *conn, struct stream *stream)
{
    struct tls_talk *talk = object_zalloc(sizeof *talk);
    talk->tls = tls;
    talk->conn = conn;
    talk->stream = stream;
    list_init(&talk->node);
    return talk;
}

static int new_ssl(struct tls_talk *talk, SSL_CTX *context)
{
    ERR_clear_error();
    talk->ssl = SSL_new(context);
    if (talk->ssl == NULL || !tls_bio_set(talk))
        return PETREL_E_NOMEM;
    SSL_set_app_data(talk->ssl, talk);
    return 0;
}

int tls_talk_accept(struct tls_talk *talk)
{
    int rc = new_ssl(talk, talk->server->contexts[0]);
    if (rc == 0)
        SSL_set_accept_state(talk->ssl);
    return rc;
}

/* An address is not a name: it is not sent to the server, and other fields of the certificate have to hold it. */
static bool set_host(SSL *ssl, const char *hostname)
{
    uint8_t address[16];
    if (inet_pton(AF_INET, hostname, address) == 1 || inet_pton(AF_INET6, hostname, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), hostname) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, hostname) == 1 && SSL_set_tlsext_host_name(ssl, hostname) == 1;
}

/* The keys of a KeyUpdate are OpenSSL's alone: such a connection stays with it. */
static void on_message(int writing, int version, int type, const void *bytes, size_t len, SSL *ssl, void *ctx)
{
    struct tls_talk *talk = ctx;
    (void)writing;
    (void)version;
    (void)ssl;
    if (type == SSL3_RT_HANDSHAKE && len > 0 && *(const uint8_t *)bytes == SSL3_MT_KEY_UPDATE)
        talk->have[0] = talk->have[1] = false;
}

static void set_session(SSL *ssl, struct bytes session)
{
    const uint8_t *at = session.ptr;
    SSL_SESSION *resumed = session.len > 0 ? d2i_SSL_SESSION(NULL, &at, (long)session.len) : NULL;
    if (resumed != NULL)
        (void)SSL_set_session(ssl, resumed); /* one that is of no use makes a full handshake */
    SSL_SESSION_free(resumed);
    ERR_clear_error();
}

int tls_talk_connect(struct tls_talk *talk, const char *hostname, struct bytes session)
{
    SSL_CTX *context = tls_client_context(talk->client);
    int rc = new_ssl(talk, context);
    SSL_CTX_free(context);
    if (rc != 0)
        return rc;
    if (!set_host(talk->ssl, hostname))
        return PETREL_E_INVALID;
    SSL_set_msg_callback(talk->ssl, on_message);
    SSL_set_msg_callback_arg(talk->ssl, talk);
    set_session(talk->ssl, session);
    SSL_set_connect_state(talk->ssl);
    bool done = false;
    return tls_talk_shake(talk, bytes_of("", 0), &done);
}

void tls_talk_free(struct tls_talk *talk)
{
    if (talk == NULL)
        return;
    list_remove(&talk->node);
    SSL_free(talk->ssl);
    ERR_clear_error();
    buf_unref(talk->partial);
    if (talk->session.ptr != NULL)
        OPENSSL_cleanse(talk->session.ptr, talk->session.cap);
    bytes_reset(&talk->session);
    tls_server_unref(talk->server);
    tls_client_unref(talk->client);
    OPENSSL_cleanse(talk, sizeof *talk);
    free(talk);
}

/* How many records of data, tickets and alerts were written after `from`: those under the keys of application data. */
static uint64_t count_records(const struct bytebuf *out, size_t from)
{
    uint64_t count = 0;
    size_t size;
    for (size_t at = from; at < out->len; at += size) {
        int rc = tls_record_size(bytes_of(out->ptr + at, out->len - at), TLS_ANY_MAX, &size);
        petrel_assert(rc == 0);
        count += out->ptr[at] == RECORD_DATA;
    }
    return count;
}

static int fail(struct tls_talk *talk, const char *what)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    long verdict = SSL_get_verify_result(talk->ssl);
    bool untrusted = SSL_get_verify_mode(talk->ssl) != SSL_VERIFY_NONE && verdict != X509_V_OK;
    if (untrusted)
        reason = X509_verify_cert_error_string(verdict);
    (void)snprintf(talk->tls->why, sizeof talk->tls->why, "%s", reason != NULL ? reason : what);
    log_at(LOG_DEBUG, "tls", what, LOG_STR("why", reason));
    ERR_clear_error();
    talk->failed = true;
    return untrusted ? PETREL_E_UNAUTHENTICATED : PETREL_E_PROTOCOL;
}

int tls_talk_shake(struct tls_talk *talk, struct bytes record, bool *done)
{
    size_t before = talk->tls->out.len;
    talk->in = record;
    ERR_clear_error();
    int rc = SSL_do_handshake(talk->ssl);
    if (rc != 1 && SSL_get_error(talk->ssl, rc) != SSL_ERROR_WANT_READ)
        return fail(talk, "handshake failed");
    if (rc != 1)
        return 0;
    if (talk->in.len > 0 || SSL_has_pending(talk->ssl) != 0)
        return fail(talk, "more in a record than belongs there");
    /* A server writes its tickets with the end of the handshake; a client's end of it is under the handshake's keys. */
    talk->records_out = talk->server != NULL ? count_records(&talk->tls->out, before) : 0;
    *done = true;
    return 0;
}

int tls_talk_read(struct tls_talk *talk, uint8_t *record, size_t size, struct bytes *data)
{
    size_t before = talk->tls->out.len;
    size_t got = 0;
    int rc;
    talk->in = bytes_of(record, size);
    talk->records_in++;
    ERR_clear_error();
    /* OpenSSL has taken all of the record before it gives anything of it, and gives less. */
    while ((rc = SSL_read(talk->ssl, record + got, (int)(size - got))) > 0)
        got += (size_t)rc;
    int error = SSL_get_error(talk->ssl, rc);
    *data = bytes_of(record, got);
    talk->records_out += count_records(&talk->tls->out, before);
    if (error == SSL_ERROR_WANT_READ)
        return 0;
    return error == SSL_ERROR_ZERO_RETURN ? PETREL_E_EOF : fail(talk, "connection failed");
}

int tls_talk_write(struct tls_talk *talk, struct bytes data)
{
    size_t before = talk->tls->out.len;
    ERR_clear_error();
    if (talk->failed || SSL_write(talk->ssl, data.ptr, (int)data.len) != (int)data.len)
        return fail(talk, "can't write");
    talk->records_out += count_records(&talk->tls->out, before);
    return 0;
}

void tls_talk_close(struct tls_talk *talk)
{
    ERR_clear_error();
    if (talk->ssl != NULL && !talk->failed && SSL_is_init_finished(talk->ssl) == 1)
        (void)SSL_shutdown(talk->ssl);
    ERR_clear_error();
}

enum tls_alpn tls_talk_alpn(const struct tls_talk *talk)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(talk->ssl, &name, &len);
    return tls_context_alpn(name, len);
}

bool tls_talk_hand_over(const struct tls_talk *talk, struct tls_record *record)
{
    enum tls_suite suite;
    bool client = talk->client != NULL;
    bool compact = client ? talk->client->compact : talk->server->compact;
    if (!compact || SSL_version(talk->ssl) != TLS1_3_VERSION || !talk->have[0] || !talk->have[1] ||
        !tls_cipher_suite(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(talk->ssl)), &suite))
        return false;
    tls_record_init(record, talk->tls->cipher, suite, client, talk->secrets[client ? 1 : 0],
                    talk->secrets[client ? 0 : 1], talk->records_in, talk->records_out);
    return true;
}
