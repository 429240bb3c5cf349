#include "session/session_flow.h"

#include "session/session_ack.h"
#include "session/session_conn.h"

static bool socket_full(const struct session *session)
{
    return stream_queued(session->stream) > session_role_of(session)->config.high_water_bytes;
}

/* ---- Delivers ---- */

static void miss(struct session *session, struct position position)
{
    struct session_busy *busy = session_busy(session);
    session->flags |= SESSION_NEWS;
    if (session_later(position, busy->missed))
        busy->missed = position;
}

static void push(struct session *session, uint64_t seq, struct bytes message)
{
    struct session_role *role = session_role_of(session);
    struct session_busy *busy = session_busy(session);
    struct position position = {session->at.epoch, seq};
    session_encode_push(&role->out, 0, position, busy->told, message);
    busy->told = seq;
    metrics_add(role->metrics, METRIC_PUSHES, 1);
}

static void mark_behind(struct session *session)
{
    if ((session->flags & SESSION_BEHIND) != 0)
        return;
    session->flags |= SESSION_BEHIND;
    metrics_add(session_role_of(session)->metrics, METRIC_BEHIND, 1);
}

void session_flow_fall_behind(struct session *session)
{
    mark_behind(session);
    session_flow_refill(session);
}

static void deliver_live(struct session *session, const struct peer_deliver *deliver)
{
    struct position position = deliver->position;
    if (!session_later(position, session->at))
        return;
    bool hole = position.epoch != session->at.epoch || deliver->prev > session->at.seq;
    bool behind = (session->flags & SESSION_BEHIND) != 0;
    bool full = deliver->message != NULL && socket_full(session);
    if (behind || hole || full) {
        miss(session, position);
        if (!behind)
            session_flow_fall_behind(session);
        return;
    }
    struct session_role *role = session_role_of(session);
    session_busy_move(session, position);
    if (deliver->message == NULL)
        return;
    role->out.len = 0;
    push(session, position.seq, buf_bytes(deliver->message));
    session_conn_write(session, bytes_view(&role->out));
}

void session_flow_deliver(struct session *session, const struct peer_deliver *deliver)
{
    if (session->state == CONN_LIVE)
        deliver_live(session, deliver);
    else if (session->state == CONN_BINDING)
        miss(session, deliver->position);
}

/* ---- pages ---- */

/* Whether the page's gap is one for this session still: it may have taken Delivers beyond it since it asked. */
static bool gap_counts(const struct session *session, const struct peer_page *page)
{
    if (page->gap.reason == SESSION_GAP_NONE)
        return false;
    return page->epoch != session->at.epoch || page->gap.reason == SESSION_GAP_ROLLBACK ||
           (page->gap.floor > session->at.seq &&
            (session->busy == NULL || page->gap.floor > session->busy->told_floor));
}

/* Entries that were left in the middle of a hole come after its GAP, so that one may end where the session stands. */
static void tell_gap(struct session *session, const struct peer_page *page)
{
    struct session_gap gap = {
        .from = page->gap.from,
        .to = {page->epoch, page->gap.to},
        .lost_at_most = page->gap.lost_at_most,
        .reason = page->gap.reason,
    };
    struct session_busy *busy = session_busy(session);
    session_encode_gap(&session_role_of(session)->out, &gap);
    metrics_add(session_role_of(session)->metrics, METRIC_GAPS, 1);
    bool rollback = page->gap.reason == SESSION_GAP_ROLLBACK;
    if (rollback && page->epoch == session->at.epoch)
        session->flags |= SESSION_REWOUND;
    session_busy_move(session, gap.to);
    busy->told = gap.to.seq;
    busy->told_floor = page->gap.floor;
    /* After a rollback the log goes on before what was acked. It may have what it had dropped before: of that the device has nothing
     * if it was told where to begin, and never said that it heard so. */
    if (rollback && !session->proven)
        busy->acked = 0;
    if (busy->acked > gap.to.seq)
        busy->acked = gap.to.seq;
    if (busy->logged > gap.to.seq)
        busy->logged = gap.to.seq;
    /* And it may have forgotten acks of what is left. */
    if (rollback)
        busy->logged = 0;
}

