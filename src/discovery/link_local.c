#include "discovery/link_local.h"

#include "base/object.h"

#include <stdatomic.h>
#include <stdlib.h>

#define LOCAL_MAGIC OBJECT_MAGIC('L', 'L', 'N', 'K')
#define BATCH_FIRST 64U

/* What of a peer_msg a tell needs: a peer_msg is three times as large. Holds a reference to its buf. */
struct tell {
    enum peer_type type;
    union {
        struct peer_deliver deliver;
        struct peer_evict evict;
        struct peer_apps apps;
        struct peer_topic_deliver topic;
        struct peer_resubscribed resubscribed;
    };
};

struct local;

/* Tells from one loop to another, made in one turn. `room` of them are counted in to->waiting. */
struct batch {
    struct mail mail;
    struct local *to;
    uint32_t count;
    uint32_t room;
    bool high; /* one of them is a message of high priority */
    struct tell tells[];
};

/* One loop's link. What other threads touch is atomic; the rest is the loop's own. */
struct local {
    struct link link;
    uint32_t magic;
    struct link_local *set;
    bool closed;
    uint64_t calls; /* ours, under way */
    struct loop_task flush;
    atomic_uint waiting; /* tells to this loop, in the room of all batches */
    atomic_bool dirty;   /* dirty_mail is on its way here */
    struct mail dirty_mail;
    struct batch *batches[]; /* to each loop of the set; NULL: nothing this turn */
};

struct link_local {
    uint32_t node;
    uint64_t incarnation;
    size_t count;
    struct local *locals[];
};

static struct local *local_of(struct link *link)
{
    struct local *local = container_of(link, struct local, link);
    object_check(local, LOCAL_MAGIC);
    return local;
}

/* ---- calls ---- */

static void finish(struct link_call *call)
{
    local_of(call->from)->calls--;
    call->done(call);
}

static void on_answer_deferred(struct loop_task *task)
{
    finish(container_of(task, struct link_call, task));
}

static void on_answer_mail(struct mail *mail)
{
    finish(container_of(mail, struct link_call, mail));
}

/* A message of high priority waits for nothing, neither on its way to the log nor to its devices. */
static void post(struct link *to, struct mail *mail, bool high)
{
    if (high)
        mailbox_post_urgent(to->loop, mail);
    else
        mailbox_post(to->loop, mail);
}

static void post_call(struct link *to, struct link_call *call)
{
    post(to, &call->mail, call->in.type == PEER_SEND && call->in.send.priority == PEER_PRIORITY_HIGH);
}

static void local_answer(struct link *link, struct link_call *call)
{
    petrel_assert(call->to == link && !call->answered);
    call->answered = true;
    if (call->from != call->to) {
        call->mail.run = on_answer_mail;
        post_call(call->from, call);
    } else if (call->serving) {
        loop_defer(link->loop, &call->task);
    } else {
        finish(call);
    }
}

/* On the loop of call->to. */
static void serve(struct link_call *call)
{
    struct local *to = local_of(call->to);
    const bool here = call->from == call->to;
    const struct link_server *server = &to->link.servers[call->far ? LINK_FAR : link_role_of(call->in.type)];

    /* Only a call of this loop is still ours after on_call: another loop's caller may have its answer by then. */
    if (here)
        call->serving = true;
    if (to->closed || server->on_call == NULL) {
        call->reply.status = PETREL_E_UNAVAILABLE;
        local_answer(&to->link, call);
    } else {
        server->on_call(server->ctx, call);
    }
    if (here)
        call->serving = false;
}

static void on_call_mail(struct mail *mail)
{
    serve(container_of(mail, struct link_call, mail));
}

static void begin(struct local *from, struct local *to, struct link_call *call)
{
    from->calls++;
    memset(&call->reply, 0, sizeof call->reply);
    call->from = &from->link;
    call->to = &to->link;
    call->task = (struct loop_task){.run = on_answer_deferred};
    call->serving = false;
    call->answered = false;
    if (from == to) {
        serve(call);
    } else {
        call->mail.run = on_call_mail;
        post_call(&to->link, call);
    }
}

