/* tls_peer.h: a client of OpenSSL's own on a blocking socket, whose bytes come in the pieces that a test wants. */
#ifndef PETREL_TESTS_TLS_PEER_H
#define PETREL_TESTS_TLS_PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_peer_config {
    uint16_t port;
    const char *host;   /* asked for and verified; NULL: none */
    const char *ca;     /* PEM: who is trusted */
    int version;        /* TLS1_2_VERSION, TLS1_3_VERSION; 0: either */
    const char *suites; /* of 1.3; NULL: OpenSSL's */
    const char *sigalgs;
    const unsigned char *alpn; /* as in the protocol */
    unsigned alpn_len;
    const char *cert; /* of its own, with its key */
    const char *key;
    SSL_SESSION *session; /* to resume */
    size_t piece;         /* bytes a send; 0: as many as there are */
    bool hold;            /* what ends the handshake goes out with what comes next */
};

struct tls_peer {
    int fd;
    size_t piece;
    SSL_CTX *context;
    SSL *ssl;
    BIO *in;
    BIO *out;
    SSL_SESSION *session; /* the newest that the server gave, with a reference */
    int sessions;
};

/* Connect and shake hands. Whether that went well; tls_peer_close() in any case. */
bool tls_peer_connect(struct tls_peer *peer, const struct tls_peer_config *config);
void tls_peer_close(struct tls_peer *peer);

/* What a client says first, a whole record, for who goes no further: its size, at most max; 0: it did not work. */
size_t tls_peer_hello(uint8_t *out, size_t max);

bool tls_peer_write(struct tls_peer *peer, const void *data, size_t len);
/* The same, left in OpenSSL's buffer until the next write or flush. */
bool tls_peer_buffer(struct tls_peer *peer, const void *data, size_t len);
bool tls_peer_flush(struct tls_peer *peer);
/* Read exactly len bytes. */
bool tls_peer_read(struct tls_peer *peer, void *out, size_t len);
/* Read once more: SSL_ERROR_ZERO_RETURN after close_notify, SSL_ERROR_SSL after an alert, SSL_ERROR_SYSCALL after a bare end. */
int tls_peer_end(struct tls_peer *peer);

#endif
