/* The Redis store on a cluster of 3 masters and 3 replicas that is hurt under load: masters that die, hang or come back at once, slots
 * that move. Every append that was answered is in its log, once; of those that were not, each is there once or not at all. */
#include "contract/store_load.h"
#include "contract/store_rig_redis.h"

#include "base/hash.h"
#include "lib/until.h"
#include "store/store_redis.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define USERS 12
#define INFLIGHT 16
#define APPENDS_MAX 200000

struct hurting {
    struct store_rig rig;
    struct store_load load;
    enum peer_durability durability;
    char names[USERS][16];
    uint8_t answered[APPENDS_MAX];
    uint8_t seen[APPENDS_MAX];
    uint64_t failed;
    struct loops_tally done; /* answered with 0 */
    struct loops_tally lost; /* times that the store may have forgotten something */
    _Atomic bool stop;
    struct redis_server *master; /* of all these users */
};

static bool append_next(struct store_load *load, struct store_load_slot *slot)
{
    struct hurting *hurting = container_of(load, struct hurting, load);
    char text[32];
    if (hurting->stop || load->count == APPENDS_MAX)
        return false;
    snprintf(text, sizeof text, "%" PRIu64, load->count);
    slot->op = STORE_APPEND;
    slot->request.in.append = (struct peer_send){
        .target = store_rig_target(hurting->names[load->count % USERS], NULL),
        .id = store_rig_id(text),
        .message = buf_copy(bytes_str(text)),
        .priority = PEER_PRIORITY_NORMAL,
        .durability = hurting->durability,
        .expires_ms = STORE_RIG_T0 + STORE_RIG_DAY,
        .has_key = load->count % 2 == 0,
        .key_expires_ms = STORE_RIG_T0 + STORE_RIG_DAY,
    };
    memcpy(slot->request.in.append.key, slot->request.in.append.id.bytes, sizeof slot->request.in.append.key);
    return true;
}

static void append_done(struct store_load *load, struct store_load_slot *slot)
{
    struct hurting *hurting = container_of(load, struct hurting, load);
    buf_unref(slot->request.in.append.message);
    if (slot->request.status != 0) {
        hurting->failed++;
        return;
    }
    hurting->answered[slot->number] = 1;
    loops_tally_add(&hurting->done, 1);
}

/* Users that share a bucket, so a slot and a master. */
static void name_users(struct hurting *hurting)
{
    uint32_t bucket = hash_bucket(bytes_str("app"), bytes_str("m0")), found = 0;
    for (uint32_t i = 0; found < USERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        if (hash_bucket(bytes_str("app"), bytes_str(name)) == bucket)
            memcpy(hurting->names[found++], name, sizeof name);
    }
}

static void on_lost(void *ctx)
{
    struct hurting *hurting = ctx;
    loops_tally_add(&hurting->lost, 1);
}

static void watch(void *ctx)
{
    struct hurting *hurting = ctx;
    store_redis_watch(hurting->rig.store, hurting->rig.loops.loops[0], on_lost, hurting);
}

static struct hurting *hurting_start(const void *subject, enum peer_durability durability)
{
    struct hurting *hurting = object_zalloc(sizeof *hurting);
    struct store_rig_options options = store_rig_options();
    options.limits.cap_entries = 1 << 20;
    options.limits.cap_bytes = 1 << 24;
    options.limits.recent_ids = 1 << 20;
    hurting->durability = durability;
    name_users(hurting);
    store_rig_open(&hurting->rig, subject, &options);
    loops_tally_init(&hurting->done);
    loops_tally_init(&hurting->lost);
    loops_run_on(&hurting->rig.loops, 0, watch, hurting);
    hurting->master = store_rig_redis_owner(&hurting->rig, "m0");
    assert_non_null(hurting->master);
    hurting->load = (struct store_load){
        .store = hurting->rig.store, .inflight = INFLIGHT, .next = append_next, .done = append_done};
    store_load_start(&hurting->load, &hurting->rig.loops, 0);
    return hurting;
}

static struct redis_server_cluster *nodes_of(struct hurting *hurting)
{
    return &store_rig_redis_of(&hurting->rig)->nodes;
}

