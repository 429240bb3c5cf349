#include "base/err.h"
#include "base/object.h"
#include "loop/tls_context.h"
#include "loop/tls_peer.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* A new session, from within SSL_read(): its bytes wait for the owner. Tickets that it has no use for cost nothing. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_talk *talk = SSL_get_app_data(ssl);
    int size = i2d_SSL_SESSION(session, NULL);
    if (size <= 0)
        return 0;
    talk->session.len = 0;
    uint8_t *at = bytes_reserve(&talk->session, (size_t)size);
    talk->session.len = (size_t)i2d_SSL_SESSION(session, &at);
    return 0; /* we keep no reference */
}

static bool set_alpn(SSL_CTX *context, const enum tls_alpn alpn[TLS_ALPN_MAX])
{
    struct bytebuf list = {0};
    for (size_t i = 0; i < TLS_ALPN_MAX && alpn[i] != TLS_ALPN_NONE; i++) {
        const char *name = tls_context_alpn_name(alpn[i]);
        bytes_put_u8(&list, (uint8_t)strlen(name));
        bytes_append_str(&list, name);
    }
    bool set = list.len == 0 || SSL_CTX_set_alpn_protos(context, list.ptr, (unsigned)list.len) == 0;
    bytes_reset(&list);
    return set;
}

static int set_up(SSL_CTX *context, const struct tls_client_config *config, char *why)
{
    if (!set_alpn(context, config->alpn))
        return tls_context_fail(why, "TLS", "out of memory");
    if (config->sessions) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, on_session);
    } else {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    }
    SSL_CTX_set_verify(context, config->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    int rc = config->insecure ? 0 : tls_context_trust(context, config->ca_file, why);
    if (rc == 0 && config->cert_file != NULL)
        rc = tls_context_load(context, config->cert_file, config->key_file, why);
    return rc;
}

static int new_context(SSL_CTX **out, const struct tls_client_config *config, char *why)
{
    SSL_CTX *context = tls_context_new(TLS_client_method(), TLS_VERSION_1_2);
    if (context == NULL)
        return tls_context_fail(why, "TLS", "this OpenSSL can't do what is needed");
    int rc = set_up(context, config, why);
    if (rc == 0)
        *out = context;
    else
        SSL_CTX_free(context);
    return rc;
}

int tls_client_new(struct tls_client **out, const struct tls_client_config *config, char *why)
{
    SSL_CTX *context;
    int rc = new_context(&context, config, why);
    if (rc != 0)
        return rc;
    struct tls_client *client = object_zalloc(sizeof *client);
    atomic_init(&client->refs, 1);
    rc = pthread_mutex_init(&client->lock, NULL);
    petrel_assert(rc == 0);
    client->context = context;
    client->compact = config->compact;
    client->sessions = config->sessions;
    *out = client;
    return 0;
}

int tls_client_reload(struct tls_client *client, const struct tls_client_config *config, char *why)
{
    SSL_CTX *context;
    petrel_assert(config->compact == client->compact && config->sessions == client->sessions);
    int rc = new_context(&context, config, why);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&client->lock);
    SSL_CTX *before = client->context;
    client->context = context;
    pthread_mutex_unlock(&client->lock);
    SSL_CTX_free(before); /* connections that began with it have references of their own */
    return 0;
}

SSL_CTX *tls_client_context(struct tls_client *client)
{
    pthread_mutex_lock(&client->lock);
    SSL_CTX *context = client->context;
    int rc = SSL_CTX_up_ref(context);
    pthread_mutex_unlock(&client->lock);
    petrel_assert(rc == 1);
    return context;
}

/* Verify as the other side will: X509_PURPOSE_SSL_CLIENT or _SERVER. OpenSSL's verdict. */
static int verify_own(SSL_CTX *context, int purpose)
{
    STACK_OF(X509) *chain = NULL;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    (void)SSL_CTX_get0_chain_certs(context, &chain);
    int verdict = X509_V_ERR_OUT_OF_MEM;
    if (ctx != NULL &&
        X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(context), SSL_CTX_get0_certificate(context), chain) == 1 &&
        X509_STORE_CTX_set_purpose(ctx, purpose) == 1)
        verdict = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return verdict;
}

int tls_client_check(const struct tls_client *client, const char *name, char *why)
{
    X509 *certificate = SSL_CTX_get0_certificate(client->context);
    petrel_assert(certificate != NULL && "a certificate of its own");
    int verdict = verify_own(client->context, X509_PURPOSE_SSL_SERVER);
    if (verdict == X509_V_OK)
        verdict = verify_own(client->context, X509_PURPOSE_SSL_CLIENT);
    if (verdict != X509_V_OK) {
        (void)snprintf(why, TLS_WHY_SIZE, "%s", X509_verify_cert_error_string(verdict));
        return PETREL_E_INVALID;
    }
    if (tls_peer_certifies(certificate, name))
        return 0;
    char names[TLS_NAMES_SIZE];
    tls_peer_read_names(certificate, names);
    (void)snprintf(why, TLS_WHY_SIZE, "it is for %.100s, not for %.64s", names, name);
    return PETREL_E_INVALID;
}

struct tls_client *tls_client_ref(struct tls_client *client)
{
    unsigned before = atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
    petrel_assert(before > 0);
    return client;
}

void tls_client_unref(struct tls_client *client)
{
    if (client == NULL || atomic_fetch_sub_explicit(&client->refs, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(client->context);
    pthread_mutex_destroy(&client->lock);
    free(client);
}
