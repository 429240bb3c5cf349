/* worker.h: a thread for a blocking client, behind a bounded queue.
 *
 * The thread takes what waits as one batch and hands it to one function; that is what makes a group commit. Finished jobs go home
 * by mail, a batch per loop.
 *
 * rank   jobs of one rank are done in the order they were posted, those of a lower one in a batch before those of a higher one. Of a
 *        higher one a batch takes a share at most, so that many of them hold up nobody of a lower for longer than that takes; and
 *        each batch takes that share, so that none waits for ever
 *
 * Where a batch has a price whatever is in it (an fsync, the wake-ups), fewer and larger ones cost less: batches may gather. */
#ifndef PETREL_LOOP_WORKER_H
#define PETREL_LOOP_WORKER_H

#include "loop/mailbox.h"

struct worker;

enum worker_rank {
    WORKER_FIRST, /* all that wait are in the next batch */
    WORKER_SECOND,
    WORKER_THIRD,
};
#define WORKER_RANKS 3

/* Embedded in a request. The poster leaves it alone until done() runs on its loop. */
struct worker_job {
    struct mail mail; /* first in line for the worker, then the way home */
    struct loop *home;
    void (*done)(struct worker_job *job);
    struct worker_job *next; /* the batch, a chain ending in NULL */
    bool urgent;             /* on the way home, as with mailbox_post_urgent(); for work() to set */
};

struct worker_config {
    const char *name;     /* at most 15 bytes */
    uint32_t max_pending; /* jobs posted and not yet handed back */
    /* While jobs come so fast that gather_us would bring gather_from of them, each batch is taken so much later than it could be,
     * unless many wait already. 0: never. So those who post little are not held up. */
    uint32_t gather_us;
    uint32_t gather_from;
    uint32_t share[WORKER_RANKS]; /* of a batch, at most; 0: all that wait. That of WORKER_FIRST is 0 */
    void *ctx;
    /* On the worker's thread, all three. start: open what blocks; its result is worker_start()'s. */
    int (*start)(void *ctx);
    /* Do a batch. Each job is handed back exactly once by worker_finish(), in this call or a later one. Called with
     * batch == NULL when idle_ms passed without a job. Returns how long to wait at most for the next job, in ms
     * (0: call again at once; UINT32_MAX: no limit). The first call comes at once, with or without a job. */
    uint32_t (*work)(void *ctx, struct worker_job *batch);
    /* Once, last; jobs still held are finished here. */
    void (*stop)(void *ctx);
};

/* Start the thread and wait until start() has returned. 0, its error, or PETREL_E_IO. The thread is not running on error. */
int worker_start(struct worker **out, const struct worker_config *config);
/* 0: done() runs exactly once, later, on home. PETREL_E_BUSY: max_pending reached; PETREL_E_CLOSING: never runs.
 * Any thread. */
int worker_post(struct worker *worker, enum worker_rank rank, struct loop *home, struct worker_job *job,
                void (*done)(struct worker_job *job));
/* Worker's thread: send the job home. Mails of one batch to one loop wake it once. */
void worker_finish(struct worker *worker, struct worker_job *job);
/* Take no more jobs, let work() see what was posted, call stop(), join the thread, free. Homes must still run or be
 * freed later (mailbox_post's rule). Not on the worker's thread. NULL inside is fine. */
void worker_stop(struct worker **worker);

#endif
