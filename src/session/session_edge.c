#include "session/session_edge.h"

#include "session/session_impl.h"

struct session_edge *session_edge(struct session *session)
{
    struct session_busy *busy = session_busy(session);
    if (busy->edge == NULL)
        busy->edge = slab_take(&session_role_of(session)->edges);
    return busy->edge;
}

void session_edge_free(struct session *session)
{
    if (session->busy == NULL || session->busy->edge == NULL)
        return;
    struct session_edge *edge = session->busy->edge;
    session->busy->edge = NULL;
    bytes_reset(&edge->proxy);
    http_reader_free(&edge->http);
    slab_give(edge);
}
