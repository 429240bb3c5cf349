/* thread.h: how this room starts threads. */
#ifndef PETREL_LOOP_THREAD_H
#define PETREL_LOOP_THREAD_H

#include <pthread.h>

#define THREAD_NAME_MAX 15 /* bytes, the kernel's limit */

/* Start run(arg) on a thread that is called name and takes no signals: those are the main thread's.
 * 0 or PETREL_E_IO. End it with pthread_join(). */
int thread_start(pthread_t *out, const char *name, void *(*run)(void *arg), void *arg);
/* Ask the kernel to run the calling thread soon after it wakes, and in return for shorter slices of the same share: what is on its way
 * through several threads, while all cores are busy, waits for a core at each. From Linux 6.12 on; before, nothing changes. */
void thread_be_prompt(void);

#endif
