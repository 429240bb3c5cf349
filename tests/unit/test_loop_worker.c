#include "base/err.h"
#include "base/object.h"
#include "loop/worker.h"
#include "unit/loop_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define JOBS 100

/* A worker whose batches the test holds back and looks into. */
struct bench {
    struct loop_rig rig;
    struct worker *worker;
    struct worker_config config;
    int gate;    /* work() goes on once this is 1 */
    int entered; /* calls of work() with a batch */
    int idle;    /* and without one */
    int done;    /* jobs that came home */
    int start_result;
    int keep; /* jobs that work() holds over to its next call, or to stop() */
    uint32_t wait_ms;
    size_t batch_sizes[JOBS];
    pthread_t home_thread;
    bool stopped;
    /* the worker's thread alone */
    struct worker_job *kept;
    struct worker_job **kept_end;
    int order_errors;
    int last_seen;
    /* the home's thread alone */
    int strangers;
    int last_done;
    int done_disordered;
};

struct job {
    struct worker_job job;
    struct bench *bench;
    int number;
    int posts_left;
    int rc;
};

static int start(void *ctx)
{
    struct bench *bench = ctx;
    return bench->start_result;
}

static void hand_back_kept(struct bench *bench)
{
    while (bench->kept != NULL) {
        struct worker_job *job = bench->kept;
        bench->kept = job->next;
        worker_finish(bench->worker, job);
    }
    bench->kept_end = &bench->kept;
}

static void take(struct bench *bench, struct worker_job *batch)
{
    size_t size = 0;
    for (struct worker_job *job = batch, *next; job != NULL; job = next, size++) {
        next = job->next;
        struct job *mine = container_of(job, struct job, job);
        if (mine->number <= bench->last_seen)
            bench->order_errors++;
        bench->last_seen = mine->number;
        if (bench->keep == 0) {
            worker_finish(bench->worker, job);
            continue;
        }
        bench->keep--;
        job->next = NULL;
        *bench->kept_end = job;
        bench->kept_end = &job->next;
    }
    bench->batch_sizes[bench->entered - 1] = size;
}

static uint32_t work(void *ctx, struct worker_job *batch)
{
    struct bench *bench = ctx;
    if (batch == NULL) {
        hand_back_kept(bench);
        loop_rig_bump(&bench->rig, &bench->idle);
        return UINT32_MAX;
    }
    loop_rig_bump(&bench->rig, &bench->entered);
    (void)loop_rig_await(&bench->rig, &bench->gate, 1);
    take(bench, batch);
    return bench->wait_ms;
}

static void stop(void *ctx)
{
    struct bench *bench = ctx;
    hand_back_kept(bench);
    bench->stopped = true;
}

static void learn_thread(void *arg)
{
    struct bench *bench = arg;
    bench->home_thread = pthread_self();
}

static void set_up_bench(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    bench->wait_ms = UINT32_MAX;
    bench->kept_end = &bench->kept;
    bench->last_seen = -1;
    bench->last_done = -1;
    loop_rig_start(&bench->rig);
    loop_rig_call(&bench->rig, learn_thread, bench);
    bench->config = (struct worker_config){
        .name = "test-worker", .max_pending = JOBS, .ctx = bench, .start = start, .work = work, .stop = stop};
}

static void on_done(struct worker_job *worker_job)
{
    struct job *job = container_of(worker_job, struct job, job);
    struct bench *bench = job->bench;
    if (!pthread_equal(pthread_self(), bench->home_thread))
        bench->strangers++;
    if (job->number <= bench->last_done)
        bench->done_disordered++;
    bench->last_done = job->number;
    if (job->posts_left-- > 0) {
        job->number++;
        job->rc = worker_post(bench->worker, WORKER_FIRST, bench->rig.loop, worker_job, on_done);
    }
    loop_rig_bump(&bench->rig, &bench->done);
}

static int post_ranked(struct bench *bench, struct job *job, enum worker_rank rank, int number)
{
    *job = (struct job){.bench = bench, .number = number, .posts_left = job->posts_left};
    return worker_post(bench->worker, rank, bench->rig.loop, &job->job, on_done);
}

static int post(struct bench *bench, struct job *job, int number)
{
    return post_ranked(bench, job, WORKER_FIRST, number);
}

