/* zookeeper_server.h: a real ZooKeeper on free ports of the loopback address and a folder of its own: one server, or an ensemble of three.
 *
 * The servers die with the thread that started them, if that forgets to end them. Only their own pids are ever signalled. */
#ifndef PETREL_TESTS_ZOOKEEPER_SERVER_H
#define PETREL_TESTS_ZOOKEEPER_SERVER_H

#include "lib/tmpdir.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ZOOKEEPER_SERVERS_MAX 3

struct zookeeper_server {
    struct tmpdir tmp; /* N/ is the data of server N, N.log what it wrote */
    size_t count;
    pid_t pids[ZOOKEEPER_SERVERS_MAX]; /* 0: not running */
    uint16_t ports[ZOOKEEPER_SERVERS_MAX];
    char servers[128]; /* "127.0.0.1:PORT,..." */
};

/* Make the folder, start count servers (1 or 3), wait until they serve. false: not within a minute; then all is ended. */
bool zookeeper_server_open(struct zookeeper_server *ensemble, size_t count);
/* End what runs, remove the folder. */
void zookeeper_server_close(struct zookeeper_server *ensemble);

/* End a server at once, as a crash would; its data and port stay. */
void zookeeper_server_kill(struct zookeeper_server *ensemble, size_t index);
/* Start it again. Whether it could be forked. */
bool zookeeper_server_start(struct zookeeper_server *ensemble, size_t index);
/* Whether it serves: it leads, follows or is alone. */
bool zookeeper_server_serves(const struct zookeeper_server *ensemble, size_t index);
/* The same of all, waiting. */
bool zookeeper_server_await(struct zookeeper_server *ensemble, unsigned timeout_ms);
/* SIGSTOP, SIGCONT. */
void zookeeper_server_signal(struct zookeeper_server *ensemble, size_t index, int signal);

#endif
