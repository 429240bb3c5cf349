#include "session/session_bind.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "session/session_conn.h"
#include "session/session_flow.h"
#include "session/session_topics.h"
#include "wire/websocket_upgrade.h"

#include <stdlib.h>

#define BIND_TRIES_MAX 4U
#define BIND_RETRY_MS 500U

static void refuse_with(struct session *session, uint32_t code, const char *text)
{
    metrics_add(session_role_of(session)->metrics, METRIC_CONNECTS_REFUSED, 1);
    session_conn_fail(session, code, text);
}

static void refuse(struct session *session, uint32_t code)
{
    refuse_with(session, code, NULL);
}

/* Its address showed too many bad tokens, and then the token is not looked at: it may be good; or others of its app were faster. It is to
 * come again. */
static void have_wait(struct session *session, const char *why, uint32_t wait_ms)
{
    metrics_add(session_role_of(session)->metrics, METRIC_CONNECTS_REFUSED, 1);
    session_conn_put_off(session, why, wait_ms);
}

/* ---- the first bind ---- */

static void on_bind_retry(struct timer *timer)
{
    struct session_door *door = container_of(timer, struct session_door, timer);
    if (session_window_enter(door->session))
        session_bind_ask(door->session);
}

static void try_again_or_refuse(struct session *session)
{
    struct session_door *door = session->busy->door;
    door->maybe_bound = true;
    if (door->binds < BIND_TRIES_MAX)
        timer_start(session_role_of(session)->loop, &door->timer, BIND_RETRY_MS, on_bind_retry);
    else
        refuse(session, SESSION_CODE_UNAVAILABLE);
}

static void on_bind_refused(struct session *session, int status)
{
    switch (status) {
    case PETREL_E_STALE:
        refuse(session, SESSION_CODE_STALE_ATTEMPT);
        return;
    case PETREL_E_REVOKED:
        refuse(session, SESSION_CODE_REVOKED);
        return;
    case PETREL_E_TOO_LARGE:
        refuse(session, SESSION_CODE_TOO_MANY_DEVICES);
        return;
    case PETREL_E_BUSY:
    case PETREL_E_FULL:
        refuse(session, SESSION_CODE_OVERLOADED);
        return;
    case PETREL_E_UNAVAILABLE:
    case PETREL_E_TIMEOUT:
        try_again_or_refuse(session);
        return;
    default:
        if (status != PETREL_E_CLOSING)
            log_at(LOG_ERROR, "session", "a bind failed", LOG_STR("error", err_name(status)));
        refuse(session, SESSION_CODE_UNAVAILABLE);
        return;
    }
}

static void count_verdict(struct session_role *role, enum session_verdict verdict)
{
    metrics_add(role->metrics, METRIC_CONNECTS, 1);
    metrics_add(role->metrics,
                verdict == SESSION_NEW       ? METRIC_RESUME_NEW
                : verdict == SESSION_RESUMED ? METRIC_RESUME_RESUMED
                                             : METRIC_RESUME_GAP,
                1);
}

static void write_connected(struct session *session, const struct peer_bound *bound)
{
    struct session_role *role = session_role_of(session);
    struct session_connected connected = {
        .verdict = bound->verdict,
        .position = bound->position,
        .heartbeat_s = session->heartbeat_s,
        .max_frame_bytes = role->config.max_frame_bytes,
        .server_time_ms = loop_wall_ms(role->loop),
        .node = bytes_str(role->config.node_name),
    };
    if (bound->verdict == SESSION_GAPPED) {
        connected.lost_at_most = bound->page.gap.lost_at_most;
        connected.reason = bound->page.gap.reason;
        session->busy->told_floor = bound->page.gap.floor;
    }
    role->out.len = 0;
    session_encode_connected(&role->out, &connected);
    session_conn_write(session, bytes_view(&role->out));
}

