#include "contract/link_rig.h"

#include "discovery/link_local.h"
#include "discovery/link_tcp.h"

#include <string.h>

static void *local_open(struct loop *const *loops, size_t count)
{
    return link_local_new(LINK_RIG_NODE, LINK_RIG_INCARNATION, loops, count);
}

static struct link *local_at(void *links, size_t index)
{
    return link_local_at(links, index);
}

static void local_free(void *links)
{
    struct link_local *set = links;
    link_local_free(&set);
}

static void *tcp_open(struct loop *const *loops, size_t count)
{
    struct link_tcp_config config = link_tcp_defaults();
    struct link_tcp *set = NULL;
    config.node = LINK_RIG_NODE;
    config.incarnation = LINK_RIG_INCARNATION;
    config.name = "alone";
    config.roles = DISCOVERY_SESSION | DISCOVERY_MESSAGE;
    config.secret = bytes_str("a secret of all nodes");
    const int rc = link_tcp_new(&set, &config, loops, count);
    petrel_assert(rc == 0);
    return set;
}

static struct link *tcp_at(void *links, size_t index)
{
    return link_tcp_at(links, index);
}

static void tcp_free(void *links)
{
    struct link_tcp *set = links;
    link_tcp_free(&set);
}

static const struct link_fixture fixtures[] = {
    {"local", local_open, local_at, local_free, LINK_LOCAL_WAITING_MAX},
    {"tcp", tcp_open, tcp_at, tcp_free, LINK_LOCAL_WAITING_MAX},
};

static void serve_call(struct link_rig_role *role, struct link_call *call)
{
    role->thread = pthread_self();
    loops_tally_add(&role->seen, 1);
    if (role->hold) {
        role->held = call;
        return;
    }
    if (call->in.type == PEER_SESSIONS) {
        call->reply.sessions.records = buf_copy(call->in.sessions.user);
        call->reply.sessions.count = call->in.sessions.limit;
        call->reply.sessions.next_slot = call->in.sessions.slot + 1;
    } else {
        call->reply.status = PETREL_E_UNREGISTERED;
    }
    link_answer(call);
}

static void on_call(void *ctx, struct link_call *call)
{
    serve_call(ctx, call);
}

static void see_deliver(struct link_rig_role *role, const struct peer_deliver *deliver)
{
    if (role->delivers < LINK_RIG_DELIVERS) {
        role->first[role->delivers] = *deliver;
        role->first_byte[role->delivers] = deliver->message != NULL ? deliver->message->data[0] : 0;
    }
    role->delivers++;
    role->out_of_order = role->out_of_order || deliver->position.seq <= role->last_seq;
    role->last_seq = deliver->position.seq;
}

static void on_tell(void *ctx, const struct peer_msg *msg)
{
    struct link_rig_role *role = ctx;
    role->entered = true;
    role->thread = pthread_self();
    if (msg->type == PEER_DELIVER)
        see_deliver(role, &msg->deliver);
    else if (msg->type == PEER_EVICT)
        role->evicts += msg->evict.code;
    else
        role->apps += (uint32_t)msg->apps.version + msg->apps.records->data[0];
    loops_tally_add(&role->seen, 1);
}

static void on_dirty(void *ctx)
{
    struct link_rig_role *role = ctx;
    role->dirty++;
    role->thread = pthread_self();
    loops_tally_add(&role->seen, 1);
}

void link_rig_open(struct link_rig *rig, const struct link_fixture *fixture, bool served)
{
    memset(rig, 0, sizeof *rig);
    rig->fixture = fixture;
    loops_open(&rig->loops, LINK_RIG_LOOPS);
    rig->links = fixture->open(rig->loops.loops, LINK_RIG_LOOPS);
    for (size_t i = 0; i < LINK_RIG_LOOPS; i++) {
        struct link_rig_role *role = &rig->roles[i];
        loops_tally_init(&role->seen);
        role->link = fixture->at(rig->links, i);
        if (!served)
            continue;
        const struct link_server server = {.ctx = role, .on_call = on_call, .on_tell = on_tell, .on_dirty = on_dirty};
        link_serve(role->link, LINK_MESSAGE, server);
        link_serve(role->link, LINK_SESSION, server);
    }
    loops_start(&rig->loops);
}

static void close_link(void *ctx)
{
    struct link *link = ctx;
    link->ops->close(link);
}

void link_rig_close_link(struct link_rig *rig, size_t index)
{
    loops_run_on(&rig->loops, index, close_link, rig->roles[index].link);
}

static void nothing(void *ctx)
{
    (void)ctx;
}

void link_rig_settle(struct link_rig *rig, size_t index)
{
    loops_run_on(&rig->loops, index, nothing, NULL);
}

void link_rig_free(struct link_rig *rig)
{
    loops_free(&rig->loops);
    rig->fixture->free(rig->links);
    for (size_t i = 0; i < LINK_RIG_LOOPS; i++)
        loops_tally_destroy(&rig->roles[i].seen);
}

void link_rig_close(struct link_rig *rig)
{
    for (size_t i = 0; i < LINK_RIG_LOOPS; i++)
        link_rig_close_link(rig, i);
    loops_stop(&rig->loops);
    link_rig_free(rig);
}

int link_rig_run(const struct CMUnitTest *cases, size_t count)
{
    int failed = 0;
    struct CMUnitTest *tests = object_alloc(count * sizeof *tests);
    for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++) {
        memcpy(tests, cases, count * sizeof *tests);
        for (size_t j = 0; j < count; j++)
            tests[j].initial_state = (void *)&fixtures[i];
        failed += _cmocka_run_group_tests(fixtures[i].name, tests, count, NULL, NULL);
    }
    free(tests);
    return failed;
}
