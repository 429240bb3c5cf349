/* What topics_redis.h promises beyond the port, against real servers: writes that a server lost, replicas, memory that is out, slots
 * that move, keys that go by themselves, bytes and CPU, closing. */
#include "contract/store_rig_redis.h"
#include "contract/topics_rig.h"

#include "base/hash.h"
#include "base/object.h"
#include "lib/until.h"
#include "store/topics_redis.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY TOPICS_RIG_DAY
#define TOPIC "news"
#define INFLIGHT 64

static struct redis_server *owner(const struct topics_rig *rig)
{
    struct store_rig_redis *redis = topics_rig_redis(rig);
    return redis->cluster ? redis_server_cluster_owner(&redis->nodes, store_rig_redis_slot(TOPIC)) : &redis->single;
}

/* One of the topic's two keys. */
static void name_key(char *key, size_t size, const char *kind, const char *topic)
{
    snprintf(key, size, "{b%u}%s:app:%s", hash_bucket(bytes_str("app"), bytes_str(topic)), kind, topic);
}

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

/* ---- appends, INFLIGHT at a time ---- */

struct load {
    struct topics_rig *rig;
    enum peer_durability durability;
    uint64_t most; /* begin no more than so many */
    _Atomic bool stop;
    uint64_t begun;
    uint64_t appended;
    uint64_t failed;
    uint64_t first; /* seqs of those appended */
    uint64_t last;
    uint32_t running;
    struct loops_tally done; /* appended ones */
    struct loops_tally ended;
    struct slot {
        struct topics_request request;
        struct load *load;
        char text[128];
    } slots[INFLIGHT];
};

static void begin(struct slot *slot);

static void on_appended(struct topics_request *request)
{
    struct slot *slot = container_of(request, struct slot, request);
    struct load *load = slot->load;
    buf_unref(request->in.append.message);
    if (request->status == 0 && !request->out.appended->duplicate) {
        uint64_t seq = request->out.appended->position.seq;
        load->first = load->appended == 0 || seq < load->first ? seq : load->first;
        load->last = seq > load->last ? seq : load->last;
        load->appended++;
        loops_tally_add(&load->done, 1);
    } else {
        load->failed++;
    }
    begin(slot);
}

static void begin(struct slot *slot)
{
    struct load *load = slot->load;
    if (load->stop || load->begun == load->most) {
        if (--load->running == 0)
            loops_tally_add(&load->ended, 1);
        return;
    }
    snprintf(slot->text, sizeof slot->text, "%0100llu", (unsigned long long)load->begun++);
    slot->request.in.append = topics_rig_message(load->rig, TOPIC, slot->text);
    slot->request.in.append.durability = load->durability;
    int err = topics_submit(load->rig->topics, TOPICS_APPEND, &slot->request, load->rig->loops.loops[0], on_appended);
    petrel_assert(err == 0);
}

static void begin_all(void *ctx)
{
    struct load *load = ctx;
    load->running = INFLIGHT;
    for (size_t i = 0; i < INFLIGHT; i++) {
        load->slots[i].load = load;
        begin(&load->slots[i]);
    }
}

static void start(struct load *load, struct topics_rig *rig, uint64_t most)
{
    load->rig = rig;
    load->most = most;
    loops_tally_init(&load->done);
    loops_tally_init(&load->ended);
    loops_run_on(&rig->loops, 0, begin_all, load);
}

static void join(struct load *load)
{
    assert_true(loops_tally_wait(&load->ended, 1));
    loops_tally_destroy(&load->done);
    loops_tally_destroy(&load->ended);
}

static void stop(struct load *load)
{
    load->stop = true;
    join(load);
}

static bool wait_for_more(struct load *load, uint64_t more)
{
    return loops_tally_wait(&load->done, loops_tally_get(&load->done) + more);
}

static void open_wide(struct topics_rig *rig, const void *subject)
{
    struct topics_limits limits = topics_limits_default();
    limits.cap_entries = 1 << 20;
    limits.cap_bytes = 1 << 28;
    limits.recent_ids = 1 << 20;
    topics_rig_open_with(rig, subject, &limits, 1);
}