static void go_live(struct session *session, const struct peer_bound *bound)
{
    struct session_role *role = session_role_of(session);
    session_conn_move(session, CONN_LIVE);
    session_door_close(session);
    session_admission_note_live(role);
    session_admission_review(role);
    struct session_busy *busy = session_busy(session);
    session_busy_move(session, bound->position);
    /* A position that the device brings is an ack, which the bind told the log. */
    busy->told = busy->acked = bound->position.seq;
    session->proven = bound->verdict != SESSION_GAPPED;
    busy->logged = bound->unnoted ? 0 : bound->position.seq;
    session_check_begin(session);
    count_verdict(role, bound->verdict);
    write_connected(session, bound);
    session_flow_first_page(session, &bound->page);
    session_topics_live(session);
    session_drain_greet(session);
    session_busy_settle(session);
}

static bool is_overload(int status)
{
    return status == PETREL_E_BUSY || status == PETREL_E_FULL || status == PETREL_E_TIMEOUT;
}

static void on_bound_first(struct link_call *link)
{
    struct session_call *call = session_call_of(link);
    struct session *session = session_call_session(call);
    int status = link->reply.status;
    session_window_leave(call->role, call->asked_ms, is_overload(status));
    if (session == NULL) {
        bool maybe_bound = status == 0 || status == PETREL_E_UNAVAILABLE || status == PETREL_E_TIMEOUT;
        if (maybe_bound)
            session_call_undo_bind(call);
        else
            session_call_give(call);
        return;
    }
    session->flags &= (uint8_t)~SESSION_PAGING;
    if (status == 0)
        go_live(session, link->reply.bound);
    else
        on_bind_refused(session, status);
    session_call_give(call);
}

static struct session_call *take_bind(struct session *session)
{
    struct session_call *call = session_call_take(session, false);
    call->link.in = (struct peer_msg){.type = PEER_BIND};
    call->link.in.bind = (struct peer_bind){
        .target = session_identity_target(call->who),
        .attempt = call->who->attempt,
        .token_issued_ms = (uint64_t)call->who->issued_s * 1000,
        .position = session->at,
        .route = session_route(session),
        .max_entries = PEER_PAGE_MAX,
        .max_bytes = PEER_PAGE_BYTES,
        .live = session->state == CONN_LIVE,
    };
    return call;
}

void session_bind_ask(struct session *session)
{
    struct session_role *role = session_role_of(session);
    const uint64_t now_ms = loop_now_ms(role->loop);
    session->busy->door->binds++;
    session->flags |= SESSION_PAGING;
    /* A loss from here on may be of the route that is about to be written, however late the answer comes. */
    session->losses = (uint16_t)role->sweep.losses;
    struct session_call *call = take_bind(session);
    call->asked_ms = now_ms;
    int rc = session_call_ask(call, on_bound_first);
    if (rc == 0)
        return;
    session_window_leave(role, now_ms, is_overload(rc));
    session->flags &= (uint8_t)~SESSION_PAGING;
    on_bind_refused(session, rc);
}

static uint16_t heartbeat_of(const struct session_config *config, uint32_t asked)
{
    uint32_t seconds = asked != 0 ? asked : config->heartbeat_s;
    if (seconds < config->heartbeat_min_s)
        seconds = config->heartbeat_min_s;
    if (seconds > config->heartbeat_max_s)
        seconds = config->heartbeat_max_s;
    return (uint16_t)(seconds < UINT16_MAX ? seconds : UINT16_MAX);
}

/* What the app has set for who connects. False: refused. */
static bool app_admits(struct session *session, const struct token_claims *claims)
{
    struct session_role *role = session_role_of(session);
    const struct session_auth_edge *edge = session_auth_edge(role->keyring, bytes_str(claims->app));
    char *origin = session->busy->origin;
    const char *origins = edge->origins != NULL ? edge->origins : role->config.origins;
    if (origin != NULL && !websocket_upgrade_has_origin(bytes_str(origin), bytes_str(origins))) {
        refuse(session, SESSION_CODE_ORIGIN);
        return false;
    }
    free(origin);
    session->busy->origin = NULL;
    const uint32_t whole =
        edge->connects_per_second != 0 ? edge->connects_per_second : role->config.app_connects_per_second;
    const uint32_t share = whole / role->config.loops + (whole % role->config.loops != 0);
    const struct rate_limit limit = {.per_second = share, .burst = share};
    const uint64_t wait_ms = share != 0 ? rate_meter_take(edge->connects, &limit, loop_now_ms(role->loop)) : 0;
    if (wait_ms == 0)
        return true;
    metrics_add(role->metrics, METRIC_APP_CONNECTS_REFUSED, 1);
    session_door_note_refusal(role, "an app has as many connects a second as it may");
    have_wait(session, "the app has as many connects a second as it may; reconnect after the backoff",
              wait_ms > role->config.backoff_ms ? (uint32_t)wait_ms : role->config.backoff_ms);
    return false;
}

