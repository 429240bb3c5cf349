/* tls_impl.h: what the files of TLS share; nobody else includes it.
 *
 * conn    a stream's TLS: OpenSSL's while there is a talk, else compact
 * talk    what a conn has while OpenSSL speaks: the handshake, and all of a connection that is not compact
 * stage   HEARING a server's first record; WAITING for its turn to begin; HANDSHAKE; LINGERING: a client that may write, and waits for its ticket; KEPT: OpenSSL's to
 *         the end; COMPACT
 *
 * Read in this order: tls.h, tls_record.h, tls_conn.h, tls_talk.h, tls_loop.h, tls_context.h, tls_peer.h,
 * tls_ticket.h, tls_bio.h. */
#ifndef PETREL_LOOP_TLS_IMPL_H
#define PETREL_LOOP_TLS_IMPL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/metrics.h"
#include "base/slab.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/timer.h"
#include "loop/tls.h"
#include "loop/tls_record.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

struct stream;

struct tls_server {
    atomic_uint refs;
    SSL_CTX **contexts; /* one for each set of hosts; the first serves the rest */
    size_t contexts_count;
    struct tls_certificate *certificates; /* one for each identity */
    size_t certificates_count;
    uint8_t alpn[TLS_ALPN_MAX]; /* enum tls_alpn, as in the configuration */
    uint8_t ticket_secret[32];  /* derived from the configuration's */
    uint32_t ticket_lifetime_s;
    bool nodes;
    bool compact;
};

struct tls_client {
    atomic_uint refs;
    pthread_mutex_t lock; /* over which context there is: tls_client_reload() */
    SSL_CTX *context;
    bool compact;
    bool sessions;
};

enum tls_stage { TLS_HEARING, TLS_WAITING, TLS_HANDSHAKE, TLS_LINGERING, TLS_KEPT, TLS_COMPACT };

struct tls_talk {
    struct list node;  /* in tls_loop.waiting, or ahead, while it waits */
    uint64_t since_ms; /* when it began to */
    struct tls_loop *tls;
    struct tls_conn *conn;
    struct stream *stream;
    struct tls_server *server; /* one of the two */
    struct tls_client *client;
    SSL *ssl;            /* NULL while it waits */
    struct bytes in;     /* what OpenSSL may read now: one record */
    struct buf *partial; /* what came of a record that is not whole */
    uint64_t records_in; /* under the keys of application data, each way */
    uint64_t records_out;
    struct bytebuf session;             /* a client's, to resume with; not told yet */
    uint8_t secrets[2][TLS_SECRET_MAX]; /* of application data: the client's, the server's */
    bool have[2];
    bool failed; /* OpenSSL said so: there is nothing more to hear or say */
};

struct tls_conn {
    union {
        struct tls_talk *talk; /* until the stage is TLS_COMPACT */
        struct buf *partial;   /* then: what came of a record that is not whole; NULL as a rule */
    };
    struct tls_record record; /* once compact */
    uint8_t stage;            /* enum tls_stage */
    uint8_t alpn;             /* enum tls_alpn */
};

_Static_assert(sizeof(struct tls_conn) <= 232, "a million idle sessions are a million of these");

#define TLS_TICKET_LABEL_SIZE 8U

/* Of a period. To derive them costs as much as the rest of a ticket. */
struct tls_ticket_keys {
    uint64_t period;
    bool set;
    uint8_t secret[32];                   /* of the server that they are for */
    uint8_t label[TLS_TICKET_LABEL_SIZE]; /* tells this secret's tickets from another's */
    uint8_t cipher[32];
    uint8_t mac[32];
};

/* A loop's. Made with the first connection that needs it. */
struct tls_loop {
    struct loop *loop;
    struct tls_cipher *cipher;
    BIO_METHOD *bio;
    EVP_CIPHER *ticket_cipher;
    struct tls_ticket_keys tickets[2]; /* of even periods and of odd ones: two are in use at a time */
    struct slab conns;
    struct bytebuf out;     /* what is to be written for the connection that is being dealt with; taken at once */
    struct bytebuf session; /* a client's new one, to be told at once */
    struct tls_peer *peer;  /* who has just proved to be so, likewise */
    char why[TLS_WHY_SIZE]; /* what is wrong with the connection that is being dealt with; else empty */
    uint8_t *seal;          /* TLS_SEAL_SIZE(TLS_DATA_MAX) bytes: data to be sealed */
    struct tls_limits limits;
    struct tls_counts counts;
    struct metrics_shard *metrics; /* NULL: none */
    struct list waiting;           /* tls_talk, in the order they came */
    struct list ahead;             /* those of nodes, which wait for nobody but the turn */
    struct loop_task turn; /* queued, or there is mail, or the pace's timer runs, while one of those may begin */
    struct mail more;      /* to ourselves: more than a turn's may begin */
    bool posted;
    struct timer pace;
    struct timer patience; /* runs while there are any: the first of them has waited for too long */
    uint64_t due_us;       /* when the next handshake is due, at the pace that is allowed; the past: now */
    uint64_t counted_ms;   /* since when there has been a line, or its begins were last counted */
    uint32_t begun;        /* since then */
    uint32_t rate;         /* a second, while there was a line; 0: not known */
    uint32_t busiest;      /* handshakes at a time since memory was last trimmed */
};

#endif
