/* tls_ends.h: a client's and a server's TLS of one loop that does not run, with no sockets between them. */
#ifndef PETREL_TESTS_TLS_ENDS_H
#define PETREL_TESTS_TLS_ENDS_H

#include "loop/tls_conn.h"

struct tls_end {
    struct tls_conn *conn;
    struct bytebuf wire; /* what the other end has still to read */
    struct bytebuf got;  /* data */
    int status;          /* of the read that ended it; 0: it goes on */
};

struct tls_ends {
    struct tls_loop *tls;
    struct tls_end client;
    struct tls_end server;
    size_t piece;           /* bytes that an end reads at a time; 0: all */
    struct bytebuf session; /* the client's newest */
};

/* client and server of the configurations, before the first byte; piece is 0. */
void tls_ends_start(struct tls_ends *ends, struct loop *loop, struct tls_client *client, struct tls_server *server,
                    struct bytes session);
void tls_ends_stop(struct tls_ends *ends);

/* Let each read what the other wrote, until neither has anything to say. */
void tls_ends_run(struct tls_ends *ends);
/* Write at one end. False: it can't. */
bool tls_ends_write(struct tls_ends *ends, struct tls_end *from, struct bytes data);

#endif
