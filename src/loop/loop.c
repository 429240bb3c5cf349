#include "loop/loop.h"

#include "base/err.h"
#include "base/log.h"
#include "loop/capabilities.h"
#include "loop/descriptors.h"
#include "loop/loop_impl.h"
#include "loop/thread.h"
#include "loop/tls_loop.h"

#include <limits.h>
#include <stdlib.h>

#define LOOP_READ_BUFFER_BYTES (64 * 1024)
/* How often tasks and callbacks may lead to each other within one turn before sockets and mail are looked at again. */
#define LOOP_ROUNDS_MAX 8

void loop_turn_begin(struct loop *loop)
{
    if (loop->in_turn)
        return;
    loop->in_turn = true;
    loop->drained = true;
    loop->now_ms = clock_mono_ms(loop->clock);
    loop->wall_ms = 0;
}

static void run_tasks(struct list *tasks)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, tasks);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct loop_task *task = container_of(node, struct loop_task, node);
        task->queued = false;
        task->run(task);
    }
}

static bool has_work(const struct loop *loop)
{
    return !list_empty(&loop->deferred) || !list_empty(&loop->turn_end) || !list_empty(&loop->unflushed) ||
           loop->closing_first != NULL || !list_empty(&loop->closed_listeners);
}

static void note_end(struct loop *loop, uint64_t end_ms)
{
    const uint64_t took_ms = end_ms - loop->now_ms;
    loop->ended_ms = end_ms;
    if (took_ms > loop->longest_turn_ms)
        loop->longest_turn_ms = took_ms;
    if (!loop->backlogged)
        loop->since_ms = loop->now_ms;
    loop->lag_ms = end_ms - loop->since_ms;
    loop->backlogged = !loop->drained;
}

static void end_turn(struct loop *loop)
{
    loop_turn_begin(loop);
    timer_wheel_advance(loop);
    for (int round = 0; round < LOOP_ROUNDS_MAX && has_work(loop); round++) {
        run_tasks(&loop->deferred);
        run_tasks(&loop->turn_end);
        stream_flush_all(loop);
        stream_free_closed(loop);
        listener_free_closed(loop);
    }
    note_end(loop, clock_mono_ms(loop->clock));
    if (loop->now_ms - loop->trimmed_ms >= LOOP_TRIM_MS) {
        loop->trimmed_ms = loop->now_ms;
        stream_slabs_trim(loop);
        tls_loop_trim(loop->tls);
    }
    loop->in_turn = false;
}

