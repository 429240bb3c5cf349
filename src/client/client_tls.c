#include "client/client_tls.h"

#include "base/object.h"
#include "petrel/client.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TLS_MAGIC OBJECT_MAGIC('C', 'T', 'L', 'S')

struct client_tls {
    uint32_t magic;
    SSL_CTX *context;
    char *fixed_name; /* what all servers have to prove to be; NULL: the host */
    SSL *ssl;         /* NULL: no connection */
    BIO *in;          /* the connection's */
    BIO *out;
    char *name;          /* the connection's server has to prove to be that; NULL: none yet */
    SSL_SESSION *ticket; /* of a server of ticket_name; NULL: none */
    char *ticket_name;
    char why[160];
};

/* From inside OpenSSL. The newest is the one to resume with. */
static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct client_tls *tls = SSL_get_app_data(ssl);
    SSL_SESSION_free(tls->ticket);
    free(tls->ticket_name);
    tls->ticket = ticket;
    tls->ticket_name = object_strdup(tls->name);
    return 1; /* the reference is ours */
}

static bool set_up(SSL_CTX *context, const struct petrel_tls *config)
{
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_ticket);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_verify(context, config->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           (config->ca_file != NULL ? SSL_CTX_load_verify_locations(context, config->ca_file, NULL) == 1
                                    : SSL_CTX_set_default_verify_paths(context) == 1);
}

struct client_tls *client_tls_new(const struct petrel_tls *config)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    const bool set = context != NULL && set_up(context, config);
    ERR_clear_error();
    struct client_tls *tls = set ? calloc(1, sizeof *tls) : NULL;
    if (tls == NULL) {
        SSL_CTX_free(context);
        return NULL;
    }
    tls->magic = TLS_MAGIC;
    tls->context = context;
    tls->fixed_name = config->name != NULL ? object_strdup(config->name) : NULL;
    return tls;
}

void client_tls_free(struct client_tls **tls)
{
    struct client_tls *gone = *tls;
    *tls = NULL;
    if (gone == NULL)
        return;
    client_tls_end(gone);
    SSL_SESSION_free(gone->ticket);
    SSL_CTX_free(gone->context);
    free(gone->fixed_name);
    free(gone->name);
    free(gone->ticket_name);
    gone->magic = 0;
    free(gone);
}

/* What went wrong: with the certificate, or what OpenSSL says. */
static bool fail(struct client_tls *tls, const char *otherwise)
{
    const long verdict = tls->ssl != NULL ? SSL_get_verify_result(tls->ssl) : X509_V_OK;
    const unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    const bool untrusted = tls->ssl != NULL && SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE && verdict != X509_V_OK;
    if (untrusted)
        snprintf(tls->why, sizeof tls->why, "the server's certificate: %s", X509_verify_cert_error_string(verdict));
    else
        snprintf(tls->why, sizeof tls->why, "%s", reason != NULL ? reason : otherwise);
    ERR_clear_error();
    return false;
}

static bool go_on(struct client_tls *tls)
{
    ERR_clear_error();
    const int rc = SSL_do_handshake(tls->ssl);
    if (rc == 1 || SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_READ)
        return true;
    return fail(tls, "the handshake failed");
}

/* An address is not a name: it is not sent to the server, and other fields of the certificate have to hold it. */
static bool set_name(SSL *ssl, const char *name)
{
    uint8_t address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static bool offer(SSL *ssl, const char *protocol)
{
    uint8_t list[32];
    const size_t len = strlen(protocol);
    petrel_assert(len < sizeof list);
    list[0] = (uint8_t)len;
    memcpy(list + 1, protocol, len);
    return SSL_set_alpn_protos(ssl, list, (unsigned)len + 1) == 0;
}

bool client_tls_begin(struct client_tls *tls, const char *host, const char *protocol)
{
    object_check(tls, TLS_MAGIC);
    petrel_assert(tls->ssl == NULL);
    ERR_clear_error();
    free(tls->name);
    tls->name = object_strdup(tls->fixed_name != NULL ? tls->fixed_name : host);
    tls->ssl = SSL_new(tls->context);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    petrel_assert(tls->ssl != NULL && tls->in != NULL && tls->out != NULL);
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    SSL_set_app_data(tls->ssl, tls);
    SSL_set_connect_state(tls->ssl);
    if (!set_name(tls->ssl, tls->name) || !offer(tls->ssl, protocol)) {
        snprintf(tls->why, sizeof tls->why, "'%.100s' is not a name that a server can prove", tls->name);
        return false;
    }
    /* One that is of no use any more makes a full handshake. */
    if (tls->ticket != NULL && strcmp(tls->ticket_name, tls->name) == 0)
        (void)SSL_set_session(tls->ssl, tls->ticket);
    return go_on(tls);
}

void client_tls_end(struct client_tls *tls)
{
    object_check(tls, TLS_MAGIC);
    /* OpenSSL takes a ticket for useless when its connection just broke, which is when it is needed. */
    if (tls->ssl != NULL)
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    tls->ssl = NULL;
    tls->in = tls->out = NULL;
}

bool client_tls_is_up(const struct client_tls *tls)
{
    return tls->ssl != NULL && SSL_is_init_finished(tls->ssl);
}

bool client_tls_feed(struct client_tls *tls, const uint8_t *bytes, size_t len)
{
    object_check(tls, TLS_MAGIC);
    petrel_assert(len <= INT_MAX);
    const int taken = BIO_write(tls->in, bytes, (int)len);
    petrel_assert(taken == (int)len);
    return client_tls_is_up(tls) || go_on(tls);
}

int client_tls_read(struct client_tls *tls, uint8_t *out, size_t len)
{
    object_check(tls, TLS_MAGIC);
    size_t got = 0;
    ERR_clear_error();
    const int rc = SSL_read_ex(tls->ssl, out, len, &got);
    if (rc == 1)
        return (int)got;
    switch (SSL_get_error(tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        snprintf(tls->why, sizeof tls->why, "closed by the server");
        return -1;
    default:
        (void)fail(tls, "the server breaks TLS");
        return -1;
    }
}

bool client_tls_write(struct client_tls *tls, const uint8_t *bytes, size_t len)
{
    object_check(tls, TLS_MAGIC);
    size_t written = 0;
    ERR_clear_error();
    if (len == 0 || SSL_write_ex(tls->ssl, bytes, len, &written) == 1)
        return true;
    return fail(tls, "the connection takes no more");
}

void client_tls_close(struct client_tls *tls)
{
    if (client_tls_is_up(tls))
        (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

size_t client_tls_output(struct client_tls *tls, const uint8_t **bytes)
{
    char *data = NULL;
    const long len = BIO_get_mem_data(tls->out, &data);
    *bytes = (const uint8_t *)data;
    return len > 0 ? (size_t)len : 0;
}

void client_tls_sent(struct client_tls *tls)
{
    (void)BIO_reset(tls->out);
}

const char *client_tls_why(const struct client_tls *tls)
{
    return tls->why;
}