static void note_bad_token(struct session_role *role, const uint8_t address[16])
{
    metrics_add(role->metrics, METRIC_TOKENS_BAD, 1);
    session_penalty_bad(role, address);
}

void session_bind_connect(struct session *session, const struct session_connect *connect)
{
    struct session_role *role = session_role_of(session);
    if (session_drain_code(role) != 0) {
        refuse(session, session_drain_code(role));
        return;
    }
    if (connect->version != SESSION_PROTOCOL_VERSION) {
        refuse(session, SESSION_CODE_VERSION);
        return;
    }
    uint8_t address[16];
    session_door_peer(session, address);
    const uint32_t wait_ms = session_penalty_wait_ms(role, address);
    if (wait_ms > 0) {
        have_wait(session, "too many bad tokens came from this address; reconnect after the backoff", wait_ms);
        return;
    }
    struct token_claims claims;
    uint64_t wall_ms = loop_wall_ms(role->loop);
    const char *why;
    uint32_t code = session_auth_verify(role->keyring, connect->token, wall_ms / 1000, role->metrics, &claims, &why);
    if (code == SESSION_CODE_TOKEN_INVALID || code == SESSION_CODE_UNKNOWN_APP)
        note_bad_token(role, address);
    if (code != 0) {
        refuse_with(session, code, why);
        return;
    }
    session_penalty_good(role, address);
    if (!app_admits(session, &claims))
        return;
    if (role->sessions >= role->config.max_sessions) {
        session_door_note_refusal(role, "max_sessions are held");
        refuse(session, SESSION_CODE_OVERLOADED);
        return;
    }
    session_door_pass(session);
    const struct session_door *door = session->busy->door;
    session->who =
        session_identity_new(&role->identities, &claims, connect, door->has_peer ? &door->peer : NULL, wall_ms);
    session->heartbeat_s = heartbeat_of(&role->config, connect->heartbeat_s) & SESSION_HEARTBEAT_BITS;
    session_busy_move(session, connect->position);
    session_topics_connect(session, connect);
    session_conn_move(session, CONN_BINDING);
    if (session_window_enter(session))
        session_bind_ask(session);
}

/* ---- binding again ---- */

static void on_bound_again(struct link_call *link)
{
    struct session_call *call = session_call_of(link);
    struct session *session = session_call_session(call);
    struct session_role *role = call->role;
    int status = link->reply.status;
    if (session == NULL) {
        /* Its UNBIND went out when it ended, but may have been overtaken by this bind. */
        session_call_undo_bind(call);
        return;
    }
    session->flags &= (uint8_t)~SESSION_PAGING;
    if (status == 0) {
        session_agenda_succeeded(role);
        session_flow_page(session, &link->reply.bound->page);
        /* While it was not bound nobody could tell it what became of its subscriptions. */
        session_topics_refresh(session);
    } else if (status == PETREL_E_STALE) {
        session_conn_fail(session, SESSION_CODE_REPLACED, NULL);
    } else if (status == PETREL_E_REVOKED) {
        session_conn_fail(session, SESSION_CODE_REVOKED, NULL);
    } else {
        session_agenda_want(session, SESSION_WANT_BIND);
        session_agenda_failed(role);
    }
    session_call_give(call);
}

void session_bind_again(struct session *session)
{
    if ((session->flags & SESSION_PAGING) != 0) {
        session_agenda_want(session, SESSION_WANT_BIND);
        return;
    }
    session->flags |= SESSION_PAGING;
    session->flags &= (uint8_t)~SESSION_NEWS;
    if (session_call_ask(take_bind(session), on_bound_again) == 0)
        return;
    session->flags &= (uint8_t)~SESSION_PAGING;
    session_agenda_want(session, SESSION_WANT_BIND);
    session_agenda_failed(session_role_of(session));
}
