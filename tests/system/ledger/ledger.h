/* ledger.h: one run: the book, the server, and everyone who uses it, on one loop.
 *
 * main.c the run's phases; server.c the real petreld and its deaths; sender.c a backend's connection; device.c a phone;
 * book.c who was told what. */
#ifndef PETREL_LEDGER_LEDGER_H
#define PETREL_LEDGER_LEDGER_H

#include "lib/daemon.h"
#include "system/ledger/book.h"
#include "system/ledger/options.h"

#include <uv.h>

#define LEDGER_APP "ledger"

struct ledger {
    struct options options;
    uv_loop_t loop;
    struct book *book;
    struct daemon daemon;
    char key[128];     /* of the send API */
    bool sending;      /* senders draw new messages */
    bool calm;         /* devices do nothing rash any more */
    bool drop_next;    /* one message is to be swallowed */
    uint32_t kills;    /* made */
    uint32_t busy;     /* senders with a message that has no definite answer */
    uint32_t live;     /* devices with a session */
    uint32_t stopped;  /* devices that were told not to come back */
    uint32_t open;     /* senders and devices that are not closed yet */
    uint64_t retries;  /* requests that were made again */
    char failure[200]; /* why the run can't go on; empty: it can */
};

/* The port in "127.0.0.1:PORT"; 0: none. */
uint16_t ledger_port(const char *authority);
/* The run can't go on: the first reason is the one that is told. */
void ledger_fail(struct ledger *ledger, const char *what);

#endif
