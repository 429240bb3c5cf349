/* An append and its ack to a user who is in memory allocate nothing in the store: what they need is kept from one to the next. The
 * linker leads malloc() and its like here; SQLite's own, in its library, are not seen. */
#include "contract/store_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define USERS 16
#define WARM_UP 120
#define ROUNDS 40
#define STEP_MS 600 /* so that ids and fates go as fast as they come */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static _Atomic uint64_t counted;

/* The worker's thread, by its name. */
static void count(void)
{
    char name[16] = "";
    (void)pthread_getname_np(pthread_self(), name, sizeof name);
    counted += strcmp(name, "store") == 0;
}

void *__wrap_malloc(size_t size)
{
    count();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size)
{
    count();
    return __real_calloc(number, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    count();
    return __real_realloc(ptr, size);
}

static void one_each(struct store_rig *rig, const struct position *from, uint32_t round)
{
    for (uint32_t i = 0; i < USERS; i++) {
        char user[16], text[32];
        snprintf(user, sizeof user, "user%u", i);
        snprintf(text, sizeof text, "message %u %u", i, round);
        uint64_t seq = store_rig_put(rig, user, text);
        assert_int_equal(store_rig_ack(rig, user, "phone", (struct position){from[i].epoch, seq}), 0);
    }
    store_rig_advance(rig, STEP_MS);
}

static void appends_and_acks_allocate_nothing(void **state)
{
    struct store_rig rig;
    struct position from[USERS];
    store_rig_open(&rig, *state, NULL);
    for (uint32_t i = 0; i < USERS; i++) {
        char user[16];
        snprintf(user, sizeof user, "user%u", i);
        from[i] = store_rig_bound(&rig, user, "phone", 1).position;
    }
    /* The counter counts. */
    assert_true(counted > USERS);
    for (uint32_t round = 0; round < WARM_UP; round++)
        one_each(&rig, from, round);
    uint64_t before = counted;
    for (uint32_t round = WARM_UP; round < WARM_UP + ROUNDS; round++)
        one_each(&rig, from, round);
    assert_int_equal(counted - before, 0);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_and_acks_allocate_nothing),
    };
    return store_rig_main_on("sqlite", "allocations of the store", tests, sizeof tests / sizeof tests[0]);
}
