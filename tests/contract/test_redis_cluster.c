/* The Redis client against a real cluster of three masters with a replica each: masters that die or hang, slots and nodes that move. */
#include "contract/redis_load.h"

#include "base/err.h"
#include "lib/redis_server.h"
#include "lib/until.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MASTERS 3

static int start_cluster(void **state)
{
    struct redis_server_cluster *cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL || !redis_server_cluster_start(cluster, MASTERS, NULL))
        return -1;
    *state = cluster;
    return 0;
}

static int free_cluster(void **state)
{
    if (*state != NULL)
        redis_server_cluster_free(*state);
    free(*state);
    return 0;
}

/* A client that is told of one node only. */
static void open_rig(struct redis_rig *rig, const struct redis_server *seed)
{
    struct redis_config config;
    redis_rig_config(&config, seed->port, true);
    redis_rig_open(rig, &config);
}

static void end_load(struct redis_load *load, struct redis_rig *rig)
{
    const struct redis_load_audit audit = redis_load_look(load);
    assert_int_equal(audit.lost, 0);
    assert_int_equal(audit.acted, 0);
    redis_load_free(load);
    redis_rig_close(rig);
}

/* Each master gets its share at once: nothing is redirected but what came before the map. */
static void test_spread(void **state)
{
    struct redis_server_cluster *cluster = *state;
    struct redis_rig rig;
    open_rig(&rig, &cluster->nodes[MASTERS]); /* a replica will do */
    struct redis_load *load = redis_load_new(&rig);
    redis_load_start(load);
    assert_true(redis_load_wait(load, 10000));
    for (size_t i = 0; i < MASTERS; i++)
        assert_true(redis_server_calls(&cluster->nodes[i], "evalsha") > 1000);
    for (size_t i = MASTERS; i < cluster->count; i++)
        assert_int_equal(redis_server_calls(&cluster->nodes[i], "evalsha"), 0);
    assert_true(redis_load_stop(load));
    assert_int_equal(load->others, 0);
    end_load(load, &rig);
}

struct looking {
    struct redis_rig *rig;
    struct bytes key;
    int64_t looks;
};

static void look(void *arg)
{
    const struct looking *looking = arg;
    redis_refresh(looking->rig->redis, looking->key);
}

static bool has_looked(void *ctx)
{
    const struct looking *looking = ctx;
    return metrics_get(looking->rig->metrics, METRIC_REDIS_REFRESHES) >= looking->looks;
}

/* Whose answer is doubted is not asked who is master, neither now nor a little later, though all the others take their turns. */
static void test_doubt(void **state)
{
    struct redis_server_cluster *cluster = *state;
    struct redis_rig rig;
    struct redis_rig_call call;
    /* Of two masters. */
    const struct bytes keys[] = {bytes_str("{b1}"), bytes_str("{b3}")};
    struct looking looking = {.rig = &rig};
    const struct redis_server *doubted = redis_server_cluster_owner(cluster, redis_slot(keys[0]));
    assert_non_null(doubted);
    assert_ptr_not_equal(doubted, redis_server_cluster_owner(cluster, redis_slot(keys[1])));
    open_rig(&rig, doubted);
    assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "{b1}", "arg"), 0);
    const long before = redis_server_calls(doubted, "cluster|shards");
    for (size_t i = 0; i < 2 * cluster->count; i++) {
        looking.key = keys[i > 0];
        looking.looks = metrics_get(rig.metrics, METRIC_REDIS_REFRESHES) + 1;
        loops_run_on(&rig.loops, 0, look, &looking);
        assert_true(until(has_looked, &looking, 10000));
    }
    assert_int_equal(redis_server_calls(doubted, "cluster|shards"), before);
    for (size_t i = 0; i < cluster->count; i++) {
        const struct redis_server *node = &cluster->nodes[i];
        assert_true(redis_server_is_master(node) || redis_server_calls(node, "cluster|shards") > 0);
    }
    redis_rig_close(&rig);
}

/* Keys, and then the slot, move while they are written: nobody notices. */
static void test_migration(void **state)
{
    struct redis_server_cluster *cluster = *state;
    struct redis_rig rig;
    char reply[REDIS_SERVER_REPLY_MAX];
    const uint32_t slot = redis_slot(bytes_str("{b7}"));
    struct redis_server *from = redis_server_cluster_owner(cluster, slot);
    struct redis_server *to = from == &cluster->nodes[0] ? &cluster->nodes[1] : &cluster->nodes[0];
    assert_non_null(from);
    for (int i = 0; i < 2000; i += 4)
        assert_true(
            redis_server_command(from, reply, "MSET {b7}%d 1 {b7}%d 1 {b7}%d 1 {b7}%d 1", i, i + 1, i + 2, i + 3));
    open_rig(&rig, from);
    struct redis_load *load = redis_load_new(&rig);
    load->only_key = 7;
    redis_load_start(load);
    assert_true(redis_load_wait(load, 1000));
    assert_true(redis_server_cluster_move(cluster, slot, to));
    assert_true(redis_load_wait(load, 1000));
    assert_ptr_equal(redis_server_cluster_owner(cluster, slot), to);
    assert_true(redis_server_calls(to, "evalsha") > 0);
    assert_true(redis_server_cluster_move(cluster, slot, from)); /* the script is known there, the client is not */
    assert_true(redis_load_wait(load, 1000));
    assert_true(redis_load_stop(load));
    assert_int_equal(load->others, 0);
    assert_true(loops_tally_get(&rig.changes) > 0);
    assert_int_equal(loops_tally_get(&rig.losses), 0);
    end_load(load, &rig);
}

