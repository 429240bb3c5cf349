#include "loop/timer.h"

#include "loop/loop_impl.h"

/* Timers of a slot that are looked at before the loop sleeps. */
#define TIMER_LOOKS_MAX 8U

/* A timer's level is that of the highest group of 6 bits in which its tick differs from the wheel's: so all timers of a
 * level are due before all those of the levels above, and a slot of a level above 0 is spread over the levels below it
 * when the wheel reaches the slot's first tick. */

static uint64_t due_tick(const struct timer_wheel *wheel, uint64_t due_ms)
{
    uint64_t ms = due_ms > wheel->base_ms ? due_ms - wheel->base_ms : 0;
    return (ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
}

/* tick is later than the wheel's. */
static void place(struct timer_wheel *wheel, struct timer *timer, uint64_t tick)
{
    unsigned level = (unsigned)(63 - __builtin_clzll(tick ^ wheel->tick)) / TIMER_LEVEL_BITS;
    petrel_assert(level < TIMER_LEVELS);
    unsigned slot = (unsigned)(tick >> (level * TIMER_LEVEL_BITS)) % TIMER_SLOTS;
    list_push_back(&wheel->slots[level][slot], &timer->node);
    wheel->occupied[level] |= UINT64_C(1) << slot;
}

/* The lowest level and slot that hold a timer, and the slot's first tick. */
static bool find_next(struct timer_wheel *wheel, unsigned *level, unsigned *slot, uint64_t *tick)
{
    for (*level = 0; *level < TIMER_LEVELS; ++*level) {
        uint64_t *occupied = &wheel->occupied[*level];
        while (*occupied != 0) {
            *slot = (unsigned)__builtin_ctzll(*occupied);
            if (list_empty(&wheel->slots[*level][*slot])) {
                *occupied &= *occupied - 1;
                continue;
            }
            unsigned shift = *level * TIMER_LEVEL_BITS;
            uint64_t above = wheel->tick >> (shift + TIMER_LEVEL_BITS);
            *tick = (above * TIMER_SLOTS + *slot) << shift;
            return true;
        }
    }
    return false;
}

static void fire_all(struct list *due)
{
    for (struct list *node; (node = list_pop_front(due)) != NULL;) {
        struct timer *timer = container_of(node, struct timer, node);
        timer->loop = NULL;
        timer->fire(timer);
    }
}

/* The wheel stands on the slot's first tick: fire what is due at it, put the rest on lower levels. */
static void empty_slot(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    struct list timers, due;
    list_init(&timers);
    list_init(&due);
    list_splice(&timers, &wheel->slots[level][slot]);
    wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    for (struct list *node; (node = list_pop_front(&timers)) != NULL;) {
        struct timer *timer = container_of(node, struct timer, node);
        uint64_t tick = due_tick(wheel, timer->due_ms);
        if (tick <= wheel->tick)
            list_push_back(&due, node);
        else
            place(wheel, timer, tick);
    }
    fire_all(&due);
}

void timer_wheel_init(struct loop *loop)
{
    struct timer_wheel *wheel = &loop->wheel;
    wheel->base_ms = clock_mono_ms(loop->clock);
    wheel->tick = 0;
    for (unsigned level = 0; level < TIMER_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (unsigned slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

void timer_wheel_advance(struct loop *loop)
{
    struct timer_wheel *wheel = &loop->wheel;
    uint64_t target = (loop_now_ms(loop) - wheel->base_ms) / TIMER_TICK_MS;
    unsigned level, slot;
    uint64_t tick;
    while (find_next(wheel, &level, &slot, &tick) && tick <= target) {
        wheel->tick = tick;
        empty_slot(wheel, level, slot);
    }
    if (wheel->tick < target)
        wheel->tick = target;
}

/* When the first timer of a slot above level 0 is due: a loop that sleeps until then need not wake where the slot begins, only to
 * spread it. Of a slot with many the beginning will do. */
static uint64_t first_due(const struct timer_wheel *wheel, const struct list *slot, uint64_t begin)
{
    uint64_t first = UINT64_MAX;
    unsigned looked = 0;
    for (const struct list *node = slot->next; node != slot; node = node->next) {
        const uint64_t tick = due_tick(wheel, container_of(node, const struct timer, node)->due_ms);
        if (++looked > TIMER_LOOKS_MAX)
            return begin;
        if (tick < first)
            first = tick;
    }
    return first;
}

uint64_t timer_wheel_next_ms(struct loop *loop)
{
    struct timer_wheel *wheel = &loop->wheel;
    unsigned level, slot;
    uint64_t tick;
    if (!find_next(wheel, &level, &slot, &tick))
        return UINT64_MAX;
    if (level > 0)
        tick = first_due(wheel, &wheel->slots[level][slot], tick);
    return wheel->base_ms + tick * TIMER_TICK_MS;
}

void timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms, void (*fire)(struct timer *timer))
{
    object_check(loop, LOOP_MAGIC);
    petrel_assert(timer->loop == NULL || timer->loop == loop);
    timer_stop(timer);
    struct timer_wheel *wheel = &loop->wheel;
    timer->due_ms = loop_now_ms(loop) + (delay_ms < TIMER_MAX_MS ? delay_ms : TIMER_MAX_MS);
    timer->fire = fire;
    timer->loop = loop;
    uint64_t tick = due_tick(wheel, timer->due_ms);
    place(wheel, timer, tick > wheel->tick ? tick : wheel->tick + 1);
}

void timer_stop(struct timer *timer)
{
    if (timer->loop == NULL)
        return;
    list_remove(&timer->node);
    timer->loop = NULL;
}

bool timer_running(const struct timer *timer)
{
    return timer->loop != NULL;
}
