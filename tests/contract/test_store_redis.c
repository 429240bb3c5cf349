/* What store_redis.h promises beyond the port, against real servers: writes that a server lost, replicas, memory that is out, slots
 * that move, bytes of a user, closing. */
#include "contract/store_load.h"
#include "contract/store_rig_redis.h"

#include "base/hash.h"
#include "lib/until.h"
#include "store/store_redis.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(bound, seq_) ((struct position){(bound).page.epoch, (seq_)})
#define DEVICE_UUID "0192f0c1-7e4a-7cc2-9d3c-1f2e3d4c5b6a"

static long ask_number(const struct redis_server *server, const char *command, const char *key)
{
    char *reply = object_alloc(REDIS_SERVER_REPLY_MAX);
    assert_true(redis_server_command(server, reply, "%s %s", command, key));
    long number = strtol(reply, NULL, 10);
    free(reply);
    return number;
}

static void order(const struct redis_server *server, const char *command)
{
    char *reply = object_alloc(REDIS_SERVER_REPLY_MAX);
    assert_true(redis_server_command(server, reply, "%s", command));
    free(reply);
}

/* ---- replicas ---- */

/* NULL: none. */
static struct redis_server *replica_of(struct store_rig_redis *redis, const struct redis_server *master)
{
    return redis->cluster ? (struct redis_server *)(uintptr_t)master + redis->nodes.count / 2 : NULL;
}

struct one {
    struct store_load load;
    struct peer_send send;
    bool begun;
    int status;
    struct store_append_out out;
};

static bool one_next(struct store_load *load, struct store_load_slot *slot)
{
    struct one *one = container_of(load, struct one, load);
    if (one->begun)
        return false;
    one->begun = true;
    slot->op = STORE_APPEND;
    slot->request.in.append = one->send;
    return true;
}

static void one_done(struct store_load *load, struct store_load_slot *slot)
{
    struct one *one = container_of(load, struct one, load);
    one->status = slot->request.status;
    one->out = slot->request.out.append;
}

static bool has_one(void *ctx)
{
    struct peer_user user;
    return store_rig_user(ctx, "u", &user) == 0 && user.pending == 1;
}

/* The master has it at once; the answer waits for the replica. Whatever was asked again in between, it stands there once, and the
 * session that is there is sent it. */
static void a_replicated_append_waits_for_the_replica(void **state)
{
    struct store_rig rig;
    struct one one = {.load = {.inflight = 1, .next = one_next, .done = one_done}};
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    struct redis_server *replica = replica_of(store_rig_redis_of(&rig), store_rig_redis_owner(&rig, "u"));
    one.send = store_rig_send(&rig, "u", "m1");
    one.send.durability = PEER_DURABILITY_REPLICATED;
    one.load.store = rig.store;
    redis_server_signal(replica, SIGSTOP);
    store_load_start(&one.load, &rig.loops, 0);
    assert_true(until(has_one, &rig, 10000));
    assert_int_equal(loops_tally_get(&one.load.ended), 0);
    redis_server_signal(replica, SIGCONT);
    assert_true(store_load_join(&one.load));
    assert_int_equal(one.status, 0);
    assert_false(one.out.sent.duplicate);
    assert_int_equal(one.out.sent.position.seq, bound.position.seq + 1);
    assert_int_equal(one.out.prev, bound.position.seq);
    assert_int_equal(one.out.hits_count, 1);
    assert_int_equal(one.out.hits[0].route.slot, 1);
    assert_true(has_one(&rig));
    store_rig_close(&rig);
}

/* ---- memory ---- */

/* Not at the next append that succeeds: with several servers it may not have been the full one's. */
static bool is_not_full(void *ctx)
{
    const struct store_rig *rig = ctx;
    return metrics_get(rig->metrics, METRIC_STORE_FULL) == 0;
}

static void out_of_memory_refuses_what_takes_and_goes_on_with_what_gives(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_page page;
    store_rig_open(&rig, *state, NULL);
    const struct redis_server *server = store_rig_redis_owner(&rig, "u");
    bound = store_rig_bound(&rig, "u", "d", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    order(server, "CONFIG SET maxmemory 1");
    struct peer_send send = store_rig_send(&rig, "u", "m2");
    assert_int_equal(store_rig_append(&rig, &send, NULL), PETREL_E_FULL);
    assert_int_equal(metrics_get(rig.metrics, METRIC_STORE_FULL), 1);
    assert_int_equal(store_rig_enrol(&rig, "u", "new"), PETREL_E_FULL);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", bound.position, 0, &page), 0);
    store_rig_expect(&page, "m1");
    assert_int_equal(store_rig_check(&rig, "u", "d", 1, AT(bound, m1)), PEER_SAME);
    /* A bind that proves something has it noted: it gives memory back. */
    struct peer_user user;
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, AT(bound, m1), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    assert_false(bound.unnoted);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.devices[0].acked, m1);
    assert_int_equal(user.pending, 0);
    assert_int_equal(store_rig_ack(&rig, "u", "d", AT(bound, m1)), 0);
    assert_int_equal(store_rig_bind(&rig, "u", "new", 1, (struct position){0, 0}, &bound), 0);
    store_rig_unbind(&rig, "u", "d", 2);
    order(server, "CONFIG SET maxmemory 0");
    assert_int_equal(store_rig_append(&rig, &send, NULL), 0);
    assert_true(until(is_not_full, &rig, 20000));
    store_rig_close(&rig);
}

