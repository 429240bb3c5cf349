#include "base/err.h"
#include "base/object.h"
#include "loop/tls_context.h"
#include "loop/tls_peer.h"
#include "loop/tls_ticket.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LIFETIME_S 86400U
#define LIFETIME_MAX_S (7U * 86400U)
/* One more would be for a client that opens two connections at once; ours has one. */
#define TICKETS 1U

/* ---- what OpenSSL asks in a handshake ---- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *offered,
                   unsigned offered_len, void *ctx)
{
    const struct tls_server *server = ctx;
    (void)ssl;
    for (size_t i = 0; i < TLS_ALPN_MAX && server->alpn[i] != TLS_ALPN_NONE; i++) {
        for (unsigned at = 0; at < offered_len; at += 1U + offered[at]) {
            if (tls_context_alpn(offered + at + 1, offered[at]) != (enum tls_alpn)server->alpn[i])
                continue;
            *out = offered + at + 1;
            *out_len = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool serves(SSL_CTX *context, const char *host)
{
    X509 *certificate = SSL_CTX_get0_certificate(context);
    return certificate != NULL && X509_check_host(certificate, host, 0, 0, NULL) == 1;
}

static int on_host(SSL *ssl, int *alert, void *ctx)
{
    const struct tls_server *server = ctx;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    for (size_t i = 0; host != NULL && i < server->contexts_count; i++) {
        if (!serves(server->contexts[i], host))
            continue;
        if (i > 0)
            SSL_set_SSL_CTX(ssl, server->contexts[i]);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* ---- certificates ---- */

static uint64_t seconds_of(const ASN1_TIME *when)
{
    struct tm tm;
    time_t seconds = ASN1_TIME_to_tm(when, &tm) == 1 ? timegm(&tm) : 0;
    return seconds > 0 ? (uint64_t)seconds : 0;
}

static void describe(X509 *certificate, const char *file, struct tls_certificate *info)
{
    info->file = object_strdup(file);
    tls_peer_read_names(certificate, info->names);
    const char *kind = OBJ_nid2sn(EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)));
    kind = strcmp(kind, "id-ecPublicKey") == 0 ? "EC" : strcmp(kind, "rsaEncryption") == 0 ? "RSA" : kind;
    (void)snprintf(info->key, sizeof info->key, "%.15s", kind);
    info->not_before_s = seconds_of(X509_get0_notBefore(certificate));
    info->not_after_s = seconds_of(X509_get0_notAfter(certificate));
}

/* The context of the same hosts with another kind of key, to which this certificate belongs as a second one: OpenSSL then takes the
 * one that the client can verify. -1: none. */
static long context_for(const struct tls_server *server, const struct tls_certificate *info)
{
    char host[TLS_NAMES_SIZE];
    (void)snprintf(host, sizeof host, "%s", info->names);
    host[strcspn(host, ",")] = '\0';
    for (size_t i = 0; i < server->contexts_count; i++) {
        bool same_kind = false;
        bool same_host = false;
        for (size_t other = 0; other < server->certificates_count; other++) {
            const struct tls_certificate *theirs = &server->certificates[other];
            if (strcmp(theirs->names, info->names) != 0)
                continue;
            same_host = true;
            same_kind = same_kind || strcmp(theirs->key, info->key) == 0;
        }
        if (same_host && !same_kind && serves(server->contexts[i], host))
            return (long)i;
    }
    return -1;
}

/* ---- set-up ---- */

