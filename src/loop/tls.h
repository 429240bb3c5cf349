/* tls.h: what TLS a stream speaks (stream.h: stream_secure(), stream_secure_client()).
 *
 * server    certificates, versions, tickets: an immutable snapshot that any thread may use. Reloaded files make a new one;
 *           connections that began with the old one go on
 * client    whom to trust when connecting; may be given other files while it is in use
 * compact   a connection of TLS 1.3 lets go of OpenSSL's object (25 KB) after the handshake and keeps 232 bytes. One of TLS 1.2
 *           keeps it
 * ticket    what a client resumes with. Its key is derived from a secret and the day, so all nodes that share the secret take it
 *
 * Served are TLS 1.3 and 1.2 with forward secrecy and AEADs only; no 0-RTT, no renegotiation, no authentication after the handshake,
 * no compression. To add an application protocol: a line in TLS_ALPN_TABLE. */
#ifndef PETREL_LOOP_TLS_H
#define PETREL_LOOP_TLS_H

#include "base/bytes.h"

struct loop;
struct metrics_shard;
struct tls_client;
struct tls_peer;
struct tls_server;

#define TLS_ALPN_TABLE(X)                                                                                              \
    X(PETREL_1, "petrel/1")                                                                                            \
    X(HTTP_1_1, "http/1.1")                                                                                            \
    X(H2, "h2")

enum tls_alpn {
    TLS_ALPN_NONE, /* none was offered */
#define TLS_ALPN_ENUM(name, text) TLS_ALPN_##name,
    TLS_ALPN_TABLE(TLS_ALPN_ENUM)
#undef TLS_ALPN_ENUM
};

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

/* What went wrong, for people; files are named. */
#define TLS_WHY_SIZE 256
#define TLS_TICKET_SECRET_MIN 16U
#define TLS_ALPN_MAX 4

struct tls_identity {
    const char *cert_file; /* PEM: the certificate, then what issued it */
    const char *key_file;  /* PEM, without a passphrase */
};

struct tls_server_config {
    const struct tls_identity *identities; /* the first serves who names no host or an unknown one */
    size_t identities_count;               /* at least 1 */
    enum tls_version min_version;
    struct bytes ticket_secret; /* at least TLS_TICKET_SECRET_MIN bytes; absent: one that dies with the process */
    uint32_t ticket_lifetime_s; /* 0: a day. At most 7 days */
    enum tls_alpn alpn
        [TLS_ALPN_MAX]; /* taken, the favourite first, ending at TLS_ALPN_NONE; a client that offers only others is refused */
    const char *client_ca_file; /* PEM: who issues clients' certificates; NULL: none is asked for */
    bool client_cert_required;
    bool
        nodes; /* who connects are other nodes of a cluster: they are few and go before all who wait (tls_limits), get no tickets,
                   and on_peer of stream_ops is told who they are */
    bool compact;
};

/* 0 and one reference; PETREL_E_INVALID, and why (TLS_WHY_SIZE bytes) names the file. Reads files: not on a loop that serves. */
int tls_server_new(struct tls_server **out, const struct tls_server_config *config, char *why);
/* Any thread, both. NULL is fine for the second. */
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server);

#define TLS_NAMES_SIZE 256

struct tls_certificate {
    const char *file;           /* until the server's last reference is gone */
    char names[TLS_NAMES_SIZE]; /* the hosts it is for, separated by ", ", cut where they are too many */
    char key[16];               /* "EC", "RSA", "ED25519" */
    uint64_t not_before_s;      /* since 1970, both */
    uint64_t not_after_s;
};

/* The certificate of identity `index`; whether there is one. Any thread. */
bool tls_server_certificate(const struct tls_server *server, size_t index, struct tls_certificate *out);

struct tls_client_config {
    const char *ca_file;              /* PEM: who is trusted; NULL: whom the system trusts */
    const char *cert_file;            /* a certificate of our own, with its key; NULL: none */
    const char *key_file;             /* PEM */
    bool insecure;                    /* take any certificate: for tests and for measuring */
    bool sessions;                    /* on_session of stream_ops is told what to resume with */
    enum tls_alpn alpn[TLS_ALPN_MAX]; /* offered, ending at TLS_ALPN_NONE */
    bool compact;
};

/* As tls_server_new(). */
int tls_client_new(struct tls_client **out, const struct tls_client_config *config, char *why);
/* Read other files, or the same anew, for connections that begin from here on; sessions and compact stay. What it returns is as of
 * tls_client_new(); on an error all is as it was. Any thread, while others connect. */
int tls_client_reload(struct tls_client *client, const struct tls_client_config *config, char *why);
struct tls_client *tls_client_ref(struct tls_client *client);
void tls_client_unref(struct tls_client *client);
/* Whether those who trust whom this client trusts take its certificate for that of name, now, as a client's and as a server's. 0, or
 * PETREL_E_INVALID and why (TLS_WHY_SIZE bytes). Not beside tls_client_reload(). */
int tls_client_check(const struct tls_client *client, const char *name, char *why);

/* Who a peer is by the certificate it has proved to have (on_peer of stream_ops). Whether that is name: a host's, which may be below a
 * wildcard, or an address. */
bool tls_peer_is(const struct tls_peer *peer, const char *name);
/* Its names, for people: as those of tls_certificate. */
void tls_peer_names(const struct tls_peer *peer, char out[TLS_NAMES_SIZE]);
/* NULL inside is fine. */
void tls_peer_free(struct tls_peer **peer);

/* What a loop does at a time as a server; beyond it, connections wait for their turn with nothing but what they sent first. Who has
 * not sent a whole record yet is not in line, and keeps nobody out. */
struct tls_limits {
    uint32_t handshakes;            /* under way, about 42 KB each; 0: 512 */
    uint32_t handshakes_per_second; /* 0: 2,000 */
    uint32_t wait_ms;               /* who has waited for so long is refused; 0: 10,000 */
    uint32_t kept; /* connections that OpenSSL's object stays with, about 15 KB each; 0: 10,000. More are refused */
};

struct tls_counts {
    uint64_t full; /* handshakes that were done, as a server */
    uint64_t resumed;
    uint64_t failed;
    uint64_t refused;     /* as there were `kept`, or they had waited for too long */
    uint32_t handshaking; /* now, all of these */
    uint32_t waiting;
    uint32_t kept;
    uint32_t compact;
};

/* The loop's own thread, both; or before it runs. metrics is borrowed for the loop's life; NULL: none. */
void tls_loop_limit(struct loop *loop, const struct tls_limits *limits, struct metrics_shard *metrics);
void tls_loop_counts(const struct loop *loop, struct tls_counts *out);
/* Within on_end: what TLS has against the connection, in OpenSSL's words; NULL: nothing, it ended for another reason. */
const char *tls_loop_why(const struct loop *loop);
/* For how long who comes now would wait for its turn, as far as turns have come of late; 0: nobody waits. For who accepts. */
uint32_t tls_loop_wait_ms(const struct loop *loop);

#endif
