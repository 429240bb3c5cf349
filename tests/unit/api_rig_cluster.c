#include "unit/api_rig_cluster.h"

#include "base/object.h"
#include "wire/peer_record.h"

/* ---- the session server: two sessions, in slots 3 and 8 ---- */

static void on_drain(struct api_rig *rig, struct link_call *call)
{
    const struct peer_drain *in = &call->in.drain;
    struct peer_drained *drained = &rig->script.drained;
    pthread_mutex_lock(&rig->lock);
    if (in->verb != PEER_DRAIN_LOOK)
        rig->script.drain = *in;
    if (in->verb == PEER_DRAIN_BEGIN || in->verb == PEER_DRAIN_END)
        drained->draining = in->verb == PEER_DRAIN_BEGIN;
    if (in->verb == PEER_DRAIN_MOVE)
        drained->to_tell = in->count;
    call->reply.status = 0;
    call->reply.drained = *drained;
    pthread_mutex_unlock(&rig->lock);
    link_answer(call);
}

static void on_session_call(void *ctx, struct link_call *call)
{
    struct api_rig *rig = ctx;
    if (call->in.type == PEER_DRAIN) {
        on_drain(rig, call);
        return;
    }
    struct peer_session sessions[] = {
        {.app = bytes_str("shop"), .user = bytes_str("ann"), .device = bytes_str("phone"), .since_ms = 1700000000000},
        {.app = bytes_str("shop"), .user = bytes_str("bob"), .device = bytes_str("tab"), .since_ms = 1700000001000},
    };
    const uint32_t slots[] = {3, 8};
    struct peer_session found[2];
    size_t count = 0;
    uint32_t next = 0;
    const struct peer_sessions *in = &call->in.sessions;
    for (size_t i = 0; i < 2; i++) {
        sessions[i].route = (struct route){API_RIG_INCARNATION, API_RIG_NODE, 0, 0, slots[i], 5};
        sessions[i].address = bytes_str("127.0.0.1:9");
        sessions[i].client = bytes_str("test/1");
        if (slots[i] < in->slot || (in->user.len > 0 && !bytes_equal(in->user, sessions[i].user)))
            continue;
        if (count < in->limit)
            found[count++] = sessions[i];
        else
            next = slots[i];
    }
    call->reply.status = 0;
    call->reply.sessions.records = peer_record_pack_sessions(found, count);
    call->reply.sessions.count = (uint32_t)count;
    call->reply.sessions.next_slot = next;
    link_answer(call);
}

static void on_session_tell(void *ctx, const struct peer_msg *msg)
{
    struct api_rig *rig = ctx;
    if (msg->type != PEER_EVICT)
        return;
    pthread_mutex_lock(&rig->lock);
    rig->script.evict = msg->evict;
    rig->script.evictions++;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

struct link_server api_rig_cluster_sessions(struct api_rig *rig)
{
    return (struct link_server){.ctx = rig, .on_call = on_session_call, .on_tell = on_session_tell};
}

/* ---- the view ---- */

static struct api_rig *rig_of_discovery(struct discovery *discovery)
{
    return container_of(discovery, struct api_rig, shown);
}

/* What the test shows, or what the real discovery has. */
static struct discovery_view *view(struct discovery *discovery)
{
    struct api_rig *rig = rig_of_discovery(discovery);
    pthread_mutex_lock(&rig->lock);
    struct discovery_view *shown = rig->view != NULL ? discovery_view_ref(rig->view) : NULL;
    pthread_mutex_unlock(&rig->lock);
    return shown != NULL ? shown : rig->discovery->ops->view(rig->discovery);
}

static const struct discovery_ops shown_ops = {.name = "rig", .view = view};

void api_rig_show(struct api_rig *rig, const struct discovery_node *nodes, size_t count)
{
    struct discovery_view *shown = object_zalloc(sizeof *shown + count * sizeof *nodes);
    atomic_init(&shown->refs, 1);
    shown->as_of_ms = 1700000002000;
    shown->count = count;
    memcpy(shown->nodes, nodes, count * sizeof *nodes);
    pthread_mutex_lock(&rig->lock);
    struct discovery_view *before = rig->view;
    rig->view = shown;
    pthread_mutex_unlock(&rig->lock);
    discovery_view_unref(before);
}

void api_rig_cluster_view(struct api_rig *rig)
{
    rig->shown.ops = &shown_ops;
}