/* Until the next timer is due, as of the last turn's end; -1: for ever. */
static int wait_ms(struct loop *loop)
{
    if (has_work(loop) || !mailbox_sleep(loop, crowd_gathers_mail(loop) ? MAILBOX_RESTING : MAILBOX_ASLEEP))
        return 0;
    uint64_t next_ms = timer_wheel_next_ms(loop);
    if (next_ms == UINT64_MAX)
        return -1;
    uint64_t left_ms = next_ms > loop->ended_ms ? next_ms - loop->ended_ms : 0;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

/* Undo loop_new() as far as it came. */
static void discard(struct loop *loop)
{
    signal_free(loop->signals);
    mailbox_destroy(loop);
    pollset_destroy(loop);
    tls_loop_free(&loop->tls);
    stream_slabs_reset(loop);
    free(loop->read_buffer);
    loop->magic = 0;
    free(loop);
}

int loop_new(struct loop **out, const struct loop_config *config)
{
    struct loop *loop = object_zalloc(sizeof *loop);
    loop->magic = LOOP_MAGIC;
    loop->index = config->index;
    loop->clock = config->clock != NULL ? config->clock : clock_system();
    loop->own_descriptors = config->own_descriptors;
    loop->opens_low_ports = config->opens_low_ports;
    rng_seed_system(&loop->rng);
    list_init(&loop->deferred);
    list_init(&loop->turn_end);
    list_init(&loop->unflushed);
    stream_slabs_init(loop);
    list_init(&loop->closed_listeners);
    loop->read_buffer_size = config->read_buffer_bytes != 0 ? config->read_buffer_bytes : LOOP_READ_BUFFER_BYTES;
    loop->read_buffer = object_alloc(loop->read_buffer_size);
    timer_wheel_init(loop);
    bool ready = pollset_init(loop) == 0;
    ready = mailbox_init(loop) == 0 && ready;
    if (!ready) {
        discard(loop);
        return PETREL_E_IO;
    }
    crowd_init(loop, config->crowds);
    *out = loop;
    return 0;
}

void loop_run(struct loop *loop)
{
    object_check(loop, LOOP_MAGIC);
    thread_be_prompt();
    loop->in_turn = false; /* set-up was no turn, however long it took */
    for (;;) {
        end_turn(loop);
        bool stopping = atomic_load_explicit(&loop->stopping, memory_order_acquire);
        if (stopping && loop->open == 0 && !has_work(loop))
            break;
        pollset_wait(loop, wait_ms(loop));
    }
    crowd_leave(loop);
}

void loop_stop(struct loop *loop)
{
    object_check(loop, LOOP_MAGIC);
    atomic_store_explicit(&loop->stopping, true, memory_order_release);
    mailbox_wake(loop);
}

void loop_free(struct loop **inside)
{
    struct loop *loop = *inside;
    if (loop == NULL)
        return;
    object_check(loop, LOOP_MAGIC);
    petrel_assert(!loop->has_thread && "joined first");
    crowd_destroy(loop);
    do {
        end_turn(loop);
    } while (mailbox_run(loop) || has_work(loop));
    petrel_assert(loop->open == 0 && "who opened something closes it");
    discard(loop);
    *inside = NULL;
}

static void *run_thread(void *arg)
{
    struct loop *loop = arg;
    if (!loop->opens_low_ports)
        capabilities_shed();
    if (loop->own_descriptors && descriptors_unshare() != 0)
        log_at(LOG_ERROR, "loop", "no table of descriptors of its own: fewer sockets fit",
               LOG_NUM("loop", loop->index));
    loop_run(loop);
    return NULL;
}

int loop_start_thread(struct loop *loop, const char *name)
{
    object_check(loop, LOOP_MAGIC);
    petrel_assert(!loop->has_thread);
    int rc = thread_start(&loop->thread, name, run_thread, loop);
    loop->has_thread = rc == 0;
    return rc;
}

void loop_join_thread(struct loop *loop)
{
    object_check(loop, LOOP_MAGIC);
    if (!loop->has_thread)
        return;
    int rc = pthread_join(loop->thread, NULL);
    petrel_assert(rc == 0);
    loop->has_thread = false;
}

uint16_t loop_index(const struct loop *loop)
{
    return loop->index;
}

const struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}

struct rng *loop_rng(struct loop *loop)
{
    return &loop->rng;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->in_turn ? loop->now_ms : clock_mono_ms(loop->clock);
}

/* Most turns don't ask. */
uint64_t loop_wall_ms(struct loop *loop)
{
    if (!loop->in_turn)
        return clock_wall_ms(loop->clock);
    if (loop->wall_ms == 0)
        loop->wall_ms = clock_wall_ms(loop->clock);
    return loop->wall_ms;
}

uint64_t loop_take_longest_turn_ms(struct loop *loop)
{
    uint64_t longest_ms = loop->longest_turn_ms;
    loop->longest_turn_ms = 0;
    return longest_ms;
}

uint64_t loop_lag_ms(const struct loop *loop)
{
    return loop->lag_ms;
}

static void queue_task(struct list *tasks, struct loop_task *task)
{
    if (task->queued)
        return;
    task->queued = true;
    list_push_back(tasks, &task->node);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    object_check(loop, LOOP_MAGIC);
    queue_task(&loop->deferred, task);
}

void loop_undefer(struct loop_task *task)
{
    if (!task->queued)
        return;
    task->queued = false;
    list_remove(&task->node);
}

void loop_at_turn_end(struct loop *loop, struct loop_task *task)
{
    object_check(loop, LOOP_MAGIC);
    queue_task(&loop->turn_end, task);
}
