/* mariadb_server.h: a real MariaDB server of a test's own, on a Unix socket and a free port of the loopback address.
 *
 * Its folder holds the data, and server.log with what it said. It runs as the user of the test; root@localhost comes in over the
 * socket without a password. It dies with the thread that started it; only its own pid is ever signalled. */
#ifndef PETREL_TESTS_MARIADB_SERVER_H
#define PETREL_TESTS_MARIADB_SERVER_H

#include "lib/tmpdir.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mariadb_server {
    struct tmpdir tmp;
    pid_t pid;  /* 0: not running */
    int status; /* of waitpid(), of the last run that ended */
    uint16_t port;
    const char *const *args; /* more of them for the next start, NULL at their end, borrowed; NULL: none */
    char data[TMPDIR_PATH_MAX + 8];
    char socket[TMPDIR_PATH_MAX + 8];
};

/* Make the folder and an empty data directory in it. */
bool mariadb_server_init(struct mariadb_server *server);
/* End the server if it runs, remove the folder. Accepts what mariadb_server_init() left half-made. */
void mariadb_server_free(struct mariadb_server *server);

/* Start it and wait until it greets. The port stays the same from run to run. */
bool mariadb_server_start(struct mariadb_server *server, unsigned timeout_ms);
/* Send a signal that does not end it: SIGSTOP, SIGCONT. */
bool mariadb_server_signal(struct mariadb_server *server, int signal);
/* Signal it (SIGTERM, SIGKILL) and wait until it has ended. A stopped one is woken. */
bool mariadb_server_stop(struct mariadb_server *server, int signal, unsigned timeout_ms);

/* The last of what it and its installation said, for a failure's message. */
const char *mariadb_server_log_tail(const struct mariadb_server *server, char *buffer, size_t size);

#endif