static bool wait_for_more(struct hurting *hurting, uint64_t more)
{
    return loops_tally_wait(&hurting->done, loops_tally_get(&hurting->done) + more);
}

static void see(struct hurting *hurting, const struct peer_page *page)
{
    for (uint32_t i = 0; i < page->count; i++) {
        char text[32];
        struct bytes bytes = buf_bytes(page->entries[i].message);
        snprintf(text, sizeof text, "%.*s", (int)bytes.len, (const char *)bytes.ptr);
        uint64_t number = strtoull(text, NULL, 10);
        assert_true(number < hurting->load.count);
        hurting->seen[number]++;
    }
}

/* The whole log of a user, page after page, as its first device gets it. */
static void read_log(struct hurting *hurting, const char *user)
{
    struct peer_bound bound = store_rig_bound(&hurting->rig, user, "d", 1);
    struct peer_page page = bound.page;
    see(hurting, &page);
    while (page.upto < page.head) {
        struct position at = {page.epoch, page.upto};
        assert_int_equal(store_rig_fetch(&hurting->rig, user, "d", at, 0, &page), 0);
        see(hurting, &page);
    }
}

struct audit {
    uint64_t answered;
    uint64_t lost;    /* answered, not there */
    uint64_t doubled; /* there more than once */
};

static struct audit hurting_end(struct hurting *hurting)
{
    struct audit audit = {0};
    hurting->stop = true;
    assert_true(store_load_join(&hurting->load));
    assert_true(redis_server_cluster_wait_ok(nodes_of(hurting)));
    for (size_t i = 0; i < USERS; i++)
        read_log(hurting, hurting->names[i]);
    for (uint64_t i = 0; i < hurting->load.count; i++) {
        audit.answered += hurting->answered[i];
        audit.lost += hurting->answered[i] > hurting->seen[i];
        audit.doubled += hurting->seen[i] > 1;
    }
    print_message("answered %" PRIu64 ", failed %" PRIu64 ", lost %" PRIu64 "\n", audit.answered, hurting->failed,
                  audit.lost);
    store_rig_close(&hurting->rig);
    loops_tally_destroy(&hurting->done);
    loops_tally_destroy(&hurting->lost);
    free(hurting);
    return audit;
}

static bool has_taken_over(void *ctx)
{
    struct hurting *hurting = ctx;
    const struct redis_server *owner = store_rig_redis_owner(&hurting->rig, "m0");
    return owner != NULL && owner != hurting->master;
}

static void move_and_back(void *const *state, enum peer_durability durability)
{
    struct hurting *hurting = hurting_start(*state, durability);
    struct redis_server_cluster *nodes = nodes_of(hurting);
    struct redis_server *from = hurting->master;
    struct redis_server *to = NULL;
    for (size_t i = 0; i < nodes->count && to == NULL; i++) {
        if (&nodes->nodes[i] != from && redis_server_is_master(&nodes->nodes[i]))
            to = &nodes->nodes[i];
    }
    assert_non_null(to);
    /* As a master that joined lately: it has to be sent the library. */
    char *reply = object_alloc(REDIS_SERVER_REPLY_MAX);
    assert_true(redis_server_command(to, reply, "FUNCTION FLUSH"));
    free(reply);
    assert_true(wait_for_more(hurting, 300));
    assert_true(redis_server_cluster_move(nodes, store_rig_redis_slot("m0"), to));
    assert_true(wait_for_more(hurting, 300));
    assert_true(redis_server_cluster_move(nodes, store_rig_redis_slot("m0"), from));
    assert_true(wait_for_more(hurting, 300));
    uint64_t failed = hurting->failed, lost = loops_tally_get(&hurting->lost);
    struct audit audit = hurting_end(hurting);
    assert_int_equal(failed, 0);
    assert_int_equal(lost, 0);
    assert_int_equal(audit.lost, 0);
    assert_int_equal(audit.doubled, 0);
}

static void a_slot_moves_under_load_and_back(void **state)
{
    move_and_back(state, PEER_DURABILITY_STANDARD);
}

static void a_slot_moves_under_replicated_load_and_back(void **state)
{
    move_and_back(state, PEER_DURABILITY_REPLICATED);
}