/* Entries of the log, each a text of its own. */
static uint64_t count_entries(struct topics_rig *rig)
{
    uint64_t count = 0, upto = 0;
    struct position from = TOPICS_BEGIN;
    struct topics_rig_page page;
    do {
        assert_int_equal(topics_rig_fetch(rig, TOPIC, from, 8, PEER_PAGE_BYTES, &page), 0);
        count += page.page.count;
        assert_true(page.page.upto > upto);
        upto = page.page.upto;
        from = (struct position){page.page.position.epoch, upto};
    } while (upto < page.page.head);
    return count;
}

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
    struct redis_server *master = owner(&rig);
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
    const struct redis_server *now = owner(watched->rig);
    return now != NULL && now != watched->old;
}

/* The master has it at once; the answer waits for the replica. */
static void a_replicated_append_waits_for_the_replica(void **state)
{
    struct topics_rig rig;
    static struct load load;
    memset(&load, 0, sizeof load);
    load.durability = PEER_DURABILITY_REPLICATED;
    topics_rig_open(&rig, *state);
    struct store_rig_redis *redis = topics_rig_redis(&rig);
    struct redis_server *replica = owner(&rig) + redis->nodes.count / 2;
    rig.limits.cap_bytes = 1 << 20;
    topics_rig_reopen(&rig);
    redis_server_signal(replica, SIGSTOP);
    start(&load, &rig, 1);
    assert_true(until(has_an_entry, &rig, 10000));
    assert_int_equal(loops_tally_get(&load.ended), 0);
    redis_server_signal(replica, SIGCONT);
    join(&load);
    /* Whatever was asked again in between, it stands there once. */
    assert_int_equal(load.appended, 1);
    assert_int_equal(count_entries(&rig), 1);
    topics_rig_close(&rig);
}

static void a_slot_moves_under_load_and_back(void **state)
{
    struct topics_rig rig;
    static struct load load;
    memset(&load, 0, sizeof load);
    open_wide(&rig, *state);
    struct redis_server_cluster *nodes = &topics_rig_redis(&rig)->nodes;
    struct redis_server *from = owner(&rig);
    struct redis_server *to = from == &nodes->nodes[0] ? &nodes->nodes[1] : &nodes->nodes[0];
    start(&load, &rig, UINT64_MAX);
    assert_true(wait_for_more(&load, 500));
    assert_true(redis_server_cluster_move(nodes, store_rig_redis_slot(TOPIC), to));
    assert_true(wait_for_more(&load, 500));
    assert_true(redis_server_cluster_move(nodes, store_rig_redis_slot(TOPIC), from));
    assert_true(wait_for_more(&load, 500));
    stop(&load);
    assert_int_equal(load.failed, 0);
    assert_int_equal(load.last - load.first + 1, load.appended);
    assert_int_equal(count_entries(&rig), load.appended);
    topics_rig_close(&rig);
}

/* A master dies under load and comes back as the replica of who took over. What was answered is there; of what was not, some may be. */
static void a_failover_loses_nothing_that_was_replicated(void **state)
{
    struct topics_rig rig;
    static struct load load;
    memset(&load, 0, sizeof load);
    load.durability = PEER_DURABILITY_REPLICATED;
    open_wide(&rig, *state);
    struct watched watched = {&rig, owner(&rig)};
    struct redis_server *old = owner(&rig);
    start(&load, &rig, UINT64_MAX);
    assert_true(wait_for_more(&load, 200));
    redis_server_kill(old);
    assert_true(until(has_taken_over, &watched, 30000));
    assert_true(redis_server_restart(old));
    assert_true(wait_for_more(&load, 200));
    stop(&load);
    uint64_t found = count_entries(&rig);
    assert_true(found >= load.appended);
    assert_true(found <= load.appended + load.failed);
    topics_rig_close(&rig);
}

/* ---- memory ---- */

static void out_of_memory_refuses_what_takes_and_goes_on_with_what_gives(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    struct topics_subscribed subscribed;
    topics_rig_open(&rig, *state);
    const struct redis_server *server = owner(&rig);
    struct position m1 = topics_rig_put(&rig, TOPIC, "m1");
    assert_int_equal(topics_rig_subscribe(&rig, "d", TOPIC, m1, &subscribed), 0);
    order(server, "CONFIG SET maxmemory 1");
    assert_int_equal(topics_rig_send(&rig, TOPIC, "m2", DAY, &out), PETREL_E_FULL);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "other", m1, &subscribed), PETREL_E_FULL);
    assert_int_equal(topics_rig_interest(&rig, TOPIC, 1, 1, 1000, NULL), 0);
    assert_int_equal(topics_rig_set(&rig, "d").count, 1);
    assert_int_equal(topics_rig_check(&rig, "d", topics_rig_set(&rig, "d").version), PEER_SAME);
    assert_true(topics_rig_unsubscribe(&rig, "d", TOPIC) > 0);
    struct topics_rig_page page = topics_rig_read(&rig, TOPIC, (struct position){m1.epoch, m1.seq - 1});
    assert_string_equal(page.texts, "m1");
    order(server, "CONFIG SET maxmemory 0");
    assert_int_equal(topics_rig_send(&rig, TOPIC, "m2", DAY, &out), 0);
    assert_false(out.duplicate);
    topics_rig_close(&rig);
}

