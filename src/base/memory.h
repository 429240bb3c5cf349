/* memory.h: how much memory there is and how much of it is taken, as the kernel tells it. Cheap enough for ten times a second.
 *
 * limit   the machine's memory, or that of the control group (version 2) with the least memory.max above this process, where
 *         that is less
 * used    of the limit, by whoever shares it, sockets in the kernel included; what the kernel gives up at need is not
 * rss     of this process alone: what it has touched and not given back
 *
 * One owner thread. */
#ifndef PETREL_BASE_MEMORY_H
#define PETREL_BASE_MEMORY_H

#include <limits.h>
#include <stdint.h>

/* Where the kernel tells it: "/proc" and "/sys/fs/cgroup"; other places are for tests. */
struct memory_gauge {
    char proc[64];
    char group[PATH_MAX]; /* the directory of the control group that limits most; empty: none does */
};

struct memory_usage {
    uint64_t rss;
    uint64_t used;
    uint64_t limit; /* 0: the kernel does not tell; then used is 0 as well */
};

/* Find the control group. NULL: the kernel's own places. */
void memory_init(struct memory_gauge *gauge, const char *proc, const char *groups);
/* Read what is taken now, and the limit, which may have been changed. */
void memory_measure(const struct memory_gauge *gauge, struct memory_usage *out);

#endif
