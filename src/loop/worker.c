#include "loop/worker.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/object.h"
#include "loop/capabilities.h"
#include "loop/loop_impl.h"
#include "loop/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define WORKER_MAGIC OBJECT_MAGIC('W', 'O', 'R', 'K')
#define GATHER_ENOUGH 16 /* times gather_from jobs: a batch that need not grow */
#define PACE_KEPT 0.875

/* Finished jobs on their way to one loop. */
struct parcel {
    struct loop *home;
    struct mail *first;
    struct mail *last;
    bool urgent; /* one of them is */
};

/* Jobs that wait, in the order they were posted. */
struct line {
    struct worker_job *first;
    struct worker_job **end;
    uint32_t count;
};

enum worker_state { WORKER_STARTING, WORKER_RUNNING, WORKER_FAILED, WORKER_STOPPING };

struct worker {
    uint32_t magic;
    struct worker_config config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job came, or the state changed */

    /* Under lock. */
    enum worker_state state;
    int start_result;
    uint32_t pending;
    uint32_t waiting; /* jobs in the lines */
    struct line lines[WORKER_RANKS];

    /* The worker's thread alone. */
    struct line taken[WORKER_RANKS]; /* out of the lines, but in no batch yet */
    struct parcel *parcels;          /* a few: one a loop */
    size_t parcel_count;
    uint32_t finished;  /* in the parcels */
    double lately_jobs; /* that came in the last few batches, */
    double lately_us;   /* and in how long: the older the less they count */
    uint64_t taken_us;  /* when the last batch was taken */
};

static void run_done(struct mail *mail)
{
    struct worker_job *job = container_of(mail, struct worker_job, mail);
    job->done(job);
}

static struct parcel *parcel_to(struct worker *worker, struct loop *home)
{
    for (size_t i = 0; i < worker->parcel_count; i++) {
        if (worker->parcels[i].home == home)
            return &worker->parcels[i];
    }
    worker->parcels = object_realloc(worker->parcels, (worker->parcel_count + 1) * sizeof *worker->parcels);
    struct parcel *parcel = &worker->parcels[worker->parcel_count++];
    *parcel = (struct parcel){.home = home};
    return parcel;
}

static void send_parcels(struct worker *worker)
{
    if (worker->finished == 0)
        return;
    /* Before the jobs leave: who is told that one is done may post the next. */
    pthread_mutex_lock(&worker->lock);
    petrel_assert(worker->finished <= worker->pending);
    worker->pending -= worker->finished;
    pthread_mutex_unlock(&worker->lock);
    worker->finished = 0;
    for (size_t i = 0; i < worker->parcel_count; i++) {
        struct parcel *parcel = &worker->parcels[i];
        if (parcel->first != NULL)
            mailbox_post_chain(parcel->home, parcel->first, parcel->last, parcel->urgent);
        parcel->first = NULL;
        parcel->urgent = false;
    }
}

static struct timespec in_us(uint64_t us)
{
    uint64_t at = clock_stopwatch_us() + us;
    return (struct timespec){.tv_sec = (time_t)(at / 1000000), .tv_nsec = (long)(at % 1000000) * 1000};
}

/* For a job, at most wait_ms. With the lock held, as the two below. */
static void wait_for_job(struct worker *worker, uint32_t wait_ms)
{
    struct timespec until = in_us(wait_ms == UINT32_MAX ? 0 : (uint64_t)wait_ms * 1000);
    while (worker->waiting == 0 && worker->state == WORKER_RUNNING) {
        if (wait_ms == UINT32_MAX)
            pthread_cond_wait(&worker->changed, &worker->lock);
        else if (wait_ms == 0 || pthread_cond_timedwait(&worker->changed, &worker->lock, &until) == ETIMEDOUT)
            break;
    }
}

/* Nobody needs to wake this thread meanwhile: it has its jobs. */
static void gather(struct worker *worker)
{
    const struct worker_config *config = &worker->config;
    bool worth = worker->lately_jobs * config->gather_us > worker->lately_us * config->gather_from;
    if (config->gather_us == 0 || !worth || worker->state != WORKER_RUNNING ||
        worker->waiting >= GATHER_ENOUGH * config->gather_from)
        return;
    struct timespec until = in_us(config->gather_us);
    pthread_mutex_unlock(&worker->lock);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
    pthread_mutex_lock(&worker->lock);
}

static void note_pace(struct worker *worker, uint32_t jobs)
{
    uint64_t now = clock_stopwatch_us();
    worker->lately_jobs = worker->lately_jobs * PACE_KEPT + jobs;
    worker->lately_us = worker->lately_us * PACE_KEPT + (double)(now - worker->taken_us);
    worker->taken_us = now;
}

/* Move the line's first jobs, `most` at most (0: all), to the end of another. */
static void line_move(struct line *from, struct line *to, uint32_t most)
{
    if (from->first == NULL)
        return;
    struct worker_job **end = from->end;
    uint32_t count = from->count;
    if (most > 0 && most < count) {
        end = &from->first;
        for (count = 0; count < most; count++)
            end = &(*end)->next;
    }
    if (to->first == NULL)
        to->end = &to->first;
    *to->end = from->first;
    to->end = end;
    to->count += count;
    from->first = *end;
    from->count -= count;
    *end = NULL;
}

/* What is in the lines, to those of the worker's thread. */
static uint32_t fetch(struct worker *worker)
{
    const uint32_t came = worker->waiting;
    for (int rank = 0; rank < WORKER_RANKS; rank++)
        line_move(&worker->lines[rank], &worker->taken[rank], 0);
    worker->waiting = 0;
    return came;
}

