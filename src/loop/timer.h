/* timer.h: one timing wheel per loop. A timer is 48 bytes embedded in its owner; starting and stopping are O(1). The wheel
 * sleeps until its next due slot: an idle loop with no timer never wakes. */
#ifndef PETREL_LOOP_TIMER_H
#define PETREL_LOOP_TIMER_H

#include "loop/loop.h"

#define TIMER_TICK_MS 8 /* resolution: fires never early, at most about this late, plus the turn's length */
#define TIMER_MAX_MS (48 * 3600000ULL) /* longer delays are cut to this */

/* Zero-initialise before the first start. */
struct timer {
    struct list node;
    uint64_t due_ms;
    void (*fire)(struct timer *timer);
    struct loop *loop; /* NULL while stopped */
};

/* Call fire(timer) once, after at least delay_ms from loop_now_ms(). A running timer is moved. fire may restart it or free
 * its owner. */
void timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms, void (*fire)(struct timer *timer));
/* Stop it; nothing happens when it is not running. */
void timer_stop(struct timer *timer);
bool timer_running(const struct timer *timer);

#endif
