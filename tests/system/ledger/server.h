/* server.h: the real petreld: started, killed under load, started again, without ever blocking the loop. */
#ifndef PETREL_LEDGER_SERVER_H
#define PETREL_LEDGER_SERVER_H

#include "system/ledger/ledger.h"

struct server {
    struct ledger *ledger;
    struct daemon daemon;
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
void server_print_log(const struct server *server);

#endif
