#include "session/session_flood.h"

#include "session/session_conn.h"
#include "session/session_impl.h"

/* Up to these, in each of its reads and in reads of one second, a session is quiet. */
#define QUIET_FRAMES 32U
#define QUIET_BYTES 4096U
#define QUIET_READS 8U

bool session_flood_counts(const struct session *session)
{
    const struct session_busy *busy = session->busy;
    return busy != NULL && busy->counted && busy->counted_s == session_now_s(session_role_of(session));
}

static bool refuse(struct session *session, const char *what)
{
    metrics_add(session_role_of(session)->metrics, METRIC_TOO_FAST, 1);
    session_conn_fail(session, SESSION_CODE_TOO_FAST, what);
    return false;
}

bool session_flood_read(struct session *session, size_t bytes)
{
    struct session_role *role = session_role_of(session);
    const uint32_t now_s = session_now_s(role), most = role->config.max_bytes_per_second;
    session->reads = session->heard_s != now_s      ? 1
                     : session->reads < QUIET_READS ? (session->reads + 1) & 15
                                                    : QUIET_READS;
    session->heard_s = now_s;
    role->flood = (struct session_flood){.bytes = (uint32_t)bytes};
    const uint32_t before = session_flood_counts(session) ? session->busy->bytes : 0;
    if (most == 0 || before + (uint64_t)bytes <= most)
        return true;
    return refuse(session, "the device sends more bytes a second than it may");
}

bool session_flood_frame(struct session *session)
{
    struct session_role *role = session_role_of(session);
    const uint32_t most = role->config.max_frames_per_second;
    const uint32_t before = session_flood_counts(session) ? session->busy->frames : 0;
    role->flood.frames++;
    if (most == 0 || before + role->flood.frames <= most)
        return true;
    return refuse(session, "the device sends more frames a second than it may");
}

void session_flood_forgive(struct session *session)
{
    struct session_flood *flood = &session_role_of(session)->flood;
    if (flood->frames > 0)
        flood->frames--;
}

void session_flood_end(struct session *session)
{
    const struct session_role *role = session_role_of(session);
    const struct session_flood *flood = &role->flood;
    const bool quiet = flood->frames <= QUIET_FRAMES && flood->bytes <= QUIET_BYTES && session->reads < QUIET_READS;
    if (session->state == CONN_CLOSING || (quiet && !session_flood_counts(session)))
        return;
    struct session_busy *busy = session_busy(session);
    if (!session_flood_counts(session)) {
        busy->counted = true;
        busy->counted_s = session_now_s(role);
        busy->frames = busy->bytes = 0;
    }
    busy->frames += flood->frames;
    busy->bytes += flood->bytes;
}
