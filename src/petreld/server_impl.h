/* server_impl.h: what the server's files share.
 *
 * server_loop   one loop and the roles on it. Its objects are touched on its own thread only; the server's thread is that of
 *               loop 0, and asks the others by mail.
 * phase         a step of the server's life that every loop takes; the next begins when all have finished this one. */
#ifndef PETREL_PETRELD_SERVER_IMPL_H
#define PETREL_PETRELD_SERVER_IMPL_H

#include "api/api_role.h"
#include "base/metrics.h"
#include "discovery/link_local.h"
#include "discovery/link_tcp.h"
#include "loop/signal.h"
#include "loop/timer.h"
#include "loop/turnstile.h"
#include "message/message_role.h"
#include "petreld/backends.h"
#include "petreld/logfile.h"
#include "petreld/server.h"
#include "petreld/server_memory.h"
#include "session/session_role.h"

#define SERVER_NAME_SIZE 65
#define SERVER_SOCKET_SIZE 108 /* what the kernel takes for a Unix socket, with the final NUL */

enum server_phase {
    SERVER_START,    /* make the roles, open their listeners */
    SERVER_SERVE,    /* up */
    SERVER_DRAIN,    /* the API closes, sessions are sent away and leave */
    SERVER_SESSIONS, /* the session roles close */
    SERVER_MESSAGES, /* the message roles close */
    SERVER_END,      /* the loops stop */
};

struct server_loop {
    struct server *server;
    struct loop *loop;
    struct link *link;
    struct message_role *message;
    struct session_role *session;
    struct api_role *api;
    struct api_role *admin;    /* on loop 0 only */
    uint64_t snapshot_version; /* of the newest that the roles were given */
    struct timer timer;        /* waits for sessions to leave */
    uint64_t drain_until;
    unsigned waiting;       /* for closing roles, in this phase */
    int status;             /* of the phase, read by the server when it is finished */
    struct mail to_loop;    /* a phase to take */
    struct mail to_server;  /* the phase is finished */
    _Atomic(bool) draining; /* an operator has this loop draining; written by the loop */
    atomic_flag draining_posted;
    struct mail draining_mail; /* to the server's thread: that changed */
};

struct server {
    const struct config *config;
    const struct clock *clock;
    bool signals;
    uint64_t started_ms;
    uint32_t roles; /* of enum discovery_role */
    char node_name[SERVER_NAME_SIZE];
    struct datadir *dir;
    struct logfile *log;
    struct metrics *metrics;
    struct backends backends;
    struct link_local *links; /* one of these two: alone, or with other nodes */
    struct link_tcp *peers;
    struct timer tick; /* gauges are set, and discovery is told how many sessions there are */
    uint64_t ticks;
    uint64_t told_sessions;
    struct server_memory memory;
    struct api_host host;
    size_t loops_count;
    struct turnstile *crowds; /* loops that serve more sockets than fit in a turn: as many as cores; NULL: no more */
    struct turnstile *broadcasts; /* loops that send to all sessions: half as many as cores, the rest is for others */
    bool own_descriptors;         /* loops have tables of descriptors of their own */
    size_t api_loops;             /* of them, the first so many serve the send API */
    struct server_loop *loops;
    struct signal_watch *watches[3];
    _Atomic(int) phase; /* of enum server_phase; written by the server's thread */
    _Atomic(bool) at_once;
    unsigned unfinished; /* loops that have not finished the phase */
    int status;          /* why it ends; 0: asked to */
    bool serving;        /* every loop has taken SERVER_SERVE */
    bool stop_wanted;    /* before that */
    uint16_t session_port;
    uint16_t api_port;
    uint16_t admin_port;
    uint16_t peer_port;
    struct tls_server *tls;      /* NULL: none is served; read by the loops as they start, then the server's thread's */
    struct tls_server *peer_tls; /* what links to other nodes show, both ways; NULL: they speak none. As above */
    struct tls_client *peer_tls_client;
    char admin_socket[SERVER_SOCKET_SIZE]; /* its path; empty: none */
    struct api_operators operators;
    struct tls_server *api_tls; /* the same certificates for the APIs, which speak something else; both or none */
    struct mail stop_mail;
    atomic_flag stop_posted;
    struct snapshot *first_snapshot;             /* what the roles start with; NULL: none */
    _Atomic(bool) takes_snapshots;               /* the loops have roles to hand others to */
    _Atomic(struct snapshot *) snapshot_waiting; /* published before that */
};

/* server_size.c: how many loops, and whether each has a table of descriptors of its own; raises the limit of descriptors. Before the
 * loops are made. */
void server_size(struct server *server);

/* server.c: a loop's letter that it has finished the phase; the server's thread. */
void server_finished(struct mail *mail);

/* server_announce.c: what the world is told of this node. On the server's thread, but for draining and is_draining. */
int server_announce_run_file(struct server *server);
int server_announce_publish(struct server *server);
/* It serves: say so, and keep discovery up to date until stop. */
void server_announce_ready(struct server *server);
void server_announce_stop(struct server *server);
/* session_config.on_draining, with the server_loop as ctx; on its loop. */
void server_announce_draining(void *ctx, bool draining);
/* Whether an operator has any loop of it draining. Any thread. */
bool server_announce_is_draining(const struct server *server);

/* server_health.c: api_host's health (any loop), and the gauges it goes by that nobody else sets (the server's thread). */
void server_health(void *ctx, struct api_health *out);
void server_health_measure(struct server *server);

/* server_links.c: what the roles talk through. new and free: main thread, loops not running; open: on the loop, as it starts; close: on
 * the loop, when its roles have closed. */
int server_links_new(struct server *server, struct loop *const *loops);
struct link *server_links_at(struct server *server, size_t index);
/* Whether other nodes connect to this one; any thread. */
bool server_links_called(const struct server *server);
int server_links_open(struct server_loop *node);
/* Who there is: links and roles of this loop hear of it from here on. On the loop, after its roles were made. */
int server_links_watch(struct server_loop *node);
/* Whether a link to that process stands; ctx is the server. On loop 0. */
bool server_links_reach(void *ctx, const struct discovery_node *node);
void server_links_close(struct server_loop *node);
void server_links_free(struct server *server);

/* server_loop.c: on the loop's own thread, but for free (main thread, loops not running). */
void server_loop_free(struct server_loop *node);
/* Take the phase; server_finished() follows by mail, once (not after SERVER_END). */
void server_loop_enter(struct server_loop *node, enum server_phase phase);
/* Hand a snapshot to the loop's roles; any thread; takes a reference. */
void server_loop_snapshot(struct server_loop *node, struct snapshot *snapshot);

/* server_backup.c: api_host's backup. */
int server_backup_run(void *ctx, struct loop *home, const char *directory, void (*done)(void *arg, int status),
                      void *arg);

#endif
