/* What topics_redis.h promises where servers fail, against real ones: writes that a server lost, one that is away, replicas, slots that
 * move, masters that die. */
#include "contract/topics_load.h"
#include "lib/until.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOPIC TOPICS_RIG_REDIS_TOPIC
#define DAY TOPICS_RIG_DAY

/* ---- a server that lost its last writes ---- */

/* The file to which Redis appends, and how long it is. */
static off_t find_journal(const struct redis_server *server, char path[512])
{
    char folder[256];
    struct stat st = {0};
    snprintf(folder, sizeof folder, "%s/appendonlydir", server->tmp.path);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    path[0] = '\0';
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strstr(entry->d_name, ".incr.aof") != NULL)
            snprintf(path, 512, "%s/%s", folder, entry->d_name);
    }
    closedir(dir);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void forget_since(struct store_rig_redis *redis, struct redis_server *master, const char *path, off_t bytes)
{
    /* Its replica would know better. */
    struct redis_server *replica = redis->cluster ? master + redis->nodes.count / 2 : NULL;
    if (replica != NULL)
        redis_server_kill(replica);
    redis_server_kill(master);
    assert_int_equal(truncate(path, bytes), 0);
    assert_true(redis_server_restart(master));
    assert_true(replica == NULL || redis_server_restart(replica));
    assert_true(!redis->cluster || redis_server_cluster_wait_ok(&redis->nodes));
}

static void what_a_server_lost_is_told_though_others_took_its_place(void **state)
{
    struct topics_rig rig;
    struct topics_rig_page page;
    struct position head;
    char path[512];
    topics_rig_open(&rig, *state);
    struct redis_server *master = topics_rig_redis_owner(&rig);
    struct position m1 = topics_rig_put(&rig, TOPIC, "m1");
    off_t kept = find_journal(master, path);
    topics_rig_put(&rig, TOPIC, "m2");
    struct position m3 = topics_rig_put(&rig, TOPIC, "m3");
    forget_since(topics_rig_redis(&rig), master, path, kept);
    /* Before anyone checks, others take the same places. */
    struct position n2 = topics_rig_put(&rig, TOPIC, "n2");
    struct position n3 = topics_rig_put(&rig, TOPIC, "n3");
    assert_int_equal(n2.seq, m1.seq + 1);
    assert_int_equal(n3.seq, m3.seq);
    assert_int_equal(topics_rig_interest(&rig, TOPIC, 1, 1, 1000, &head), 0);
    assert_true(head.epoch > m3.epoch);
    page = topics_rig_read(&rig, TOPIC, m3);
    assert_string_equal(page.texts, "n2 n3");
    assert_int_equal(page.page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.page.gap.from, m3.seq);
    assert_int_equal(page.page.gap.to, m1.seq);
    assert_int_equal(page.page.gap.lost_at_most, 2);
    /* Who had no more than what was kept lost nothing. */
    page = topics_rig_read(&rig, TOPIC, m1);
    assert_string_equal(page.texts, "n2 n3");
    assert_int_equal(page.page.verdict, SESSION_RESUMED);
    topics_rig_close(&rig);
}

/* ---- one that is away ---- */

/* The store beside it counts its servers; topics would count them once more. */
static void what_is_away_is_the_store_s_to_tell(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    topics_rig_open(&rig, *state);
    struct redis_server *server = topics_rig_redis_owner(&rig);
    (void)topics_rig_put(&rig, TOPIC, "m1");
    redis_server_kill(server);
    assert_int_not_equal(topics_rig_send(&rig, TOPIC, "m2", DAY, &out), 0);
    assert_true(metrics_get(rig.metrics, METRIC_STORE_ERRORS) > 0);
    assert_int_equal(metrics_get(rig.metrics, METRIC_STORE_DOWN), 0);
    const char *devices[] = {"d", "e"};
    enum peer_verdict verdicts[2];
    assert_int_not_equal(topics_rig_check_all(&rig, devices, (uint64_t[]){7, PEER_FOLLOWS_NOTHING}, 2, verdicts), 0);
    assert_int_equal(topics_rig_check_all(&rig, devices, (uint64_t[]){0, 0}, 2, verdicts), 0);
    assert_true(redis_server_restart(server));
    topics_rig_close(&rig);
}

/* ---- replicas, slots ---- */

struct watched {
    struct topics_rig *rig;
    const struct redis_server *old;
};

static bool has_an_entry(void *ctx)
{
    struct topics_rig_page page;
    return topics_rig_fetch(ctx, TOPIC, TOPICS_BEGIN, 1, 1, &page) == 0;
}

static bool has_taken_over(void *ctx)
{
    const struct watched *watched = ctx;
    const struct redis_server *now = topics_rig_redis_owner(watched->rig);
    return now != NULL && now != watched->old;
}

/* The master has it at once; the answer waits for the replica. */
static void a_replicated_append_waits_for_the_replica(void **state)
{
    struct topics_rig rig;
    static struct topics_load load;
    memset(&load, 0, sizeof load);
    load.durability = PEER_DURABILITY_REPLICATED;
    topics_rig_open(&rig, *state);
    struct store_rig_redis *redis = topics_rig_redis(&rig);
    struct redis_server *replica = topics_rig_redis_owner(&rig) + redis->nodes.count / 2;
    rig.limits.cap_bytes = 1 << 20;
    topics_rig_reopen(&rig);
    redis_server_signal(replica, SIGSTOP);
    topics_load_start(&load, &rig, 1);
    assert_true(until(has_an_entry, &rig, 10000));
    assert_int_equal(loops_tally_get(&load.ended), 0);
    redis_server_signal(replica, SIGCONT);
    topics_load_join(&load);
    /* Whatever was asked again in between, it stands there once. */
    assert_int_equal(load.appended, 1);
    assert_int_equal(topics_load_count(&rig), 1);
    topics_rig_close(&rig);
}