static void a_user_takes_so_many_bytes(void **state)
{
    struct store_rig rig;
    char key[64], text[101];
    store_rig_open(&rig, *state, NULL);
    const struct redis_server *server = store_rig_redis_owner(&rig, "user-00000001");
    snprintf(key, sizeof key, "{b%u}u:app:user-00000001", hash_bucket(bytes_str("app"), bytes_str("user-00000001")));
    struct peer_send send = store_rig_send(&rig, "keyed", "m1");
    send.has_key = true;
    send.key_expires_ms = rig.clock.ms + STORE_RIG_DAY;
    assert_int_equal(store_rig_append(&rig, &send, NULL), 0);
    char digest[64];
    snprintf(digest, sizeof digest, "{b%u}k:AAAAAAAAAAAAAAAAAAAAAA", hash_bucket(bytes_str("app"), bytes_str("keyed")));
    print_message("bytes of an idempotency key: %ld\n", ask_number(server, "MEMORY USAGE", digest));
    store_rig_bound(&rig, "user-00000001", DEVICE_UUID, 1);
    long idle = ask_number(server, "MEMORY USAGE", key);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    uint64_t seq = store_rig_put(&rig, "user-00000001", text);
    long first = ask_number(server, "MEMORY USAGE", key);
    struct peer_bound bound;
    struct peer_user user;
    assert_int_equal(store_rig_user(&rig, "user-00000001", &user), 0);
    struct position at = {user.head.epoch, seq};
    assert_int_equal(store_rig_ack(&rig, "user-00000001", DEVICE_UUID, at), 0);
    store_rig_advance(&rig, 2 * STORE_RIG_HOUR);
    assert_int_equal(store_rig_bind(&rig, "user-00000001", DEVICE_UUID, 2, at, &bound), 0);
    long later = ask_number(server, "MEMORY USAGE", key);
    print_message("bytes of a user: %ld idle, %ld with a first message of 100, %ld idle again\n", idle, first, later);
    assert_true(idle > 0 && idle <= 300);
    assert_true(first <= 550);
    assert_true(later <= 300);
    store_rig_close(&rig);
}

/* Redis itself forgets a record whose time is over, though nobody asks for it. */
static void a_record_has_a_time_to_live(void **state)
{
    struct store_rig rig;
    char key[64];
    store_rig_open(&rig, *state, NULL);
    const struct redis_server *server = store_rig_redis_owner(&rig, "u");
    snprintf(key, sizeof key, "{b%u}u:app:u", hash_bucket(bytes_str("app"), bytes_str("u")));
    store_rig_put(&rig, "u", "m1");
    long waits = ask_number(server, "PTTL", key);
    assert_true(waits > 0 && waits <= (long)STORE_RIG_DAY + 2000);
    /* A route that nobody refreshes is no reason to live for ever. */
    store_rig_bound(&rig, "u", "d", 1);
    const long lasts = (long)(rig.options.limits.lapse_ms + 2 * rig.options.limits.refresh_ms);
    const long left = ask_number(server, "PTTL", key);
    assert_true(left > lasts - (long)STORE_RIG_DAY && left <= lasts + 2000);
    store_rig_unbind(&rig, "u", "d", 1);
    assert_true(ask_number(server, "PTTL", key) > waits);
    assert_int_equal(store_rig_remove(&rig, "u", "d", rig.clock.ms), 0);
    assert_int_equal(ask_number(server, "PTTL", key), -1);
    store_rig_close(&rig);
}

/* ---- rights ---- */

