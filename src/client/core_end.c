#include "client/core.h"

#include <stdio.h>

int core_end(struct petrel_core *core, uint32_t code, const char *text)
{
    if (!core->end.known) {
        core->end.known = true;
        core->end.code = code;
        snprintf(core->end.text, sizeof core->end.text, "%s", text);
    }
    return -1;
}

void core_backoff(struct petrel_core *core, uint32_t backoff_ms)
{
    if (!core->backoff_told || backoff_ms < core->server_backoff_ms)
        core->server_backoff_ms = backoff_ms;
    core->backoff_told = true;
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
    servers_goaway(&core->servers, goaway->targets, goaway->targets_count);
}

/* The server's wait at least, and a random part that doubles with each failure: full jitter on top of the minimum, because
 * everyone who was told the same minimum would be back in the same moment. */
static int64_t backoff(struct petrel_core *core, uint64_t window)
{
    uint64_t least = core->server_backoff_ms;
    if (least > CORE_BACKOFF_SERVER_MAX_MS)
        least = CORE_BACKOFF_SERVER_MAX_MS;
    if (window < least)
        window = least;
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

/* Whether the end says something about this server, which another server may not have in common with it. */
static bool is_the_servers(uint32_t code)
{
    return code == 0 || code == SESSION_CODE_SHUTDOWN || code == SESSION_CODE_DRAIN ||
           code == SESSION_CODE_OVERLOADED || code == SESSION_CODE_UNAVAILABLE;
}

static enum servers_why why(const struct petrel_core *core, bool was_live)
{
    if (!is_the_servers(core->end.code))
        return SERVERS_NOT_THEIRS;
    return was_live ? SERVERS_SESSION_ENDED : SERVERS_ROUND_FAILED;
}

int64_t core_retry_ms(struct petrel_core *core)
{
    bool was_live = core->phase != CORE_IDLE && core->heartbeat_ms > 0;
    bool proven = was_live && core->now_ms - core->began_ms >= CORE_PROVEN_MS;
    bool may = core->phase != CORE_LEAVING && may_retry(core);
    bool another = servers_another(&core->servers);
    if (may && another && !was_live && is_the_servers(core->end.code))
        return 0;
    bool all_failed = why(core, was_live) == SERVERS_ROUND_FAILED;
    servers_restart(&core->servers, why(core, was_live));
    core->backoff_told = false;
    if (!may)
        return -1;
    if (proven)
        core->failures = 0;
    if (core->goaway.told && proven)
        return until_leave(core);
    uint64_t window = all_failed ? core->servers.answer.backoff_ms : 0;
    int64_t wait = backoff(core, window > CORE_BACKOFF_MIN_MS ? window : CORE_BACKOFF_MIN_MS);
    core->failures++;
    /* To be sent on by one server after the other is no reason to hurry. */
    return core->goaway.told && until_leave(core) > wait ? until_leave(core) : wait;
}