static int local_call(struct link *link, struct link_call *call)
{
    struct local *from = local_of(link);
    petrel_assert(link_role_of(call->in.type) == LINK_MESSAGE);
    if (from->closed)
        return PETREL_E_CLOSING;
    call->far = false;
    begin(from, from, call);
    return 0;
}

void link_local_pass(struct link *from, size_t index, struct link_call *call)
{
    struct local *local = local_of(from);
    petrel_assert(index < local->set->count && !local->closed);
    call->far = true;
    begin(local, local->set->locals[index], call);
}

static int local_call_at(struct link *link, uint32_t node, uint16_t loop, struct link_call *call)
{
    struct local *from = local_of(link);
    const struct link_local *set = from->set;
    petrel_assert(link_role_of(call->in.type) == LINK_SESSION);
    if (from->closed)
        return PETREL_E_CLOSING;
    if (node == set->node && loop < set->count) {
        call->far = false;
        begin(from, set->locals[loop], call);
        return 0;
    }
    from->calls++;
    call->from = call->to = link;
    call->reply = (struct peer_reply){.status = PETREL_E_UNAVAILABLE};
    call->task = (struct loop_task){.run = on_answer_deferred};
    loop_defer(link->loop, &call->task);
    return 0;
}

/* ---- tells ---- */

static void tell_take(struct tell *tell, const struct peer_msg *msg)
{
    tell->type = msg->type;
    if (msg->type == PEER_DELIVER) {
        tell->deliver = msg->deliver;
        if (tell->deliver.message != NULL)
            buf_ref(tell->deliver.message);
    } else if (msg->type == PEER_EVICT) {
        tell->evict = msg->evict;
    } else if (msg->type == PEER_TOPIC_DELIVER) {
        tell->topic = msg->topic_deliver;
        buf_ref(tell->topic.record);
    } else if (msg->type == PEER_RESUBSCRIBED) {
        tell->resubscribed = msg->resubscribed;
    } else {
        tell->apps = msg->apps;
        buf_ref(tell->apps.records);
    }
}

static void tell_show(const struct tell *tell, struct peer_msg *msg)
{
    msg->type = tell->type;
    if (tell->type == PEER_DELIVER)
        msg->deliver = tell->deliver;
    else if (tell->type == PEER_EVICT)
        msg->evict = tell->evict;
    else if (tell->type == PEER_TOPIC_DELIVER)
        msg->topic_deliver = tell->topic;
    else if (tell->type == PEER_RESUBSCRIBED)
        msg->resubscribed = tell->resubscribed;
    else
        msg->apps = tell->apps;
}

static void tell_release(struct tell *tell)
{
    if (tell->type == PEER_DELIVER)
        buf_unref(tell->deliver.message);
    else if (tell->type == PEER_APPS)
        buf_unref(tell->apps.records);
    else if (tell->type == PEER_TOPIC_DELIVER)
        buf_unref(tell->topic.record);
}

static void batch_free(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        tell_release(&batch->tells[i]);
    atomic_fetch_sub_explicit(&batch->to->waiting, batch->room, memory_order_relaxed);
    free(batch);
}

/* Whether it is for another node. APPS are for those of this process and for the others. */
static bool is_far(const struct link_local *set, const struct peer_msg *msg)
{
    if (msg->type == PEER_APPS)
        return false;
    return (msg->type == PEER_TOPIC_DELIVER ? msg->topic_deliver.node : peer_route_of(msg)->node) != set->node;
}

static int hand_over(struct local *to, const struct peer_msg *msg)
{
    const struct link_server *far = &to->link.servers[LINK_FAR];
    const struct link_server *server = is_far(to->set, msg) ? far : &to->link.servers[LINK_SESSION];
    if (to->closed)
        return PETREL_E_UNAVAILABLE;
    if (msg->type == PEER_APPS && far->on_tell != NULL)
        far->on_tell(far->ctx, msg);
    if (server->on_tell == NULL)
        return PETREL_E_UNAVAILABLE;
    server->on_tell(server->ctx, msg);
    return 0;
}