static int ask_for_certificates(SSL_CTX *context, const struct tls_server_config *config, char *why)
{
    if (config->client_ca_file == NULL)
        return 0;
    int rc = tls_context_trust(context, config->client_ca_file, why);
    STACK_OF(X509_NAME) *names = rc == 0 ? SSL_load_client_CA_file(config->client_ca_file) : NULL;
    if (rc == 0 && names == NULL)
        rc = tls_context_fail(why, config->client_ca_file, "no certificates to trust");
    if (rc != 0)
        return rc;
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (config->client_cert_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    return 0;
}

static int new_context(struct tls_server *server, const struct tls_server_config *config, SSL_CTX **out, char *why)
{
    static const unsigned char id[] = "petrel";
    SSL_CTX *context = tls_context_new(TLS_server_method(), config->min_version);
    bool set = context != NULL &&
               SSL_CTX_set1_sigalgs_list(context, "ECDSA+SHA256:ed25519:ECDSA+SHA384:RSA-PSS+SHA256:RSA-PSS+SHA384:"
                                                  "RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512") == 1 &&
               SSL_CTX_set_session_id_context(context, id, sizeof id - 1) == 1 &&
               SSL_CTX_set_num_tickets(context, server->nodes ? 0 : TICKETS) == 1 &&
               SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tls_ticket_keys) == 1;
    int rc = set ? ask_for_certificates(context, config, why)
                 : tls_context_fail(why, "TLS", "this OpenSSL can't do what is needed");
    if (rc != 0) {
        SSL_CTX_free(context);
        return rc;
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, (long)server->ticket_lifetime_s);
    SSL_CTX_set_tlsext_servername_callback(context, on_host);
    SSL_CTX_set_tlsext_servername_arg(context, server);
    if (server->alpn[0] != TLS_ALPN_NONE)
        SSL_CTX_set_alpn_select_cb(context, on_alpn, server);
    *out = context;
    return 0;
}

static int add_identity(struct tls_server *server, const struct tls_server_config *config,
                        const struct tls_identity *identity, char *why)
{
    SSL_CTX *context;
    int rc = new_context(server, config, &context, why);
    if (rc != 0)
        return rc;
    rc = tls_context_load(context, identity->cert_file, identity->key_file, why);
    if (rc != 0) {
        SSL_CTX_free(context);
        return rc;
    }
    struct tls_certificate info = {0};
    describe(SSL_CTX_get0_certificate(context), identity->cert_file, &info);
    long joins = context_for(server, &info);
    if (joins < 0) {
        server->contexts[server->contexts_count++] = context;
    } else {
        SSL_CTX_free(context);
        rc = tls_context_load(server->contexts[joins], identity->cert_file, identity->key_file, why);
    }
    server->certificates[server->certificates_count++] = info;
    return rc;
}

static void free_server(struct tls_server *server)
{
    for (size_t i = 0; i < server->contexts_count; i++)
        SSL_CTX_free(server->contexts[i]);
    for (size_t i = 0; i < server->certificates_count; i++)
        free((char *)(uintptr_t)server->certificates[i].file);
    free(server->contexts);
    free(server->certificates);
    OPENSSL_cleanse(server, sizeof *server);
    free(server);
}

int tls_server_new(struct tls_server **out, const struct tls_server_config *config, char *why)
{
    if (config->identities_count == 0)
        return tls_context_fail(why, "TLS", "no certificate");
    if (config->ticket_secret.len > 0 && config->ticket_secret.len < TLS_TICKET_SECRET_MIN)
        return tls_context_fail(why, "the secret of tickets", "fewer than 16 bytes");
    uint32_t lifetime_s = config->ticket_lifetime_s != 0 ? config->ticket_lifetime_s : LIFETIME_S;
    struct tls_server *server = object_zalloc(sizeof *server);
    atomic_init(&server->refs, 1);
    server->contexts = object_zalloc(config->identities_count * sizeof(SSL_CTX *));
    server->certificates = object_zalloc(config->identities_count * sizeof *server->certificates);
    server->ticket_lifetime_s = lifetime_s < LIFETIME_MAX_S ? lifetime_s : LIFETIME_MAX_S;
    server->compact = config->compact;
    server->nodes = config->nodes;
    for (size_t i = 0; i < TLS_ALPN_MAX; i++)
        server->alpn[i] = (uint8_t)config->alpn[i];
    tls_ticket_init(server, config->ticket_secret);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < config->identities_count; i++)
        rc = add_identity(server, config, &config->identities[i], why);
    if (rc != 0) {
        free_server(server);
        return rc;
    }
    *out = server;
    return 0;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    unsigned before = atomic_fetch_add_explicit(&server->refs, 1, memory_order_relaxed);
    petrel_assert(before > 0);
    return server;
}

void tls_server_unref(struct tls_server *server)
{
    if (server != NULL && atomic_fetch_sub_explicit(&server->refs, 1, memory_order_acq_rel) == 1)
        free_server(server);
}

bool tls_server_certificate(const struct tls_server *server, size_t index, struct tls_certificate *out)
{
    if (index >= server->certificates_count)
        return false;
    *out = server->certificates[index];
    return true;
}
