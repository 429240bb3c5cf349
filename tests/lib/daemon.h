/* daemon.h: a real petreld on free ports of the loopback address and a data directory of its own.
 *
 * It dies with the thread that started it, if that forgets to end it. Only its own pid is ever signalled. */
#ifndef PETREL_TESTS_DAEMON_H
#define PETREL_TESTS_DAEMON_H

#include "lib/tmpdir.h"

#include <stddef.h>
#include <sys/types.h>

#define DAEMON_ARGS_MAX 24

struct daemon {
    struct tmpdir tmp; /* data/ is the data directory, petreld.log what it wrote to standard error in all of its runs */
    pid_t pid;         /* 0: not running */
    int status;        /* of waitpid(), of the last run that ended */
    char data_dir[TMPDIR_PATH_MAX + 8];
    char session[64]; /* "127.0.0.1:PORT", of the current run */
    char api[64];
    char admin[64];
    char token[80]; /* of the admin API */
};

/* Make the folder. */
bool daemon_init(struct daemon *daemon);
/* End the process if it runs, remove the folder. */
void daemon_free(struct daemon *daemon);

/* Start `binary` with --data-dir, hosts 127.0.0.1, ports 0, and then `args` (NULL-terminated, or NULL). Whether it could be forked. */
bool daemon_spawn(struct daemon *daemon, const char *binary, const char *const *args);
/* Whether it says that it is up; then the addresses and the token are read. */
bool daemon_is_up(struct daemon *daemon);
/* Whether it has ended; reaps it. */
bool daemon_has_ended(struct daemon *daemon);

/* The same, waiting: spawn PETREL_BIN_DIR's petreld until it is up; signal it until it has ended. */
bool daemon_start(struct daemon *daemon, const char *const *args, unsigned timeout_ms);
bool daemon_stop(struct daemon *daemon, int signal, unsigned timeout_ms);

/* The last lines of its log, for a failure's message; valid until the next call with the same buffer. */
const char *daemon_log_tail(const struct daemon *daemon, char *buffer, size_t size);

#endif
