#include "lib/child.h"

#include "lib/until.h"

#include <signal.h>
#include <sys/wait.h>

#define STOP_MS 10000

/* The kernel tells of a stop when the last thread has stopped. Exits are left for who waits for them. */
static bool has_stopped(void *ctx)
{
    const pid_t *pid = ctx;
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)*pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == *pid;
}

bool child_signal(pid_t pid, int signal)
{
    if (kill(pid, signal) != 0)
        return false;
    return signal != SIGSTOP || until(has_stopped, &pid, STOP_MS);
}
