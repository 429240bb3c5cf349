/* descriptors.h: how many descriptors there are, and tables of them for threads of their own.
 *
 * The limit of descriptors (RLIMIT_NOFILE) counts per table, and a table is what threads share: a thread that leaves it has the whole
 * limit to itself. That is how more sockets fit into a process than its hard limit says. */
#ifndef PETREL_LOOP_DESCRIPTORS_H
#define PETREL_LOOP_DESCRIPTORS_H

#include <stdint.h>

/* Raise the soft limit to the hard one; the limit from here on. Before threads are started. */
uint64_t descriptors_raise(void);

/* Give the calling thread a table of its own: a copy, of which only what wakes loops stays (eventfds, pipes, epoll sets) and
 * standard input, output and error. All loops were made before. 0 or PETREL_E_IO: it goes on in the shared one. */
int descriptors_unshare(void);

#endif