static void what_waits_is_one_batch_in_order(void **state)
{
    (void)state;
    struct bench bench;
    struct job jobs[JOBS] = {0};
    set_up_bench(&bench);
    assert_int_equal(worker_start(&bench.worker, &bench.config), 0);
    assert_int_equal(post(&bench, &jobs[0], 0), 0);
    loop_rig_wait(&bench.rig, &bench.entered, 1);
    for (int i = 1; i < JOBS; i++)
        assert_int_equal(post(&bench, &jobs[i], i), 0);
    struct job excess = {.number = 0};
    assert_int_equal(post(&bench, &excess, JOBS), PETREL_E_BUSY);
    loop_rig_bump(&bench.rig, &bench.gate);
    loop_rig_wait(&bench.rig, &bench.done, JOBS);
    assert_int_equal(post(&bench, &excess, JOBS), 0); /* there is room again */
    loop_rig_wait(&bench.rig, &bench.done, JOBS + 1);
    worker_stop(&bench.worker);
    assert_null(bench.worker);
    loop_rig_stop(&bench.rig);
    assert_int_equal(bench.batch_sizes[0], 1);
    assert_int_equal(bench.batch_sizes[1], JOBS - 1);
    assert_int_equal(bench.order_errors, 0);
    assert_int_equal(bench.done_disordered, 0);
    assert_int_equal(bench.strangers, 0);
    assert_true(bench.stopped);
}

/* Numbers say in which order they are to be done. */
static void ranks_have_their_share_of_a_batch(void **state)
{
    (void)state;
    struct bench bench;
    struct job jobs[9] = {0};
    const struct {
        enum worker_rank rank;
        int number;
    } posts[] = {{WORKER_THIRD, 5},  {WORKER_THIRD, 6},  {WORKER_SECOND, 3}, {WORKER_THIRD, 8},
                 {WORKER_SECOND, 4}, {WORKER_SECOND, 7}, {WORKER_FIRST, 1},  {WORKER_FIRST, 2}};
    set_up_bench(&bench);
    bench.config.share[WORKER_SECOND] = 2;
    bench.config.share[WORKER_THIRD] = 2;
    assert_int_equal(worker_start(&bench.worker, &bench.config), 0);
    assert_int_equal(post(&bench, &jobs[0], 0), 0);
    loop_rig_wait(&bench.rig, &bench.entered, 1);
    for (size_t i = 0; i < sizeof posts / sizeof posts[0]; i++)
        assert_int_equal(post_ranked(&bench, &jobs[i + 1], posts[i].rank, posts[i].number), 0);
    loop_rig_bump(&bench.rig, &bench.gate);
    worker_stop(&bench.worker); /* what a share left is done before the end */
    loop_rig_wait(&bench.rig, &bench.done, 9);
    loop_rig_stop(&bench.rig);
    assert_int_equal(bench.entered, 3);
    assert_int_equal(bench.batch_sizes[1], 6);
    assert_int_equal(bench.batch_sizes[2], 2);
    assert_int_equal(bench.order_errors, 0);
    assert_int_equal(bench.done_disordered, 0);
    assert_true(bench.stopped);
}

/* Any pace is fast enough here. What came meanwhile is in the batch; more than enough does not wait for more. */
static void batches_gather(void **state)
{
    (void)state;
    struct bench bench;
    struct job jobs[JOBS] = {0};
    set_up_bench(&bench);
    bench.config.gather_us = 1000000;
    bench.config.gather_from = 1;
    bench.gate = 1;
    assert_int_equal(worker_start(&bench.worker, &bench.config), 0);
    assert_int_equal(post(&bench, &jobs[0], 0), 0);
    loop_rig_wait(&bench.rig, &bench.done, 1);
    for (int i = 1; i < 10; i++)
        assert_int_equal(post(&bench, &jobs[i], i), 0);
    loop_rig_wait(&bench.rig, &bench.done, 10);
    assert_int_equal(bench.batch_sizes[bench.entered - 1], 9);
    worker_stop(&bench.worker);
    loop_rig_stop(&bench.rig);
    assert_int_equal(bench.order_errors, 0);
}

static void a_job_that_is_done_may_be_posted_again(void **state)
{
    (void)state;
    struct bench bench;
    set_up_bench(&bench);
    bench.config.max_pending = 1;
    bench.gate = 1;
    struct job job = {.posts_left = 50};
    assert_int_equal(worker_start(&bench.worker, &bench.config), 0);
    assert_int_equal(post(&bench, &job, 0), 0);
    loop_rig_wait(&bench.rig, &bench.done, 51);
    worker_stop(&bench.worker);
    loop_rig_stop(&bench.rig);
    assert_int_equal(job.rc, 0);
}

