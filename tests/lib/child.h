/* child.h: signals to a child process that have come into effect. */
#ifndef PETREL_TESTS_CHILD_H
#define PETREL_TESTS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Send it. After SIGSTOP, wait until each of its threads stands still: kill() returns before, and what runs on may answer once
 * more. false: there is no such child, or it did not stop within seconds. */
bool child_signal(pid_t pid, int signal);

#endif
