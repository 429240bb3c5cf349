/* registry_base.h: what every registry is: the port's operations behind a worker thread, a slice of requests to a transaction, a
 * snapshot after each change. The room's own. An implementation embeds it and says how its tables are reached.
 *
 * slice     requests that share a transaction, from its first write on
 * tables    the connection; NULL while there is none. The worker's thread only, as everything below it */
#ifndef PETREL_REGISTRY_REGISTRY_BASE_H
#define PETREL_REGISTRY_REGISTRY_BASE_H

#include "base/clock.h"
#include "registry/registry.h"
#include "registry/tables.h"

struct registry_base;

struct registry_base_ops {
    const char *name;
    size_t slice_max;    /* requests in a transaction */
    uint32_t refresh_ms; /* between two looks that refresh() asks for */
    /* The first connection; its result is registry_base_open()'s. */
    int (*start)(struct registry_base *base);
    /* Have base->tables. 0; PETREL_E_UNAVAILABLE. It may turn out to be dead. */
    int (*connect)(struct registry_base *base);
    /* After anything was asked, with its status: give up base->tables where it is not usable. */
    void (*settle)(struct registry_base *base, int status);
    /* A job that is no request of the port's. NULL: there are none. */
    void (*take_job)(struct registry_base *base, struct worker_job *job);
    /* Between batches: do what is due, return how long the next may wait. */
    uint32_t (*tend)(struct registry_base *base);
    /* Last on the worker's thread, before base->tables is closed. */
    void (*stop)(struct registry_base *base);
    void (*free)(struct registry_base *base);
};

/* Zero-initialise; fill the first group. */
struct registry_base {
    const struct registry_base_ops *ops;
    const struct clock *clock;
    void (*on_snapshot)(struct registry_base *base, struct snapshot *snapshot);

    struct registry registry;
    uint32_t magic;
    struct worker *worker;
    struct tables *tables;
    bool unpublished; /* the last snapshot may be older than the tables, or there is none */
    bool in_doubt;    /* what the slice wrote may be there: COMMIT was not answered, or it was and nobody can see it */
    uint64_t version; /* of the last snapshot */
    struct snapshot *last; /* whose meters the next one takes over */
    struct worker_job *refreshes;
    uint64_t refresh_at_ms; /* not before this */
};

/* Start the worker. 0, start()'s error, or PETREL_E_IO; on an error free() was called. */
int registry_base_open(struct registry_base *base);
struct registry_base *registry_base_of(struct registry *registry);

/* Worker's thread. Read the tables, give out what was read. 0 or a failure; the caller settles. */
int registry_base_publish(struct registry_base *base);
/* Worker's thread, connected: look at the version; another than the last one's is published. Settles. 0 or a failure. */
int registry_base_poll(struct registry_base *base);
/* Connections live in real time, whatever the clock of what is written says. */
uint64_t registry_base_now_ms(void);
/* How long until then, 0 when it is past. */
uint32_t registry_base_until(uint64_t due_ms);

#endif