/* A master dies under load and comes back as the replica of who took over. */
static void a_failover_loses_nothing_that_was_replicated(void **state)
{
    struct hurting *hurting = hurting_start(*state, PEER_DURABILITY_REPLICATED);
    assert_true(wait_for_more(hurting, 200));
    redis_server_kill(hurting->master);
    assert_true(until(has_taken_over, hurting, 30000));
    assert_true(redis_server_restart(hurting->master));
    assert_true(wait_for_more(hurting, 200));
    /* When it broke, and when another had taken over: then sessions find out what it lacks. */
    assert_true(loops_tally_wait(&hurting->lost, 2));
    struct audit audit = hurting_end(hurting);
    assert_int_equal(audit.lost, 0);
    assert_int_equal(audit.doubled, 0);
}

/* A master hangs until another has taken over, then goes on: what it accepts on waking, before it knows, counts for nothing. */
static void a_master_that_hangs_and_wakes_loses_nothing_that_was_replicated(void **state)
{
    struct hurting *hurting = hurting_start(*state, PEER_DURABILITY_REPLICATED);
    struct redis_server *master = hurting->master;
    const pid_t pid = master->pid;
    assert_true(wait_for_more(hurting, 200));
    redis_server_signal(master, SIGSTOP);
    master->pid = 0; /* so that nobody asks it */
    const bool taken_over = until(has_taken_over, hurting, 30000);
    master->pid = pid;
    redis_server_signal(master, SIGCONT);
    assert_true(taken_over);
    assert_true(redis_server_wait_synced(master));
    assert_true(wait_for_more(hurting, 200));
    struct audit audit = hurting_end(hurting);
    assert_int_equal(audit.lost, 0);
    assert_int_equal(audit.doubled, 0);
}

/* A master that comes back before anyone took over, and with all that it answered: that takes appendfsync always. */
static void a_master_that_comes_back_at_once_loses_nothing(void **state)
{
    struct hurting *hurting = hurting_start(*state, PEER_DURABILITY_REPLICATED);
    char *reply = object_alloc(REDIS_SERVER_REPLY_MAX);
    assert_true(redis_server_command(hurting->master, reply, "CONFIG SET appendfsync always"));
    free(reply);
    assert_true(wait_for_more(hurting, 200));
    redis_server_kill(hurting->master);
    assert_true(redis_server_restart(hurting->master));
    assert_true(wait_for_more(hurting, 200));
    struct audit audit = hurting_end(hurting);
    assert_int_equal(audit.lost, 0);
    assert_int_equal(audit.doubled, 0);
}

/* What is only standard may lose what the master had not passed on; senders go on with the heir by themselves, and nothing is there twice. */
static void a_failover_lets_standard_appends_go_on(void **state)
{
    struct hurting *hurting = hurting_start(*state, PEER_DURABILITY_STANDARD);
    assert_true(wait_for_more(hurting, 200));
    const uint64_t killed_ms = until_now_ms();
    redis_server_kill(hurting->master);
    assert_true(until(has_taken_over, hurting, 30000));
    const uint64_t taken_ms = until_now_ms();
    assert_true(wait_for_more(hurting, 1));
    print_message("taken over %" PRIu64 " ms after the kill, first answer %" PRIu64 " ms after that\n",
                  taken_ms - killed_ms, until_now_ms() - taken_ms);
    assert_true(wait_for_more(hurting, 200));
    assert_true(redis_server_restart(hurting->master));
    assert_true(redis_server_wait_synced(hurting->master));
    struct audit audit = hurting_end(hurting);
    assert_int_equal(audit.doubled, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_moves_under_load_and_back),
        cmocka_unit_test(a_slot_moves_under_replicated_load_and_back),
        cmocka_unit_test(a_failover_loses_nothing_that_was_replicated),
        cmocka_unit_test(a_master_that_hangs_and_wakes_loses_nothing_that_was_replicated),
        cmocka_unit_test(a_master_that_comes_back_at_once_loses_nothing),
        cmocka_unit_test(a_failover_lets_standard_appends_go_on),
    };
    return store_rig_main_on("redis-cluster", "store on a cluster that is hurt", tests, sizeof tests / sizeof tests[0]);
}