/* The store beside it counts its servers; topics would count them once more. */
static void what_is_away_is_the_store_s_to_tell(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    topics_rig_open(&rig, *state);
    struct redis_server *server = owner(&rig);
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

/* What is no set, or none of this form, is not known: the others of a group are all the same. */
static void a_set_that_can_t_be_read_is_unknown(void **state)
{
    struct topics_rig rig;
    char key[64], command[160];
    const char *devices[] = {"d", "e", "f"};
    const uint64_t versions[] = {7, 7, PEER_FOLLOWS_NOTHING};
    enum peer_verdict verdicts[3];
    topics_rig_open(&rig, *state);
    snprintf(key, sizeof key, "{b%u}s:app:1:u:", hash_bucket(bytes_str("app"), bytes_str("u")));
    snprintf(command, sizeof command, "RPUSH %sd what", key);
    order(owner(&rig), command);
    snprintf(command, sizeof command, "SET %se what-is-no-set-of-subscriptions", key);
    order(owner(&rig), command);
    assert_int_equal(topics_rig_check_all(&rig, devices, versions, 3, verdicts), 0);
    assert_int_equal(verdicts[0], PEER_UNKNOWN);
    assert_int_equal(verdicts[1], PEER_UNKNOWN);
    assert_int_equal(verdicts[2], PEER_SAME);
    topics_rig_close(&rig);
}

/* Redis itself forgets what nobody asks for again, so that names which devices choose do not pile up. */
static void keys_have_a_time_to_live(void **state)
{
    struct topics_rig rig;
    struct topics_subscribed subscribed;
    char log[64], facts[64], set[64];
    topics_rig_open(&rig, *state);
    const struct redis_server *server = owner(&rig);
    name_key(log, sizeof log, "t", TOPIC);
    name_key(facts, sizeof facts, "i", TOPIC);
    snprintf(set, sizeof set, "{b%u}s:app:1:u:d", hash_bucket(bytes_str("app"), bytes_str("u")));
    assert_int_equal(topics_rig_interest(&rig, TOPIC, 1, 1, 60000, NULL), 0);
    long lease = ask_number(server, "PTTL", facts);
    assert_true(lease > 0 && lease <= 61000);
    assert_int_equal(topics_rig_interest(&rig, TOPIC, 1, 1, 0, NULL), 0);
    assert_int_equal(ask_number(server, "EXISTS", facts), 0);
    topics_rig_put(&rig, TOPIC, "m1");
    long entries = ask_number(server, "PTTL", log), known = ask_number(server, "PTTL", facts);
    assert_true(entries > 0 && entries <= (long)(DAY + DAY / 64) + 1000);
    assert_true(known > 59 * (long)DAY && known <= 60 * (long)DAY + 1000);
    assert_int_equal(topics_rig_subscribe(&rig, "d", TOPIC, TOPICS_BEGIN, &subscribed), 0);
    assert_true(ask_number(server, "PTTL", set) > 29 * (long)DAY);
    topics_rig_close(&rig);
}

static void forget_recent(struct topics_rig *rig)
{
    rig->ms += rig->limits.recent_ms;
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(topics_rig_interest(rig, TOPIC, 1, 1, 60000, NULL), 0);
}

static void topics_and_subscriptions_take_so_many_bytes(void **state)
{
    struct topics_rig rig;
    struct topics_subscribed subscribed;
    char log[64], facts[64], set[64], name[32], text[101];
    open_wide(&rig, *state);
    const struct redis_server *server = owner(&rig);
    name_key(log, sizeof log, "t", TOPIC);
    name_key(facts, sizeof facts, "i", TOPIC);
    snprintf(set, sizeof set, "{b%u}s:app:1:u:d", hash_bucket(bytes_str("app"), bytes_str("u")));
    assert_int_equal(topics_rig_interest(&rig, TOPIC, 1, 1, 60000, NULL), 0);
    print_message("bytes of a topic without an entry, one node interested: %ld\n",
                  ask_number(server, "MEMORY USAGE", facts));
    snprintf(text, sizeof text, "%0100d", 0);
    topics_rig_put(&rig, TOPIC, text);
    forget_recent(&rig);
    print_message("with a first entry of 100: %ld + %ld\n", ask_number(server, "MEMORY USAGE", facts),
                  ask_number(server, "MEMORY USAGE", log));
    static struct load load;
    memset(&load, 0, sizeof load);
    start(&load, &rig, 1000);
    join(&load);
    assert_int_equal(load.appended, 1000);
    long busy = ask_number(server, "MEMORY USAGE", facts), entries = ask_number(server, "MEMORY USAGE", log);
    print_message("with 1,000 entries of 100 within 30 s: %ld + %ld\n", busy, entries);
    assert_true(entries < 1001 * 200);
    long one = 0;
    for (int i = 0; i < TOPICS_PER_DEVICE_MAX; i++) {
        snprintf(name, sizeof name, "topic-%02d", i);
        assert_int_equal(topics_rig_subscribe(&rig, "d", name, TOPICS_BEGIN, &subscribed), 0);
        one = i == 0 ? ask_number(server, "MEMORY USAGE", set) : one;
    }
    long all = ask_number(server, "MEMORY USAGE", set);
    print_message("bytes of a device's subscriptions: %ld with one, %ld with %d\n", one, all, TOPICS_PER_DEVICE_MAX);
    assert_true(one < 200);
    topics_rig_close(&rig);
}

/* CPU of a process so far, in microseconds. */
static double cpu_us(pid_t pid)
{
    char path[64], line[1024] = "";
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    const char *rest = strrchr(line, ')');
    assert_non_null(rest);
    assert_int_equal(sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

/* Redis's CPU for one of so many appends of 100 bytes. */
static double measure_appends(struct topics_rig *rig, uint64_t count)
{
    static struct load load;
    memset(&load, 0, sizeof load);
    const struct redis_server *server = owner(rig);
    double before = cpu_us(server->pid);
    start(&load, rig, count);
    join(&load);
    assert_int_equal(load.appended, count);
    return (cpu_us(server->pid) - before) / (double)count;
}

/* Measured, not judged: a machine may be busy with something else. */
static void an_append_takes_so_much_cpu(void **state)
{
    struct topics_rig rig;
    open_wide(&rig, *state);
    for (uint32_t node = 1; node <= 5; node++)
        assert_int_equal(topics_rig_interest(&rig, TOPIC, node, 1, 60000, NULL), 0);
    print_message("Redis's CPU for an append of 100 bytes, 5 nodes interested: %.1f us\n",
                  measure_appends(&rig, 20000));
    topics_rig_close(&rig);
    struct topics_limits limits = topics_limits_default();
    limits.recent_ids = 1 << 20;
    topics_rig_open_with(&rig, *state, &limits, 1);
    measure_appends(&rig, limits.cap_entries);
    /* The same ids again would be duplicates. */
    rig.ms += limits.recent_ms;
    print_message("where the log is at its cap, and drops one for each: %.1f us\n", measure_appends(&rig, 20000));
    double before = cpu_us(owner(&rig)->pid);
    for (int i = 0; i < 500; i++)
        topics_rig_read(&rig, TOPIC, TOPICS_BEGIN);
    print_message("for a page of %d: %.1f us\n", PEER_PAGE_MAX, (cpu_us(owner(&rig)->pid) - before) / 500);
    topics_rig_close(&rig);
}

/* Groups of as many as a request holds; a quarter of the devices has a set. */
static void a_check_takes_so_much_cpu(void **state)
{
    enum { REQUESTS = 400 }; /* a tick of the clock is some thousand */
    static const char *devices[PEER_CHECKS_MAX];
    static char names[PEER_CHECKS_MAX][16];
    static uint64_t versions[PEER_CHECKS_MAX];
    static enum peer_verdict verdicts[PEER_CHECKS_MAX];
    struct topics_rig rig;
    struct topics_subscribed out;
    topics_rig_open(&rig, *state);
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "d%u", i);
        devices[i] = names[i];
        versions[i] = PEER_FOLLOWS_NOTHING;
        if (i % 4 != 0)
            continue;
        assert_int_equal(topics_rig_subscribe(&rig, names[i], TOPIC, TOPICS_BEGIN, &out), 0);
        versions[i] = out.version;
    }
    const double before = cpu_us(owner(&rig)->pid);
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(topics_rig_check_all(&rig, devices, versions, PEER_CHECKS_MAX, verdicts), 0);
        for (uint32_t k = 0; k < PEER_CHECKS_MAX; k++)
            assert_int_equal(verdicts[k], PEER_SAME);
    }
    print_message("Redis's CPU for a check of a device's subscriptions: %.2f us\n",
                  (cpu_us(owner(&rig)->pid) - before) / REQUESTS / PEER_CHECKS_MAX);
    topics_rig_close(&rig);
}