static void on_batch_mail(struct mail *mail)
{
    struct batch *batch = container_of(mail, struct batch, mail);
    struct peer_msg msg;
    for (uint32_t i = 0; i < batch->count; i++) {
        tell_show(&batch->tells[i], &msg);
        (void)hand_over(batch->to, &msg);
    }
    batch_free(batch);
}

static void local_lost(struct link *link)
{
    const struct local *local = local_of(link);
    for (int role = 0; role < LINK_ROLES && !local->closed; role++) {
        const struct link_server *server = &link->servers[role];
        if (role != LINK_MESSAGE && server->on_dirty != NULL)
            server->on_dirty(server->ctx);
    }
}

static void on_dirty_mail(struct mail *mail)
{
    struct local *local = container_of(mail, struct local, dirty_mail);
    object_check(local, LOCAL_MAGIC);
    /* Cleared first: a tell that is dropped from here on is told again. */
    atomic_store(&local->dirty, false);
    local_lost(&local->link);
}

static void mark_dirty(struct local *to)
{
    if (!atomic_exchange(&to->dirty, true))
        mailbox_post(to->link.loop, &to->dirty_mail);
}

static void flush(struct local *from)
{
    for (size_t i = 0; i < from->set->count; i++) {
        struct batch *batch = from->batches[i];
        if (batch == NULL)
            continue;
        from->batches[i] = NULL;
        atomic_fetch_sub_explicit(&batch->to->waiting, batch->room - batch->count, memory_order_relaxed);
        batch->room = batch->count;
        post(&batch->to->link, &batch->mail, batch->high);
    }
}

static void on_turn_end(struct loop_task *task)
{
    flush(container_of(task, struct local, flush));
}

static bool take_room(struct local *to, uint32_t more)
{
    if (atomic_fetch_add_explicit(&to->waiting, more, memory_order_relaxed) + more <= LINK_LOCAL_WAITING_MAX)
        return true;
    atomic_fetch_sub_explicit(&to->waiting, more, memory_order_relaxed);
    return false;
}

/* A batch with room for one more tell, or NULL when too many wait for that loop and this one may be dropped. Room is taken from the target's count as the
 * batch grows, so that the count is touched a few times a turn and not once a tell. */
static struct batch *batch_with_room(struct local *from, size_t index, bool droppable)
{
    struct local *to = from->set->locals[index];
    struct batch *batch = from->batches[index];
    if (batch != NULL && batch->count < batch->room)
        return batch;
    uint32_t more = batch != NULL ? batch->room : BATCH_FIRST;
    if (!take_room(to, more)) {
        if (droppable)
            return NULL;
        more = 1;
        atomic_fetch_add_explicit(&to->waiting, more, memory_order_relaxed);
    }
    const uint32_t room = (batch != NULL ? batch->room : 0) + more;
    const bool fresh = batch == NULL;
    batch = object_realloc(batch, sizeof *batch + room * sizeof batch->tells[0]);
    if (fresh)
        *batch = (struct batch){.mail.run = on_batch_mail, .to = to};
    batch->room = room;
    from->batches[index] = batch;
    return batch;
}

static int tell_loop(struct local *from, size_t index, const struct peer_msg *msg)
{
    struct local *to = from->set->locals[index];
    if (to == from)
        return hand_over(to, msg);
    /* No check finds out that APPS was lost, as it does for a lost DELIVER or EVICT; and it is as rare as an operator's act. */
    struct batch *batch = batch_with_room(from, index, msg->type != PEER_APPS);
    if (batch == NULL) {
        mark_dirty(to);
        return PETREL_E_BUSY;
    }
    tell_take(&batch->tells[batch->count++], msg);
    batch->high = batch->high || (msg->type == PEER_DELIVER && msg->deliver.high);
    loop_at_turn_end(from->link.loop, &from->flush);
    return 0;
}

int link_local_carry(struct link *from, size_t index, const struct peer_msg *msg)
{
    struct local *local = local_of(from);
    petrel_assert(index < local->set->count && is_far(local->set, msg));
    return local->closed ? PETREL_E_CLOSING : tell_loop(local, index, msg);
}

