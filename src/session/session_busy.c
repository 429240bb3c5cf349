#include "session/session_busy.h"

#include "base/object.h"
#include "session/session_impl.h"

#include <stdlib.h>

struct session_busy *session_busy(struct session *session)
{
    if (session->busy != NULL)
        return session->busy;
    struct session_busy *busy = slab_take(&session_role_of(session)->busies);
    busy->told = busy->acked = busy->logged = session->at.seq;
    session->busy = busy;
    return busy;
}

void session_busy_move(struct session *session, struct position at)
{
    (void)session_busy(session);
    session->at = at;
}

/* A floor that was told is of no more use once `at` has reached it: no page tells a gap below `at` but a rollback's, whose count is
 * what may be lost at most. */
static bool is_idle(const struct session *session)
{
    const struct session_busy *busy = session->busy;
    uint64_t seq = session->at.seq;
    return session->state == CONN_LIVE && busy->door == NULL && busy->reader.partial.len == 0 && busy->edge == NULL &&
           busy->missed.epoch == 0 && busy->told == seq && busy->acked == seq && busy->logged == seq &&
           busy->told_floor <= seq && !session_flood_counts(session);
}

void session_busy_settle(struct session *session)
{
    if (session->busy != NULL && is_idle(session))
        session_busy_free(session);
}

void session_busy_free(struct session *session)
{
    if (session->busy == NULL)
        return;
    petrel_assert(session->busy->door == NULL);
    frame_reader_reset(&session->busy->reader);
    session_edge_free(session);
    free(session->busy->origin);
    slab_give(session->busy);
    session->busy = NULL;
}
