#include "session/session_goaway.h"

#include "base/object.h"
#include "discovery/lookup.h"
#include "session/session_conn.h"

_Static_assert(LOOKUP_MAX <= SESSION_TARGETS_MAX, "a GOAWAY names all that a lookup gives");

static size_t rank(const struct session_role *role, struct lookup_server out[LOOKUP_MAX])
{
    const struct discovery_view *view = role->goaway.view;
    return view != NULL ? lookup_rank(view, role->config.node, loop_rng(role->loop), out) : 0;
}

void session_goaway_tell(struct session *session, uint32_t code, uint64_t deadline_ms, uint64_t spread_ms)
{
    struct session_role *role = session_role_of(session);
    petrel_assert(session->state == CONN_LIVE && (session->flags & SESSION_TOLD) == 0);
    struct lookup_server servers[LOOKUP_MAX];
    struct session_goaway goaway = {
        .code = code,
        .deadline_ms = deadline_ms < UINT32_MAX ? (uint32_t)deadline_ms : UINT32_MAX,
        .spread_ms = spread_ms < UINT32_MAX ? (uint32_t)spread_ms : UINT32_MAX,
        .backoff_ms = role->config.backoff_ms,
        .targets_count = rank(role, servers),
    };
    for (size_t i = 0; i < goaway.targets_count; i++)
        goaway.targets[i] = bytes_str(servers[i].node->session_address);
    role->out.len = 0;
    session_encode_goaway(&role->out, &goaway);
    session_conn_write(session, bytes_view(&role->out));
    session->flags |= SESSION_TOLD;
    role->goaway.told++;
    if (goaway.targets_count > 0)
        metrics_add(role->metrics, METRIC_MOVED, 1);
}

void session_goaway_note_left(struct session_role *role)
{
    petrel_assert(role->goaway.told > 0);
    role->goaway.told--;
    role->goaway.left++;
}

bool session_goaway_has_elsewhere(const struct session_role *role)
{
    struct lookup_server servers[LOOKUP_MAX];
    return rank(role, servers) > 0;
}

/* Loops of this node that hold sessions: they all leave for the same nodes. */
static uint64_t loops_of_own(const struct session_role *role)
{
    const struct discovery_view *view = role->goaway.view;
    for (size_t i = 0; i < view->count; i++) {
        if (view->nodes[i].number == role->config.node && view->nodes[i].loops > 0)
            return view->nodes[i].loops;
    }
    return 1;
}

uint64_t session_goaway_admission_ms(const struct session_role *role)
{
    const struct discovery_view *view = role->goaway.view;
    uint64_t per_second = 0;
    for (size_t i = 0; view != NULL && i < view->count; i++) {
        const struct discovery_node *node = &view->nodes[i];
        if (!lookup_takes(node, role->config.node))
            continue;
        if (node->connects_per_second == 0)
            return 0;
        per_second += node->connects_per_second;
    }
    return per_second > 0 ? role->live * loops_of_own(role) * 1000 / per_second : 0;
}

void session_goaway_set_view(struct session_role *role, struct discovery_view *view)
{
    struct discovery_view *old = role->goaway.view;
    role->goaway.view = discovery_view_ref(view);
    if (old != NULL)
        discovery_view_unref(old);
}

void session_goaway_reset(struct session_role *role)
{
    if (role->goaway.view != NULL)
        discovery_view_unref(role->goaway.view);
    role->goaway.view = NULL;
}