/* Whether the session it names can be of this process: a route of an earlier start of the node leads nowhere. */
static bool is_of_this_start(const struct link_local *set, const struct peer_msg *msg)
{
    return peer_route_of(msg)->incarnation == set->incarnation;
}

static int local_tell(struct link *link, uint32_t node, uint16_t loop, const struct peer_msg *msg)
{
    struct local *from = local_of(link);
    if (from->closed)
        return PETREL_E_CLOSING;
    if (node != from->set->node || loop >= from->set->count || !is_of_this_start(from->set, msg))
        return PETREL_E_UNAVAILABLE;
    return tell_loop(from, loop, msg);
}

static int tell_all(struct local *from, const struct peer_msg *msg)
{
    if (from->closed)
        return PETREL_E_CLOSING;
    int first_error = 0;
    for (size_t i = 0; i < from->set->count; i++) {
        const int err = tell_loop(from, i, msg);
        if (first_error == 0)
            first_error = err;
    }
    return first_error;
}

static int local_tell_node(struct link *link, uint32_t node, const struct peer_msg *msg)
{
    struct local *from = local_of(link);
    petrel_assert(msg->type == PEER_TOPIC_DELIVER && msg->topic_deliver.node == node);
    return node == from->set->node ? tell_all(from, msg) : PETREL_E_UNAVAILABLE;
}

static int local_tell_sessions(struct link *link, const struct peer_msg *msg)
{
    petrel_assert(msg->type == PEER_APPS);
    return tell_all(local_of(link), msg);
}

static bool local_knows(struct link *link, const struct route *route)
{
    const struct link_local *set = local_of(link)->set;
    return route->node == set->node && route->incarnation == set->incarnation;
}

static bool local_outlived(struct link *link, const struct route *route)
{
    const struct link_local *set = local_of(link)->set;
    return route->node == set->node && route->incarnation < set->incarnation;
}

static void local_close(struct link *link)
{
    struct local *local = local_of(link);
    local->closed = true;
    loop_undefer(&local->flush);
    flush(local);
}

static const struct link_ops link_local_ops = {
    .name = "local",
    .call = local_call,
    .call_at = local_call_at,
    .tell = local_tell,
    .tell_node = local_tell_node,
    .tell_sessions = local_tell_sessions,
    .lost = local_lost,
    .answer = local_answer,
    .knows = local_knows,
    .outlived = local_outlived,
    .close = local_close,
};

struct link_local *link_local_new(uint32_t node, uint64_t incarnation, struct loop *const *loops, size_t count)
{
    petrel_assert(count >= 1 && count <= UINT16_MAX);
    struct link_local *set = object_zalloc(sizeof *set + count * sizeof set->locals[0]);
    set->node = node;
    set->incarnation = incarnation;
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        petrel_assert(loop_index(loops[i]) == i);
        struct local *local = object_zalloc(sizeof *local + count * sizeof local->batches[0]);
        local->link.ops = &link_local_ops;
        local->link.loop = loops[i];
        local->magic = LOCAL_MAGIC;
        local->set = set;
        local->flush.run = on_turn_end;
        local->dirty_mail.run = on_dirty_mail;
        set->locals[i] = local;
    }
    return set;
}

struct link *link_local_at(struct link_local *set, size_t index)
{
    petrel_assert(index < set->count);
    return &set->locals[index]->link;
}

void link_local_free(struct link_local **set)
{
    struct link_local *gone = *set;
    if (gone == NULL)
        return;
    *set = NULL;
    for (size_t i = 0; i < gone->count; i++) {
        petrel_assert(gone->locals[i]->calls == 0);
        for (size_t j = 0; j < gone->count; j++) {
            if (gone->locals[i]->batches[j] != NULL)
                batch_free(gone->locals[i]->batches[j]);
        }
    }
    for (size_t i = 0; i < gone->count; i++) {
        gone->locals[i]->magic = 0;
        free(gone->locals[i]);
    }
    free(gone);
}