static void jobs_may_be_finished_later(void **state)
{
    (void)state;
    struct bench bench;
    struct job jobs[3] = {0};
    set_up_bench(&bench);
    bench.gate = 1;
    bench.keep = 2;
    bench.wait_ms = 1;
    assert_int_equal(worker_start(&bench.worker, &bench.config), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(post(&bench, &jobs[i], i), 0);
    loop_rig_wait(&bench.rig, &bench.idle, 1);
    loop_rig_wait(&bench.rig, &bench.done, 2);
    worker_stop(&bench.worker);
    loop_rig_stop(&bench.rig);
    assert_int_equal(bench.done_disordered, 0);
}

struct stopper {
    struct bench *bench;
    int begun;
};

static void *stop_worker(void *arg)
{
    struct stopper *stopper = arg;
    struct worker *worker = stopper->bench->worker;
    loop_rig_bump(&stopper->bench->rig, &stopper->begun);
    worker_stop(&worker);
    return NULL;
}

/* Posted before the stop: work() sees it. Held by work(): stop() hands it back. Posted after: refused. */
static void stopping_loses_no_job(void **state)
{
    (void)state;
    struct bench bench;
    struct job jobs[JOBS] = {0};
    set_up_bench(&bench);
    bench.keep = 5;
    bench.config.max_pending = UINT32_MAX;
    assert_int_equal(worker_start(&bench.worker, &bench.config), 0);
    assert_int_equal(post(&bench, &jobs[0], 0), 0);
    loop_rig_wait(&bench.rig, &bench.entered, 1);
    for (int i = 1; i < 10; i++)
        assert_int_equal(post(&bench, &jobs[i], i), 0);
    struct stopper stopper = {.bench = &bench};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_worker, &stopper), 0);
    loop_rig_wait(&bench.rig, &stopper.begun, 1);
    int posted = 10;
    int rc = 0;
    while (posted < JOBS && (rc = post(&bench, &jobs[posted], posted)) == 0)
        posted++;
    loop_rig_bump(&bench.rig, &bench.gate);
    assert_int_equal(pthread_join(thread, NULL), 0);
    loop_rig_wait(&bench.rig, &bench.done, posted);
    loop_rig_stop(&bench.rig);
    assert_true(rc == 0 || rc == PETREL_E_CLOSING);
    assert_int_equal(bench.done, posted);
    assert_true(bench.stopped);
}

struct refused {
    struct bench *bench;
    struct job job;
    int rc;
};

static void post_from_stop(void *ctx)
{
    struct refused *refused = ctx;
    refused->rc = post(refused->bench, &refused->job, 0);
}

static uint32_t work_never(void *ctx, struct worker_job *batch)
{
    (void)ctx;
    (void)batch;
    return UINT32_MAX;
}

static int start_well(void *ctx)
{
    (void)ctx;
    return 0;
}

static void a_closing_worker_refuses(void **state)
{
    (void)state;
    struct bench bench;
    set_up_bench(&bench);
    struct refused refused = {.bench = &bench};
    struct worker_config config = {.name = "refuses",
                                   .max_pending = 1,
                                   .ctx = &refused,
                                   .start = start_well,
                                   .work = work_never,
                                   .stop = post_from_stop};
    assert_int_equal(worker_start(&bench.worker, &config), 0);
    worker_stop(&bench.worker);
    loop_rig_stop(&bench.rig);
    assert_int_equal(refused.rc, PETREL_E_CLOSING);
    assert_int_equal(bench.done, 0);
    worker_stop(&bench.worker); /* stopped already */
}

static void a_start_that_fails_leaves_nothing(void **state)
{
    (void)state;
    struct bench bench;
    set_up_bench(&bench);
    bench.start_result = PETREL_E_LOCKED;
    assert_int_equal(worker_start(&bench.worker, &bench.config), PETREL_E_LOCKED);
    assert_null(bench.worker);
    assert_false(bench.stopped);
    loop_rig_stop(&bench.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_is_one_batch_in_order),
        cmocka_unit_test(ranks_have_their_share_of_a_batch),
        cmocka_unit_test(batches_gather),
        cmocka_unit_test(a_job_that_is_done_may_be_posted_again),
        cmocka_unit_test(jobs_may_be_finished_later),
        cmocka_unit_test(stopping_loses_no_job),
        cmocka_unit_test(a_closing_worker_refuses),
        cmocka_unit_test(a_start_that_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