/* Those that deploy/README.md names, and no others. */
static void the_rights_that_operators_are_told_suffice(void **state)
{
    struct store_rig rig;
    struct store_rig_options options = store_rig_options();
    struct peer_bound bound;
    options.username = "petrel";
    options.password = "secret";
    store_rig_prepare(&rig, *state, &options);
    order(
        store_rig_redis_owner(&rig, "u"),
        "ACL SETUSER petrel reset on >secret ~{b* +@read +@write -@dangerous +@connection +fcall +function|load +wait "
        "+role +info +cluster|shards +cluster|info");
    order(store_rig_redis_owner(&rig, "u"), "FUNCTION FLUSH");
    store_rig_start(&rig);
    bound = store_rig_bound(&rig, "u", "d", 1);
    struct peer_send send = store_rig_send(&rig, "u", "m1");
    struct store_append_out out;
    send.has_key = true;
    send.key_expires_ms = rig.clock.ms + STORE_RIG_DAY;
    assert_int_equal(store_rig_append(&rig, &send, &out), 0);
    assert_int_equal(store_rig_append(&rig, &send, &out), 0);
    assert_true(out.sent.duplicate);
    uint64_t m2 = store_rig_put(&rig, "u", "m2");
    store_rig_put(&rig, "u", "m3");
    assert_int_equal(store_rig_check(&rig, "u", "d", 1, bound.position), PEER_BEHIND);
    assert_int_equal(store_rig_ack(&rig, "u", "d", AT(bound, m2)), 0);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, AT(bound, m2), &bound), 0);
    store_rig_expect(&bound.page, "m3");
    store_rig_unbind(&rig, "u", "d", 2);
    assert_int_equal(store_rig_remove(&rig, "u", "d", rig.clock.ms), 0);
    assert_int_equal(store_rig_state(&rig, "u", "m2"), PEER_STATE_DELIVERED);
    assert_int_equal(metrics_get(rig.metrics, METRIC_STORE_DOWN), 0);
    order(store_rig_redis_owner(&rig, "u"), "ACL DELUSER petrel");
    store_rig_close(&rig);
}

/* ---- closing ---- */

struct closing {
    struct store_load load;
    _Atomic uint64_t begun;
    uint64_t closed;
};

static bool closing_next(struct store_load *load, struct store_load_slot *slot)
{
    struct closing *closing = container_of(load, struct closing, load);
    if (closing->begun == load->inflight)
        return false;
    closing->begun++;
    slot->op = STORE_USER;
    slot->request.in.user = store_rig_target("u", NULL);
    return true;
}

static void closing_done(struct store_load *load, struct store_load_slot *slot)
{
    container_of(load, struct closing, load)->closed += slot->request.status == PETREL_E_CLOSING;
}

static void leave(void *ctx)
{
    struct store_rig *rig = ctx;
    struct store_request request = {.in.user = store_rig_target("u", NULL)};
    store_redis_leave(rig->store, rig->loops.loops[1]);
    store_redis_leave(rig->store, rig->loops.loops[1]);
    petrel_assert(store_submit(rig->store, STORE_USER, &request, rig->loops.loops[1], NULL) == PETREL_E_CLOSING);
}

static void closing_ends_what_is_under_way(void **state)
{
    struct closing closing[2] = {0};
    struct store_rig rig;
    struct store_rig_options options = store_rig_options();
    options.loops = 3;
    store_rig_open(&rig, *state, &options);
    struct redis_server *server = store_rig_redis_owner(&rig, "u");
    store_rig_put(&rig, "u", "m1");
    redis_server_signal(server, SIGSTOP);
    for (size_t i = 0; i < 2; i++) {
        closing[i].load =
            (struct store_load){.store = rig.store, .inflight = 8, .next = closing_next, .done = closing_done};
        store_load_start(&closing[i].load, &rig.loops, i);
    }
    /* One loop leaves by itself, one is asked to by the store, and one never came. */
    loops_run_on(&rig.loops, 1, leave, &rig);
    assert_true(store_load_join(&closing[1].load));
    store_close(&rig.store);
    assert_true(store_load_join(&closing[0].load));
    assert_int_equal(closing[0].closed, 8);
    assert_int_equal(closing[1].closed, 8);
    redis_server_signal(server, SIGCONT);
    loops_stop(&rig.loops);
    loops_free(&rig.loops);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_of_memory_refuses_what_takes_and_goes_on_with_what_gives),
        cmocka_unit_test(a_user_takes_so_many_bytes),
        cmocka_unit_test(a_record_has_a_time_to_live),
        cmocka_unit_test(the_rights_that_operators_are_told_suffice),
        cmocka_unit_test(closing_ends_what_is_under_way),
    };
    const struct CMUnitTest of_a_cluster[] = {
        cmocka_unit_test(a_replicated_append_waits_for_the_replica),
    };
    return store_rig_main_on("redis", "store on Redis", tests, sizeof tests / sizeof tests[0]) +
           store_rig_main_on("redis-cluster", "store on Redis", of_a_cluster,
                             sizeof of_a_cluster / sizeof of_a_cluster[0]);
}
