/* server.h: a whole petreld as an object: stores, loops, roles. Two of them can live in one process.
 *
 * Life: server_new() opens the stores and makes the loops; server_run() starts the threads, opens the listeners, says that it is
 * ready, and returns after an orderly end: the API answers what it has, sessions get GOAWAY and some time, what they acked is
 * stored, then the stores close. */
#ifndef PETREL_PETRELD_SERVER_H
#define PETREL_PETRELD_SERVER_H

#include "petreld/config.h"

struct server;

struct server_options {
    const struct config *config; /* lives as long as the server */
    bool restored;
    bool signals; /* take SIGTERM, SIGINT, SIGHUP, and tell systemd; for the process's only server */
};

/* Blocks. 0, or an error that the log has explained. Main thread. */
int server_new(struct server **out, const struct server_options *options);
/* Serve on this thread until server_stop() or a signal. 0, or the error that kept it from starting. */
int server_run(struct server *server);
/* Begin the orderly end; at_once: without waiting for sessions. Any thread, until server_run() has returned. */
void server_stop(struct server *server, bool at_once);
void server_free(struct server **server);

#endif
