#include "loop/thread.h"

#include "base/err.h"
#include "base/object.h"

#include <signal.h>
#include <string.h>

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
