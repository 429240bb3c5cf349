/* ledger.h: one run: the book, the server or the cluster, and everyone who uses it, on one loop.
 *
 * main.c the run's phases; sender.c a backend's connection; device.c a phone, app.c the app on it, follow.c what it subscribes to,
 * web.c its WebSocket; book.c who was told what, topics.c who is meant by a topic; errands.c what senders do beside messages; tally.c
 * how long it took; report.c the last line. What serves them: server.c one petreld and its deaths; cluster.c a whole cluster, by
 * operate.c, and chaos.c what happens to it, of the faults in fault.c, with the cuts of cut.c. tenant.c the app, its key and its
 * devices there. */
#ifndef PETREL_LEDGER_LEDGER_H
#define PETREL_LEDGER_LEDGER_H

#include "lib/daemon.h"
#include "system/ledger/book.h"
#include "system/ledger/errands.h"
#include "system/ledger/options.h"
#include "system/ledger/tally.h"

#include <uv.h>

#define LEDGER_APP "ledger"
#define LEDGER_APIS_MAX 2
#define LEDGER_ADDRESS_MAX 64
#define LEDGER_PATH_MAX 256

struct ledger {
    struct options options;
    uv_loop_t loop;
    struct book *book;
    struct tally tally;
    struct errands errands;
    char apis[LEDGER_APIS_MAX][LEDGER_ADDRESS_MAX]; /* "127.0.0.1:PORT" of send APIs, any of which will do; "": down */
    uint32_t apis_count;
    char session[LEDGER_ADDRESS_MAX]; /* where devices connect; not with options.cluster: lookup tells them */
    char ca[LEDGER_PATH_MAX];         /* whom devices trust, with options.tls */
    char killed[LEDGER_ADDRESS_MAX];  /* the session node that was killed last, with options.cluster */
    uint64_t killed_ms;
    char key[128];    /* of the send API */
    bool sending;     /* senders draw new messages */
    bool calm;        /* devices do nothing rash any more */
    bool drop_next;   /* one message is to be swallowed */
    uint32_t kills;   /* made */
    uint32_t turns;   /* how often devices got other topics, under way */
    uint32_t busy;    /* senders with a message that has no definite answer */
    uint32_t live;    /* devices with a session */
    uint32_t stopped; /* devices that were told not to come back */
    uint32_t open;    /* senders and devices that are not closed yet */
    uint64_t retries; /* requests that were made again */
    uint64_t
        shaken_full; /* TLS handshakes at the session nodes that there are at the end, with options.cluster and tls */
    uint64_t shaken_resumed;
    char failure[200]; /* why the run can't go on; empty: it can */
};

/* The port in "127.0.0.1:PORT"; 0: none. */
uint16_t ledger_port(const char *authority);
/* The run can't go on: the first reason is the one that is told. */
void ledger_fail(struct ledger *ledger, const char *what);

#endif