static void push_entries(struct session *session, const struct peer_page *page)
{
    session_busy_move(session, (struct position){page->epoch, session->at.seq});
    for (uint32_t i = 0; i < page->count; i++) {
        const struct peer_entry *entry = &page->entries[i];
        if (entry->seq <= session->at.seq)
            continue;
        push(session, entry->seq, buf_bytes(entry->message));
        session_busy_move(session, (struct position){page->epoch, entry->seq});
    }
    if (page->upto > session->at.seq)
        session_busy_move(session, (struct position){page->epoch, page->upto});
}

/* What is to come after a page. `missed` counts only when it was heard of after the page was asked for: what was heard of
 * before, and is not in a page that reaches the head, is no more (an epoch that was rolled back). */
static void settle(struct session *session, const struct peer_page *page, bool progress)
{
    bool at_head = page->upto >= page->head;
    struct session_busy *busy = session_busy(session);
    bool news = (session->flags & SESSION_NEWS) != 0 && session_later(busy->missed, session->at);
    if (at_head && !news) {
        session->flags &= (uint8_t) ~(SESSION_BEHIND | SESSION_NEWS);
        busy->missed = (struct position){0, 0};
        return;
    }
    mark_behind(session);
    if (progress)
        session_flow_refill(session);
    else
        session_agenda_want(session, SESSION_WANT_FETCH);
}

static void write_out(struct session *session)
{
    const struct session_role *role = session_role_of(session);
    if (role->out.len > 0)
        session_conn_write(session, bytes_view(&role->out));
}

void session_flow_first_page(struct session *session, const struct peer_page *page)
{
    session_role_of(session)->out.len = 0;
    push_entries(session, page);
    write_out(session);
    settle(session, page, true);
    session_ack_note(session);
}

void session_flow_page(struct session *session, const struct peer_page *page)
{
    struct position before = session->at;
    session_role_of(session)->out.len = 0;
    if (gap_counts(session, page))
        tell_gap(session, page);
    push_entries(session, page);
    write_out(session);
    bool moved = before.epoch != session->at.epoch || before.seq != session->at.seq;
    bool news = (session->flags & SESSION_NEWS) != 0;
    settle(session, page, moved || news);
    session_ack_note(session);
    session_busy_settle(session);
}

static void on_fetched(struct link_call *link)
{
    struct session_call *call = session_call_of(link);
    struct session *session = session_call_session(call);
    struct session_role *role = call->role;
    int status = link->reply.status;
    if (status == 0)
        session_agenda_succeeded(role);
    if (session != NULL) {
        session->flags &= (uint8_t)~SESSION_PAGING;
        if (status == 0)
            session_flow_page(session, link->reply.fetched);
        else
            session_agenda_want(session, SESSION_WANT_FETCH);
        /* A refusal for good: the device or its log is not what this session believes. */
        if (status != 0 && !session_call_again(status))
            session_agenda_want(session, SESSION_WANT_CHECK);
    }
    if (status != 0)
        session_agenda_failed(role);
    session_call_give(call);
}

void session_flow_refill(struct session *session)
{
    if ((session->flags & SESSION_BEHIND) == 0 || (session->flags & SESSION_PAGING) != 0)
        return;
    if (socket_full(session)) {
        /* on_drain refills, where it will come; it won't if the socket takes at the turn's end what is queued now. */
        if (!stream_blocked(session->stream))
            session_agenda_soon(session, SESSION_WANT_FETCH);
        return;
    }
    struct session_call *call = session_call_take(session, false);
    call->link.in = (struct peer_msg){.type = PEER_FETCH};
    call->link.in.fetch = (struct peer_fetch){
        .target = session_identity_target(call->who),
        .position = session->at,
        .told_floor = session->busy != NULL ? session->busy->told_floor : 0,
        .max_entries = PEER_PAGE_MAX,
        .max_bytes = PEER_PAGE_BYTES,
    };
    session->flags |= SESSION_PAGING;
    session->flags &= (uint8_t)~SESSION_NEWS;
    if (session_call_ask(call, on_fetched) == 0)
        return;
    session->flags &= (uint8_t)~SESSION_PAGING;
    session_agenda_want(session, SESSION_WANT_FETCH);
    session_agenda_failed(session_role_of(session));
}
