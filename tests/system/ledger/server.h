/* server.h: the real petreld: started, killed under load, started again, without ever blocking the loop. */
#ifndef PETREL_LEDGER_SERVER_H
#define PETREL_LEDGER_SERVER_H

#include "system/ledger/ledger.h"
#include "unit/tls_files.h"

#define SERVER_ARGS_MAX 16

struct server {
    struct ledger *ledger;
    struct daemon daemon;
    const char *args[SERVER_ARGS_MAX];
    struct tls_files tls; /* with options.tls, this and the next two */
    struct tls_pair pair;
    char tickets[LEDGER_PATH_MAX]; /* the secret, so that devices resume after a kill */
    uv_timer_t timer;
    enum { SERVER_UP, SERVER_DYING, SERVER_STARTING } phase;
    uint64_t deadline_ms; /* of a restart */
};

/* Start petreld; make the app, the key and the devices (tenant.h). Blocks. */
bool server_set_up(struct server *server, struct ledger *ledger, char **tokens);
/* From now on watch it. */
void server_watch(struct server *server);
/* kill -9 and start again; server->phase tells how far that is. */
void server_kill(struct server *server);
void server_unwatch(struct server *server);
/* Whether it ends on SIGTERM, content with itself: a build with sanitizers says no when it has found something. If not that is told. */
bool server_stop(struct server *server);
/* What it left behind. */
void server_clean_up(struct server *server);
void server_print_log(const struct server *server);

#endif
