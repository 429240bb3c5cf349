/* A loop with more sockets ready than a turn serves takes turns with others like it: where loops outnumber cores, all of them at it would
 * keep mail, and with it every message on its way, waiting for each of them. Meanwhile it serves its few and its mail. */
#include "loop/loop_impl.h"

/* So long at a time; then the next loop. */
#define CROWD_MS 20U
/* A loop that wakes for each ack, and for each message that another loop has for it, pays more for its turns than for what it does in them.
 * So once CROWD_STREAK servings each came within CROWD_REST_MS of the one before, the crowd is served so often at most, until it has
 * nothing to say or somebody connects. */
#define CROWD_REST_MS 3U
#define CROWD_STREAK 8U
/* Mail waits as well, unless it may be what one of the few waits for. */
#define FEW_QUIET_MS 20U

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

int crowd_rest_ms(const struct loop *loop, int wait_ms)
{
    const uint64_t now_ms = loop->in_turn ? loop->now_ms : loop->ended_ms;
    const int left_ms = loop->pace.due_ms > now_ms ? (int)(loop->pace.due_ms - now_ms) : 0;
    return wait_ms >= 0 && wait_ms < left_ms ? wait_ms : left_ms;
}

bool crowd_gathers_mail(const struct loop *loop)
{
    return loop->pace.rests && !loop->held && loop->ended_ms - loop->pace.few_said_ms > FEW_QUIET_MS;
}

static void note_pace(struct loop *loop, uint32_t count, bool accepted)
{
    struct crowd_pace *pace = &loop->pace;
    if (accepted || (count == 0 && pace->rests)) {
        pace->streak = 0;
        pollset_rest(loop, false);
        return;
    }
    if (count == 0)
        return; /* mail, or the few */
    pace->streak = loop->now_ms - pace->served_ms <= CROWD_REST_MS ? pace->streak + 1 : 0;
    pace->served_ms = loop->now_ms;
    pace->due_ms = loop->drained ? loop->now_ms + CROWD_REST_MS : 0;
    if (pace->streak >= CROWD_STREAK)
        pollset_rest(loop, true);
}

void crowd_served(struct loop *loop, uint32_t count, bool accepted)
{
    note_pace(loop, count, accepted);
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