static bool has_taken(const struct worker *worker)
{
    bool any = false;
    for (int rank = 0; rank < WORKER_RANKS; rank++)
        any = any || worker->taken[rank].first != NULL;
    return any;
}

/* Wait for a job, at most wait_ms; the next batch, or NULL. *stopping: none will come any more. */
static struct worker_job *take_batch(struct worker *worker, uint32_t wait_ms, bool *stopping)
{
    struct line batch = {0};
    const bool rest = has_taken(worker);
    pthread_mutex_lock(&worker->lock);
    wait_for_job(worker, rest ? 0 : wait_ms);
    if (worker->waiting > 0 && !rest)
        gather(worker);
    const uint32_t came = fetch(worker);
    *stopping = worker->state == WORKER_STOPPING;
    pthread_mutex_unlock(&worker->lock);
    for (int rank = 0; rank < WORKER_RANKS; rank++)
        line_move(&worker->taken[rank], &batch, worker->config.share[rank]);
    if (batch.first != NULL)
        note_pace(worker, came);
    return batch.first;
}

static bool report_start(struct worker *worker, int result)
{
    pthread_mutex_lock(&worker->lock);
    worker->start_result = result;
    worker->state = result == 0 ? WORKER_RUNNING : WORKER_FAILED;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    return result == 0;
}

static void *run_thread(void *arg)
{
    struct worker *worker = arg;
    const struct worker_config *config = &worker->config;
    capabilities_shed();
    thread_be_prompt();
    if (!report_start(worker, config->start(config->ctx)))
        return NULL;
    uint32_t wait_ms = 0;
    bool stopping = false;
    worker->taken_us = clock_stopwatch_us();
    for (;;) {
        struct worker_job *batch = take_batch(worker, wait_ms, &stopping);
        if (batch == NULL && stopping)
            break;
        wait_ms = config->work(config->ctx, batch);
        send_parcels(worker);
    }
    config->stop(config->ctx);
    send_parcels(worker);
    return NULL;
}

static struct worker *worker_new(const struct worker_config *config)
{
    struct worker *worker = object_zalloc(sizeof *worker);
    worker->magic = WORKER_MAGIC;
    worker->config = *config;
    worker->state = WORKER_STARTING;
    pthread_condattr_t monotonic;
    int rc = pthread_condattr_init(&monotonic);
    petrel_assert(rc == 0);
    rc = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    petrel_assert(rc == 0);
    rc = pthread_cond_init(&worker->changed, &monotonic);
    petrel_assert(rc == 0);
    rc = pthread_mutex_init(&worker->lock, NULL);
    petrel_assert(rc == 0);
    (void)pthread_condattr_destroy(&monotonic);
    return worker;
}

static void worker_free(struct worker *worker)
{
    petrel_assert(worker->pending == 0 && "every job is handed back");
    (void)pthread_cond_destroy(&worker->changed);
    (void)pthread_mutex_destroy(&worker->lock);
    free(worker->parcels);
    worker->magic = 0;
    free(worker);
}

int worker_start(struct worker **out, const struct worker_config *config)
{
    struct worker *worker = worker_new(config);
    int rc = thread_start(&worker->thread, config->name, run_thread, worker);
    if (rc != 0) {
        worker_free(worker);
        return rc;
    }
    pthread_mutex_lock(&worker->lock);
    while (worker->state == WORKER_STARTING)
        pthread_cond_wait(&worker->changed, &worker->lock);
    rc = worker->start_result;
    pthread_mutex_unlock(&worker->lock);
    if (rc != 0) {
        (void)pthread_join(worker->thread, NULL);
        worker_free(worker);
        return rc;
    }
    *out = worker;
    return 0;
}

int worker_post(struct worker *worker, enum worker_rank rank, struct loop *home, struct worker_job *job,
                void (*done)(struct worker_job *job))
{
    object_check(worker, WORKER_MAGIC);
    int rc = 0;
    pthread_mutex_lock(&worker->lock);
    if (worker->state != WORKER_RUNNING) {
        rc = PETREL_E_CLOSING;
    } else if (worker->pending == worker->config.max_pending) {
        rc = PETREL_E_BUSY;
    } else {
        *job = (struct worker_job){.mail = {.run = run_done}, .home = home, .done = done};
        if (worker->waiting == 0)
            pthread_cond_signal(&worker->changed);
        struct line posted = {.first = job, .end = &job->next, .count = 1};
        line_move(&posted, &worker->lines[rank], 0);
        worker->pending++;
        worker->waiting++;
    }
    pthread_mutex_unlock(&worker->lock);
    return rc;
}

void worker_finish(struct worker *worker, struct worker_job *job)
{
    object_check(worker, WORKER_MAGIC);
    struct parcel *parcel = parcel_to(worker, job->home);
    job->mail.next = NULL;
    if (parcel->first == NULL)
        parcel->first = &job->mail;
    else
        parcel->last->next = &job->mail;
    parcel->last = &job->mail;
    parcel->urgent = parcel->urgent || job->urgent;
    worker->finished++;
}

void worker_stop(struct worker **inside)
{
    struct worker *worker = *inside;
    if (worker == NULL)
        return;
    object_check(worker, WORKER_MAGIC);
    pthread_mutex_lock(&worker->lock);
    worker->state = WORKER_STOPPING;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    int rc = pthread_join(worker->thread, NULL);
    petrel_assert(rc == 0);
    worker_free(worker);
    *inside = NULL;
}