/* What was confirmed by the replicas outlives the master. */
static void test_failover(void **state)
{
    struct redis_server_cluster *cluster = *state;
    struct redis_rig rig;
    struct redis_server *master = redis_server_cluster_owner(cluster, 0);
    assert_non_null(master);
    open_rig(&rig, master);
    struct redis_load *load = redis_load_new(&rig);
    load->replicated = true;
    load->repeat = true;
    redis_load_start(load);
    assert_true(redis_load_wait(load, 3000));
    redis_server_kill(master);
    /* A third of the names stick until the failover, then they go on; but they need a replica again. */
    struct redis_server *heir = NULL;
    const uint64_t until_ms = until_now_ms() + 30000;
    while (heir == NULL && until_now_ms() < until_ms)
        heir = redis_server_cluster_owner(cluster, 0);
    assert_non_null(heir);
    assert_ptr_not_equal(heir, master);
    assert_int_equal(metrics_get(rig.metrics, METRIC_STORE_DOWN), 0); /* others serve */
    assert_true(redis_server_restart(master));
    assert_true(redis_server_wait_synced(master));
    assert_true(redis_server_cluster_wait_ok(cluster));
    assert_true(redis_load_wait(load, 3000));
    assert_true(loops_tally_get(&rig.losses) >= 2); /* it broke, and another took over */
    assert_true(redis_load_stop(load));
    end_load(load, &rig);
}

/* A master that hangs: what was not written waits for the heir, and what hangs with it is never acted on behind our back twice. */
static void test_hang(void **state)
{
    struct redis_server_cluster *cluster = *state;
    struct redis_rig rig;
    struct redis_server *master = redis_server_cluster_owner(cluster, 16383);
    struct redis_server *heir = master;
    assert_non_null(master);
    open_rig(&rig, master);
    struct redis_load *load = redis_load_new(&rig);
    load->replicated = true;
    load->repeat = true;
    redis_load_start(load);
    assert_true(redis_load_wait(load, 1000));
    redis_server_signal(master, SIGSTOP);
    const pid_t pid = master->pid;
    master->pid = 0; /* so that nobody asks it */
    const uint64_t until_ms = until_now_ms() + 30000;
    while ((heir = redis_server_cluster_owner(cluster, 16383)) == NULL && until_now_ms() < until_ms) {
    }
    master->pid = pid;
    redis_server_signal(master, SIGCONT);
    assert_non_null(heir);
    assert_true(redis_server_wait_synced(master));
    assert_true(redis_server_cluster_wait_ok(cluster));
    assert_true(redis_load_wait(load, 3000));
    assert_true(redis_load_stop(load));
    end_load(load, &rig);
}

/* The only node that the client was told of leaves, another takes its place. */
static void test_replacement(void **state)
{
    struct redis_server_cluster *cluster = *state;
    struct redis_rig rig;
    struct redis_server *old = redis_server_cluster_owner(cluster, 8000);
    assert_non_null(old);
    open_rig(&rig, old);
    struct redis_load *load = redis_load_new(&rig);
    load->repeat = true;
    redis_load_start(load);
    assert_true(redis_load_wait(load, 1000));
    struct redis_server *fresh = redis_server_cluster_add(cluster, NULL);
    assert_non_null(fresh);
    assert_true(redis_server_cluster_replicate(fresh, old));
    assert_true(redis_server_cluster_take_over(fresh));
    redis_server_kill(old);
    redis_server_cluster_forget(cluster, old);
    assert_true(redis_server_cluster_wait_ok(cluster));
    assert_true(redis_load_wait(load, 5000));
    assert_ptr_equal(redis_server_cluster_owner(cluster, 8000), fresh);
    assert_true(redis_server_calls(fresh, "evalsha") > 0);
    assert_true(redis_load_stop(load));
    assert_int_equal(load->others, 0);
    end_load(load, &rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread),   cmocka_unit_test(test_doubt), cmocka_unit_test(test_migration),
        cmocka_unit_test(test_failover), cmocka_unit_test(test_hang),  cmocka_unit_test(test_replacement),
    };
    return cmocka_run_group_tests(tests, start_cluster, free_cluster);
}
