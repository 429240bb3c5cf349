/* redis_server.h: real redis-servers on free ports of the loopback address, each with a folder of its own: single ones, replicas of
 * each other, or a Redis Cluster. `appendonly yes` and its everysec, as Petrel asks of operators: a test that kills one and wants all that
 * was answered back adds --appendfsync always.
 *
 * Each dies with the thread that started it, if that forgets to end it. Only pids that were started here are ever signalled. All
 * calls block, for at most half a minute, and say whether it worked. */
#ifndef PETREL_TESTS_REDIS_SERVER_H
#define PETREL_TESTS_REDIS_SERVER_H

#include "lib/tmpdir.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define REDIS_SERVER_ARGS_MAX 16
#define REDIS_SERVER_NODES_MAX 8
#define REDIS_SERVER_REPLY_MAX (64 * 1024)

/* Files (PEM) of a server that takes TLS, and asks who connects for a certificate of that authority's. */
struct redis_server_tls {
    const char *ca;
    const char *cert;
    const char *key;
};

struct redis_server {
    struct tmpdir tmp; /* what it stores, and redis.log */
    pid_t pid;         /* 0: not running */
    uint16_t port;
    uint16_t tls_port; /* 0: none */
    const struct redis_server_tls *tls;
    uint16_t bus_port; /* of the cluster; 0: no cluster mode */
    char id[48];       /* in the cluster */
    const char *args[REDIS_SERVER_ARGS_MAX + 1];
};

/* The first half are masters with a share of the slots each, the rest their replicas in the same order. */
struct redis_server_cluster {
    size_t count;
    struct redis_server nodes[REDIS_SERVER_NODES_MAX];
};

/* A new server, answering; args (NULL-terminated, or NULL) are borrowed until redis_server_free(). */
bool redis_server_start(struct redis_server *server, bool cluster, const char *const *args);
/* A single one that takes TLS as well, at tls_port; tls is borrowed until redis_server_free(). */
bool redis_server_start_tls(struct redis_server *server, const struct redis_server_tls *tls);
/* The same again, on its ports and folder, after redis_server_kill(). */
bool redis_server_restart(struct redis_server *server);
/* kill -9, and reaped. */
void redis_server_kill(struct redis_server *server);
/* SIGSTOP or SIGCONT: it hangs with its sockets open, and goes on. */
void redis_server_signal(const struct redis_server *server, int signal);
void redis_server_free(struct redis_server *server);

/* Run an inline command (format) on a connection of its own. The reply as text in reply, of REDIS_SERVER_REPLY_MAX bytes: items of
 * arrays and the text of errors ("-ERR ...") on a line each. False when there is no answer, or an error. */
bool redis_server_command(const struct redis_server *server, char *reply, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The number behind "field:" in INFO; -1: none. */
long redis_server_info(const struct redis_server *server, const char *field);
/* How often it has carried a command out. */
long redis_server_calls(const struct redis_server *server, const char *command);
bool redis_server_is_master(const struct redis_server *server);
/* Wait until a replica has its master's data. */
bool redis_server_wait_synced(const struct redis_server *replica);

/* A cluster of so many masters with a replica each, whole and agreed. */
bool redis_server_cluster_start(struct redis_server_cluster *cluster, size_t masters, const char *const *args);
void redis_server_cluster_free(struct redis_server_cluster *cluster);
/* The running master that serves a slot; NULL: none. */
struct redis_server *redis_server_cluster_owner(struct redis_server_cluster *cluster, uint32_t slot);
/* A new node, a member that has no slots; in the place after the last. */
struct redis_server *redis_server_cluster_add(struct redis_server_cluster *cluster, const char *const *args);
/* Make it a replica of a master, and wait for the data. */
bool redis_server_cluster_replicate(struct redis_server *replica, const struct redis_server *master);
/* Have every other running node forget one. */
void redis_server_cluster_forget(struct redis_server_cluster *cluster, const struct redis_server *gone);
/* Move a slot key by key, as operators do. */
bool redis_server_cluster_move(struct redis_server_cluster *cluster, uint32_t slot, struct redis_server *to);
/* Have a replica take over from its living master. */
bool redis_server_cluster_take_over(struct redis_server *replica);
/* Depose a master that does not hear of it: it knows no other node any more and goes on to answer for its slots, while its replica,
 * which has what was confirmed as replicated, has taken over and all others know. */
bool redis_server_cluster_depose(struct redis_server_cluster *cluster, struct redis_server *master);
/* Have it join again, as replica of who took over. */
bool redis_server_cluster_rejoin(struct redis_server_cluster *cluster, struct redis_server *deposed);
/* Wait until all running nodes find the cluster whole. */
bool redis_server_cluster_wait_ok(struct redis_server_cluster *cluster);

#endif