static void a_slot_moves_under_load_and_back(void **state)
{
    struct topics_rig rig;
    static struct topics_load load;
    memset(&load, 0, sizeof load);
    topics_load_open_wide(&rig, *state);
    struct redis_server_cluster *nodes = &topics_rig_redis(&rig)->nodes;
    struct redis_server *from = topics_rig_redis_owner(&rig);
    struct redis_server *to = from == &nodes->nodes[0] ? &nodes->nodes[1] : &nodes->nodes[0];
    topics_load_start(&load, &rig, UINT64_MAX);
    assert_true(topics_load_wait(&load, 500));
    assert_true(redis_server_cluster_move(nodes, store_rig_redis_slot(TOPIC), to));
    assert_true(topics_load_wait(&load, 500));
    assert_true(redis_server_cluster_move(nodes, store_rig_redis_slot(TOPIC), from));
    assert_true(topics_load_wait(&load, 500));
    topics_load_stop(&load);
    assert_int_equal(load.failed, 0);
    assert_int_equal(load.last - load.first + 1, load.appended);
    assert_int_equal(topics_load_count(&rig), load.appended);
    topics_rig_close(&rig);
}

/* A master was deposed and does not know it: that it has no such log is not believed at once. Of a position before any log it is. */
static void a_deposed_master_is_not_believed_to_have_no_log(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    struct topics_rig_page page;
    topics_rig_open(&rig, *state);
    struct redis_server_cluster *nodes = &topics_rig_redis(&rig)->nodes;
    struct redis_server *old = topics_rig_redis_owner(&rig);
    const struct position m1 = topics_rig_put(&rig, TOPIC, "m1");
    struct topics_append append = topics_rig_message(&rig, TOPIC, "m2");
    append.durability = PEER_DURABILITY_REPLICATED;
    assert_int_equal(topics_rig_append(&rig, &append, &out), 0);
    buf_unref(append.message);
    assert_true(redis_server_cluster_depose(nodes, old));
    topics_rig_redis_order(old, "FLUSHALL");
    const long before = redis_server_calls(old, "fcall");
    assert_int_equal(topics_rig_fetch(&rig, TOPIC, TOPICS_BEGIN, 4, 40, &page), PETREL_E_NOT_FOUND);
    assert_int_equal(redis_server_calls(old, "fcall"), before + 1);
    assert_int_equal(topics_rig_fetch(&rig, TOPIC, m1, 4, 40, &page), 0);
    assert_int_equal(redis_server_calls(old, "fcall"), before + 2);
    assert_string_equal(page.texts, "m2");
    assert_int_equal(page.page.verdict, SESSION_RESUMED);
    assert_true(redis_server_cluster_rejoin(nodes, old));
    topics_rig_close(&rig);
}

/* Nobody else knows of such a log: then it is believed. */
static void what_no_master_has_is_not_there(void **state)
{
    struct topics_rig rig;
    struct topics_rig_page page;
    topics_rig_open(&rig, *state);
    const struct redis_server *owner = topics_rig_redis_owner(&rig);
    assert_int_equal(topics_rig_fetch(&rig, TOPIC, TOPICS_BEGIN, 4, 40, &page), PETREL_E_NOT_FOUND);
    const long before = redis_server_calls(owner, "fcall");
    assert_int_equal(topics_rig_fetch(&rig, TOPIC, (struct position){7, 7}, 4, 40, &page), PETREL_E_NOT_FOUND);
    assert_int_equal(redis_server_calls(owner, "fcall"), before + 2);
    topics_rig_close(&rig);
}

/* A master dies under load and comes back as the replica of who took over. What was answered is there; of what was not, some may be. */
static void a_failover_loses_nothing_that_was_replicated(void **state)
{
    struct topics_rig rig;
    static struct topics_load load;
    memset(&load, 0, sizeof load);
    load.durability = PEER_DURABILITY_REPLICATED;
    topics_load_open_wide(&rig, *state);
    struct watched watched = {&rig, topics_rig_redis_owner(&rig)};
    struct redis_server *old = topics_rig_redis_owner(&rig);
    topics_load_start(&load, &rig, UINT64_MAX);
    assert_true(topics_load_wait(&load, 200));
    redis_server_kill(old);
    assert_true(until(has_taken_over, &watched, 30000));
    assert_true(redis_server_restart(old));
    assert_true(topics_load_wait(&load, 200));
    topics_load_stop(&load);
    uint64_t found = topics_load_count(&rig);
    assert_true(found >= load.appended);
    assert_true(found <= load.appended + load.failed);
    topics_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_server_lost_is_told_though_others_took_its_place),
        cmocka_unit_test(what_is_away_is_the_store_s_to_tell),
    };
    const struct CMUnitTest of_a_cluster[] = {
        cmocka_unit_test(what_a_server_lost_is_told_though_others_took_its_place),
        cmocka_unit_test(a_replicated_append_waits_for_the_replica),
        cmocka_unit_test(a_slot_moves_under_load_and_back),
        cmocka_unit_test(what_no_master_has_is_not_there),
        cmocka_unit_test(a_deposed_master_is_not_believed_to_have_no_log),
        cmocka_unit_test(a_failover_loses_nothing_that_was_replicated),
    };
    return topics_rig_main_on("redis", "faults of topics", tests, sizeof tests / sizeof tests[0]) +
           topics_rig_main_on("redis-cluster", "faults of topics", of_a_cluster,
                              sizeof of_a_cluster / sizeof of_a_cluster[0]);
}
