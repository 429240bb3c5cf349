#include "unit/tls_peer.h"

#include "base/object.h"
#include "unit/loop_rig.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

bool tls_peer_flush(struct tls_peer *peer)
{
    char bytes[65536];
    int len;
    while ((len = BIO_read(peer->out, bytes, sizeof bytes)) > 0) {
        size_t piece = peer->piece != 0 ? peer->piece : (size_t)len;
        for (size_t at = 0; at < (size_t)len; at += piece) {
            size_t part = (size_t)len - at < piece ? (size_t)len - at : piece;
            if (send(peer->fd, bytes + at, part, MSG_NOSIGNAL) != (ssize_t)part)
                return false;
        }
    }
    return true;
}

/* Give OpenSSL what the socket has next. */
static bool pull(struct tls_peer *peer)
{
    char bytes[65536];
    ssize_t got = recv(peer->fd, bytes, sizeof bytes, 0);
    return got > 0 && BIO_write(peer->in, bytes, (int)got) == (int)got;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_peer *peer = SSL_get_app_data(ssl);
    SSL_SESSION_free(peer->session);
    peer->session = session;
    peer->sessions++;
    return 1;
}

static void set_up(struct tls_peer *peer, const struct tls_peer_config *config)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    petrel_assert(context != NULL);
    peer->context = context;
    if (config->version != 0) {
        (void)SSL_CTX_set_min_proto_version(context, config->version);
        (void)SSL_CTX_set_max_proto_version(context, config->version);
    }
    int rc = config->suites == NULL || SSL_CTX_set_ciphersuites(context, config->suites);
    petrel_assert(rc == 1);
    rc = config->sigalgs == NULL || SSL_CTX_set1_sigalgs_list(context, config->sigalgs);
    petrel_assert(rc == 1);
    rc = config->cert == NULL || (SSL_CTX_use_certificate_chain_file(context, config->cert) == 1 &&
                                  SSL_CTX_use_PrivateKey_file(context, config->key, SSL_FILETYPE_PEM) == 1);
    petrel_assert(rc == 1);
    rc = config->ca == NULL || SSL_CTX_load_verify_file(context, config->ca);
    petrel_assert(rc == 1);
    SSL_CTX_set_verify(context, config->ca != NULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    peer->ssl = SSL_new(context);
    petrel_assert(peer->ssl != NULL);
    SSL_set_app_data(peer->ssl, peer);
    if (config->host != NULL) {
        (void)SSL_set_tlsext_host_name(peer->ssl, config->host);
        (void)SSL_set1_host(peer->ssl, config->host);
    }
    if (config->alpn_len > 0)
        (void)SSL_set_alpn_protos(peer->ssl, config->alpn, config->alpn_len);
    if (config->session != NULL)
        (void)SSL_set_session(peer->ssl, config->session);
}

bool tls_peer_connect(struct tls_peer *peer, const struct tls_peer_config *config)
{
    *peer = (struct tls_peer){.fd = loop_rig_connect(config->port), .piece = config->piece};
    int one = 1;
    (void)setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    set_up(peer, config);
    peer->in = BIO_new(BIO_s_mem());
    peer->out = BIO_new(BIO_s_mem());
    petrel_assert(peer->in != NULL && peer->out != NULL);
    (void)BIO_set_mem_eof_return(peer->in, -1);
    SSL_set_bio(peer->ssl, peer->in, peer->out);
    SSL_set_connect_state(peer->ssl);
    for (;;) {
        ERR_clear_error();
        int rc = SSL_do_handshake(peer->ssl);
        bool more = rc != 1 && SSL_get_error(peer->ssl, rc) == SSL_ERROR_WANT_READ;
        if (rc == 1 && config->hold)
            return true;
        if (!tls_peer_flush(peer))
            return false;
        if (!more)
            return rc == 1;
        if (!pull(peer))
            return false;
    }
}

void tls_peer_close(struct tls_peer *peer)
{
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
    SSL_SESSION_free(peer->session);
    ERR_clear_error();
    if (peer->fd >= 0)
        close(peer->fd);
}

bool tls_peer_buffer(struct tls_peer *peer, const void *data, size_t len)
{
    ERR_clear_error();
    return SSL_write(peer->ssl, data, (int)len) == (int)len;
}

bool tls_peer_write(struct tls_peer *peer, const void *data, size_t len)
{
    return tls_peer_buffer(peer, data, len) && tls_peer_flush(peer);
}

bool tls_peer_read(struct tls_peer *peer, void *out, size_t len)
{
    for (size_t have = 0; have < len;) {
        ERR_clear_error();
        int got = SSL_read(peer->ssl, (char *)out + have, (int)(len - have));
        if (got > 0)
            have += (size_t)got;
        else if (SSL_get_error(peer->ssl, got) != SSL_ERROR_WANT_READ || !tls_peer_flush(peer) || !pull(peer))
            return false;
    }
    return true;
}

int tls_peer_end(struct tls_peer *peer)
{
    for (;;) {
        char byte;
        ERR_clear_error();
        int got = SSL_read(peer->ssl, &byte, 1);
        int error = SSL_get_error(peer->ssl, got);
        if (error != SSL_ERROR_WANT_READ)
            return error;
        if (!pull(peer))
            return SSL_ERROR_SYSCALL;
    }
}

size_t tls_peer_hello(uint8_t *out, size_t max)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = context != NULL ? SSL_new(context) : NULL;
    BIO *in = BIO_new(BIO_s_mem());
    BIO *wire = BIO_new(BIO_s_mem());
    int got = 0;
    if (ssl != NULL && in != NULL && wire != NULL) {
        SSL_set_bio(ssl, in, wire);
        SSL_set_connect_state(ssl);
        (void)SSL_do_handshake(ssl);
        got = BIO_read(wire, out, (int)max);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    return got > 0 ? (size_t)got : 0;
}
