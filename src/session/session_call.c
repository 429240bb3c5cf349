#include "session/session_call.h"

#include "base/err.h"
#include "base/object.h"
#include "session/session_ack.h"
#include "session/session_impl.h"

void session_call_init(struct session_role *role)
{
    role->calls = (struct session_calls){0};
    slab_init(&role->calls.slab, sizeof(struct session_call), role);
    list_init(&role->calls.parting);
}

void session_call_reset(struct session_calls *calls)
{
    petrel_assert(calls->under_way == 0 && list_empty(&calls->parting));
    slab_reset(&calls->slab);
}

bool session_call_room(const struct session_calls *calls)
{
    return calls->paced < SESSION_CALLS_PACED_MAX;
}

struct session_call *session_call_take(struct session *session, bool paced)
{
    struct session_calls *calls = &session_role_of(session)->calls;
    struct session_call *call = slab_take(&calls->slab);
    list_init(&call->node);
    call->magic = SESSION_CALL_MAGIC;
    call->slot = session_slot(session);
    call->generation = session->generation;
    call->role = session_role_of(session);
    call->who = session_identity_ref(session->who);
    call->paced = paced;
    calls->under_way++;
    if (paced)
        calls->paced++;
    return call;
}

void session_call_give(struct session_call *call)
{
    object_check(call, SESSION_CALL_MAGIC);
    struct session_role *role = call->role;
    struct session_calls *calls = &role->calls;
    session_identity_unref(call->who);
    call->magic = 0;
    calls->under_way--;
    if (call->paced)
        calls->paced--;
    slab_give(call);
    session_agenda_resume(role);
    session_role_finish_if_idle(role);
}

int session_call_ask(struct session_call *call, link_done_fn *done)
{
    int rc = link_ask(call->role->link, &call->link, done);
    if (rc != 0)
        session_call_give(call);
    return rc;
}

struct session_call *session_call_of(struct link_call *link)
{
    struct session_call *call = container_of(link, struct session_call, link);
    object_check(call, SESSION_CALL_MAGIC);
    return call;
}

struct session *session_call_session(const struct session_call *call)
{
    struct session *session = session_table_find(&call->role->table, call->slot, call->generation);
    return session != NULL && session->state != CONN_CLOSING ? session : NULL;
}

bool session_call_again(int status)
{
    switch (status) {
    case PETREL_E_BUSY:
    case PETREL_E_FULL:
    case PETREL_E_UNAVAILABLE:
    case PETREL_E_TIMEOUT:
    case PETREL_E_CLOSING:
        return true;
    default:
        return false;
    }
}

static void wait_again(struct session_call *call)
{
    struct session_role *role = call->role;
    list_push_front(&role->calls.parting, &call->node);
    role->calls.parting_count++;
    session_agenda_failed(role);
}

/* Only a refusal for want of room is tried again: a route that stays leads to a slot of another generation, and the next bind
 * of the device replaces it; an ack that is lost comes again with the device's next CONNECT. */
static void on_parted(struct link_call *link)
{
    struct session_call *call = session_call_of(link);
    call->role->calls.paced--;
    call->paced = false;
    if (link->reply.status == PETREL_E_BUSY) {
        wait_again(call);
        return;
    }
    if (!session_call_again(link->reply.status))
        session_agenda_succeeded(call->role);
    session_call_give(call);
}

/* Parting calls wait unpaced: they count against the pace from when they are asked. */
void session_call_pump(struct session_role *role)
{
    struct session_calls *calls = &role->calls;
    while (session_call_room(calls) && !list_empty(&calls->parting)) {
        struct session_call *call = container_of(list_pop_front(&calls->parting), struct session_call, node);
        calls->parting_count--;
        calls->paced++;
        call->paced = true;
        int rc = link_ask(role->link, &call->link, on_parted);
        if (rc == 0)
            continue;
        calls->paced--;
        call->paced = false;
        if (rc == PETREL_E_BUSY) {
            wait_again(call);
            return;
        }
        session_call_give(call);
    }
}

static void push_parting(struct session_call *call)
{
    list_push_back(&call->role->calls.parting, &call->node);
    call->role->calls.parting_count++;
    session_call_pump(call->role);
}

static void part_with_ack(struct session *session, uint64_t seq)
{
    struct session_call *call = session_call_take(session, false);
    call->link.in = (struct peer_msg){.type = PEER_ACK};
    call->link.in.ack = (struct peer_ack){
        .target = session_identity_target(call->who),
        .position = {session->at.epoch, seq},
    };
    push_parting(call);
}

static void part_with_unbind(struct session *session)
{
    struct session_call *call = session_call_take(session, false);
    call->link.in = (struct peer_msg){.type = PEER_UNBIND};
    call->link.in.unbind = (struct peer_unbind){
        .target = session_identity_target(call->who),
        .route = session_route(session),
    };
    push_parting(call);
}

void session_call_part(struct session *session, bool unbind)
{
    uint64_t seq = session_ack_due(session);
    if (session->state == CONN_LIVE && session->busy != NULL && seq > session->busy->logged)
        part_with_ack(session, seq);
    if (unbind)
        part_with_unbind(session);
}

void session_call_undo_bind(struct session_call *call)
{
    struct route route = call->link.in.bind.route;
    call->link.in = (struct peer_msg){.type = PEER_UNBIND};
    call->link.in.unbind = (struct peer_unbind){.target = session_identity_target(call->who), .route = route};
    push_parting(call);
}
