#include "limit_wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICKETS 1 /* as petreld */

SSL_CTX *limit_wire_context(const char *cert_file, const char *key_file)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_use_certificate_chain_file(context, cert_file) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_set_num_tickets(context, TICKETS) != 1) {
        ERR_print_errors_fp(stderr);
        SSL_CTX_free(context);
        return NULL;
    }
    /* Clients keep their sessions: with a cache of them a server's memory would be of those, too. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1); /* a record's header and body in one recv() */
    return context;
}

size_t limit_wire_metrics(SSL_CTX *context, char text[LIMIT_WIRE_METRICS_MAX])
{
    const long resumed = context != NULL ? SSL_CTX_sess_hits(context) : 0;
    const long full = context != NULL ? SSL_CTX_sess_accept_good(context) - resumed : 0;
    char body[128];
    const int len =
        snprintf(body, sizeof body, "petrel_tls_handshakes_full_total %ld\npetrel_tls_handshakes_resumed_total %ld\n",
                 full, resumed);
    return (size_t)snprintf(text, LIMIT_WIRE_METRICS_MAX, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len, body);
}

SSL *limit_wire_accept(SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return ssl;
}

/* What OpenSSL means by a result that is no number of bytes. A handshake's few bytes fit any socket, so reading never waits for room. */
static ssize_t judge(SSL *ssl, int result, int waits)
{
    return SSL_get_error(ssl, result) == waits ? 0 : -1;
}

ssize_t limit_wire_send(struct limit_wire wire, struct bytes data)
{
    if (wire.ssl == NULL) {
        ssize_t sent = send(wire.fd, data.ptr, data.len, MSG_NOSIGNAL);
        return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
    }
    ERR_clear_error();
    int written = SSL_write(wire.ssl, data.ptr, (int)data.len);
    return written > 0 ? written : judge(wire.ssl, written, SSL_ERROR_WANT_WRITE);
}

ssize_t limit_wire_recv(struct limit_wire wire, void *out, size_t size)
{
    if (wire.ssl == NULL) {
        ssize_t got = recv(wire.fd, out, size, 0);
        return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
    }
    ERR_clear_error();
    int got = SSL_read(wire.ssl, out, (int)size);
    return got > 0 ? got : judge(wire.ssl, got, SSL_ERROR_WANT_READ);
}

bool limit_wire_pending(struct limit_wire wire)
{
    return wire.ssl != NULL && SSL_has_pending(wire.ssl) == 1;
}

void limit_wire_close(struct limit_wire wire)
{
    SSL_free(wire.ssl);
    close(wire.fd);
}
