/* A loop with more sockets ready than a turn serves takes turns with others like it: where loops outnumber cores, all of them at it would
 * keep mail, and with it every message on its way, waiting for each of them. Meanwhile it serves its few and its mail. */
#include "loop/loop_impl.h"

/* So long at a time; then the next loop. */
#define CROWD_MS 20U

static void on_let_in(void *ctx)
{
    struct loop *loop = ctx;
    loop->crowd_in = true;
    loop->crowd_since_ms = loop_now_ms(loop);
    pollset_hold(loop, false);
}

void crowd_init(struct loop *loop, struct turnstile *turnstile)
{
    if (turnstile != NULL)
        loop->crowd_pass = turnstile_join(turnstile, loop, on_let_in, loop);
}

void crowd_leave(struct loop *loop)
{
    if (loop->crowd_in)
        turnstile_leave(loop->crowd_pass);
    loop->crowd_in = false;
}

void crowd_served(struct loop *loop)
{
    if (loop->crowd_pass == NULL)
        return;
    const bool has_had_its_time = loop_now_ms(loop) - loop->crowd_since_ms >= CROWD_MS;
    if (loop->drained || (loop->crowd_in && has_had_its_time && turnstile_is_wanted(loop->crowd_pass)))
        crowd_leave(loop);
    if (loop->drained || loop->crowd_in)
        return;
    loop->crowd_in = turnstile_enter(loop->crowd_pass);
    loop->crowd_since_ms = loop_now_ms(loop);
    if (!loop->crowd_in)
        pollset_hold(loop, true);
}

void crowd_destroy(struct loop *loop)
{
    turnstile_part(&loop->crowd_pass);
    loop->crowd_in = false;
}
