#include "base/object.h"
#include "client/core.h"

#include <stdio.h>
#include <stdlib.h>

int core_end(struct petrel_core *core, uint32_t code, const char *text)
{
    if (!core->end.known) {
        core->end.known = true;
        core->end.code = code;
        snprintf(core->end.text, sizeof core->end.text, "%s", text);
    }
    return -1;
}

void core_forget_targets(struct petrel_core *core)
{
    for (size_t i = 0; i < core->targets_count; i++)
        free(core->targets[i]);
    core->targets_count = 0;
}

void core_goaway(struct petrel_core *core, const struct session_goaway *goaway)
{
    struct core_goaway *told = &core->goaway;
    told->told = true;
    told->code = goaway->code;
    uint64_t spread = goaway->spread_ms < CORE_BACKOFF_SERVER_MAX_MS ? goaway->spread_ms : CORE_BACKOFF_SERVER_MAX_MS;
    told->leave_at = core->now_ms + rng_below(&core->rng, spread + 1);
    uint64_t deadline = core->now_ms + goaway->deadline_ms;
    told->close_at = told->leave_at < deadline ? told->leave_at : deadline;
    core->server_backoff_ms = goaway->backoff_ms;
    core_forget_targets(core);
    for (size_t i = 0; i < goaway->targets_count; i++)
        core->targets[i] = object_strndup((const char *)goaway->targets[i].ptr, goaway->targets[i].len);
    core->targets_count = goaway->targets_count;
}

/* The server's wait at least, and a random part that doubles with each failure: full jitter on top of the minimum, because
 * everyone who was told the same minimum would be back in the same moment. */
static int64_t backoff(struct petrel_core *core)
{
    uint64_t least = core->server_backoff_ms;
    if (least > CORE_BACKOFF_SERVER_MAX_MS)
        least = CORE_BACKOFF_SERVER_MAX_MS;
    uint64_t window = least > CORE_BACKOFF_MIN_MS ? least : CORE_BACKOFF_MIN_MS;
    for (uint32_t i = 0; i < core->failures && window < CORE_BACKOFF_MAX_MS; i++)
        window *= 2;
    if (window > CORE_BACKOFF_MAX_MS)
        window = CORE_BACKOFF_MAX_MS;
    return (int64_t)(least + rng_below(&core->rng, window + 1));
}

/* The saved attempt was lost, or belongs to an older copy of this installation's state. */
static bool jump_attempt(struct petrel_core *core)
{
    uint64_t room = CORE_ATTEMPT_MAX - core->state.attempt;
    if (room == 0)
        return false;
    core->state.attempt += core->attempt_jump < room ? core->attempt_jump : (room + 1) / 2;
    if (core->attempt_jump < room)
        core->attempt_jump *= 2;
    return true;
}

static bool may_retry(struct petrel_core *core)
{
    switch (core->end.code) {
    case SESSION_CODE_STALE_ATTEMPT:
        return jump_attempt(core);
    case SESSION_CODE_TOKEN_INVALID:
        return core->fresh_tokens;
    default:
        return session_code_retry(core->end.code);
    }
}

static int64_t until_leave(const struct petrel_core *core)
{
    return core->goaway.leave_at > core->now_ms ? (int64_t)(core->goaway.leave_at - core->now_ms) : 0;
}

int64_t core_retry_ms(struct petrel_core *core)
{
    bool proven = core->phase != CORE_IDLE && core->heartbeat_ms > 0 && core->now_ms - core->began_ms >= CORE_PROVEN_MS;
    if (core->phase == CORE_LEAVING || !may_retry(core))
        return -1;
    if (proven)
        core->failures = 0;
    if (core->goaway.told && proven)
        return until_leave(core);
    int64_t wait = backoff(core);
    core->failures++;
    /* To be sent on by one server after the other is no reason to hurry. */
    return core->goaway.told && until_leave(core) > wait ? until_leave(core) : wait;
}
