#include "contract/loops.h"

#include "base/object.h"

#include <errno.h>
#include <time.h>

#define WAIT_S 60

struct errand {
    struct mail mail;
    void (*call)(void *ctx);
    void *ctx;
    struct loops_tally done;
};

static void must(int rc)
{
    petrel_assert(rc == 0);
}

void loops_tally_init(struct loops_tally *tally)
{
    must(pthread_mutex_init(&tally->lock, NULL));
    must(pthread_cond_init(&tally->changed, NULL));
    tally->value = 0;
}

void loops_tally_destroy(struct loops_tally *tally)
{
    pthread_cond_destroy(&tally->changed);
    pthread_mutex_destroy(&tally->lock);
}

void loops_tally_add(struct loops_tally *tally, uint64_t more)
{
    pthread_mutex_lock(&tally->lock);
    tally->value += more;
    pthread_cond_broadcast(&tally->changed);
    pthread_mutex_unlock(&tally->lock);
}

bool loops_tally_wait(struct loops_tally *tally, uint64_t at_least)
{
    struct timespec until;
    must(clock_gettime(CLOCK_REALTIME, &until));
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&tally->lock);
    int rc = 0;
    while (tally->value < at_least && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&tally->changed, &tally->lock, &until);
    const bool reached = tally->value >= at_least;
    pthread_mutex_unlock(&tally->lock);
    return reached;
}

uint64_t loops_tally_get(struct loops_tally *tally)
{
    pthread_mutex_lock(&tally->lock);
    const uint64_t value = tally->value;
    pthread_mutex_unlock(&tally->lock);
    return value;
}

void loops_open(struct loops *loops, size_t count)
{
    petrel_assert(count <= LOOPS_MAX);
    loops->count = count;
    for (size_t i = 0; i < count; i++) {
        const struct loop_config config = {.index = (uint16_t)i};
        must(loop_new(&loops->loops[i], &config));
    }
}

void loops_start(struct loops *loops)
{
    for (size_t i = 0; i < loops->count; i++)
        must(loop_start_thread(loops->loops[i], "test-loop"));
}

static void run_errand(struct mail *mail)
{
    struct errand *errand = container_of(mail, struct errand, mail);
    errand->call(errand->ctx);
    loops_tally_add(&errand->done, 1);
}

void loops_run_on(struct loops *loops, size_t index, void (*call)(void *ctx), void *ctx)
{
    struct errand errand = {.mail.run = run_errand, .call = call, .ctx = ctx};
    loops_tally_init(&errand.done);
    mailbox_post(loops->loops[index], &errand.mail);
    const bool ran = loops_tally_wait(&errand.done, 1);
    petrel_assert(ran);
    loops_tally_destroy(&errand.done);
}

static void wait_at_gate(struct mail *mail)
{
    struct loops_gate *gate = container_of(mail, struct loops_gate, mail);
    loops_tally_add(&gate->entered, 1);
    (void)loops_tally_wait(&gate->open, 1);
}

void loops_gate_close(struct loops_gate *gate, struct loops *loops, size_t index)
{
    gate->mail.run = wait_at_gate;
    gate->loops = loops;
    gate->index = index;
    loops_tally_init(&gate->entered);
    loops_tally_init(&gate->open);
    mailbox_post(loops->loops[index], &gate->mail);
    const bool entered = loops_tally_wait(&gate->entered, 1);
    petrel_assert(entered);
}

static void pass(void *ctx)
{
    (void)ctx;
}

void loops_gate_open(struct loops_gate *gate)
{
    loops_tally_add(&gate->open, 1);
    loops_run_on(gate->loops, gate->index, pass, NULL);
    loops_tally_destroy(&gate->entered);
    loops_tally_destroy(&gate->open);
}

void loops_stop_one(struct loops *loops, size_t index)
{
    loop_stop(loops->loops[index]);
    loop_join_thread(loops->loops[index]);
}

void loops_stop(struct loops *loops)
{
    for (size_t i = 0; i < loops->count; i++)
        loop_stop(loops->loops[i]);
    for (size_t i = 0; i < loops->count; i++)
        loop_join_thread(loops->loops[i]);
}

void loops_free(struct loops *loops)
{
    for (size_t i = 0; i < loops->count; i++)
        loop_free(&loops->loops[i]);
}