/* ---- closing ---- */

static void leave(void *ctx)
{
    struct topics_rig *rig = ctx;
    struct topics_request request = {.in.fetch = {.app = bytes_str("app"), .topic = bytes_str(TOPIC)}};
    topics_redis_leave(rig->topics, rig->loops.loops[0]);
    topics_redis_leave(rig->topics, rig->loops.loops[0]);
    petrel_assert(topics_submit(rig->topics, TOPICS_FETCH, &request, rig->loops.loops[0], NULL) == PETREL_E_CLOSING);
}

struct fetching {
    struct topics_request request;
    struct topics_rig *rig;
    struct loops_tally done;
};

static void on_fetched(struct topics_request *request)
{
    loops_tally_add(&container_of(request, struct fetching, request)->done, 1);
}

static void begin_fetch(void *ctx)
{
    struct fetching *fetching = ctx;
    fetching->request.in.fetch = (struct topics_fetch){.app = bytes_str("app"), .topic = bytes_str(TOPIC)};
    int err = topics_submit(fetching->rig->topics, TOPICS_FETCH, &fetching->request, fetching->rig->loops.loops[0],
                            on_fetched);
    petrel_assert(err == 0);
}

static void closing_ends_what_is_under_way(void **state)
{
    for (int by_loop = 0; by_loop < 2; by_loop++) {
        struct topics_rig rig;
        struct fetching fetching = {.rig = &rig};
        topics_rig_open(&rig, *state);
        struct redis_server *server = owner(&rig);
        topics_rig_put(&rig, TOPIC, "m1");
        redis_server_signal(server, SIGSTOP);
        loops_tally_init(&fetching.done);
        loops_run_on(&rig.loops, 0, begin_fetch, &fetching);
        if (by_loop != 0)
            loops_run_on(&rig.loops, 0, leave, &rig);
        topics_close(&rig.topics);
        assert_true(loops_tally_wait(&fetching.done, 1));
        assert_int_equal(fetching.request.status, PETREL_E_CLOSING);
        loops_tally_destroy(&fetching.done);
        redis_server_signal(server, SIGCONT);
        topics_rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_server_lost_is_told_though_others_took_its_place),
        cmocka_unit_test(out_of_memory_refuses_what_takes_and_goes_on_with_what_gives),
        cmocka_unit_test(what_is_away_is_the_store_s_to_tell),
        cmocka_unit_test(a_set_that_can_t_be_read_is_unknown),
        cmocka_unit_test(keys_have_a_time_to_live),
        cmocka_unit_test(topics_and_subscriptions_take_so_many_bytes),
        cmocka_unit_test(an_append_takes_so_much_cpu),
        cmocka_unit_test(a_check_takes_so_much_cpu),
        cmocka_unit_test(closing_ends_what_is_under_way),
    };
    const struct CMUnitTest of_a_cluster[] = {
        cmocka_unit_test(what_a_server_lost_is_told_though_others_took_its_place),
        cmocka_unit_test(a_replicated_append_waits_for_the_replica),
        cmocka_unit_test(a_slot_moves_under_load_and_back),
        cmocka_unit_test(a_failover_loses_nothing_that_was_replicated),
    };
    return topics_rig_main_on("redis", "topics on Redis", tests, sizeof tests / sizeof tests[0]) +
           topics_rig_main_on("redis-cluster", "topics on Redis", of_a_cluster,
                              sizeof of_a_cluster / sizeof of_a_cluster[0]);
}
