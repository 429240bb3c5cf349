#include "loop/thread.h"

#include "base/err.h"
#include "base/object.h"

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A turn of a busy loop fits in. The kernel's own is 2.8 ms and more, by how many cores there are. */
#define SLICE_NS 500000U

/* As the kernel has it; libc knows it from 2.41 on. */
struct scheduling {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns; /* of SCHED_OTHER: the slice; 0: the kernel's own */
    uint64_t deadline_ns;
    uint64_t period_ns;
};

int thread_start(pthread_t *out, const char *name, void *(*run)(void *arg), void *arg)
{
    petrel_assert(strlen(name) <= THREAD_NAME_MAX);
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the thread */
    int rc = pthread_create(out, NULL, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return PETREL_E_IO;
    (void)pthread_setname_np(*out, name);
    return 0;
}

void thread_be_prompt(void)
{
    struct scheduling is = {.size = sizeof is};
    if (syscall(SYS_sched_getattr, 0, &is, sizeof is, 0) != 0 || is.policy != SCHED_OTHER)
        return; /* whoever started us has chosen */
    is.runtime_ns = SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &is, 0);
}
