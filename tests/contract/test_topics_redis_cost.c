/* What topics cost on a real Redis: bytes of its memory, which are bounded, and its CPU, which is measured and not judged. */
#include "contract/topics_load.h"

#include <stdio.h>
#include <unistd.h>

#define TOPIC TOPICS_RIG_REDIS_TOPIC

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
    char log[TOPICS_RIG_REDIS_KEY_MAX], facts[TOPICS_RIG_REDIS_KEY_MAX], set[TOPICS_RIG_REDIS_KEY_MAX], name[32],
        text[101];
    topics_load_open_wide(&rig, *state);
    const struct redis_server *server = topics_rig_redis_owner(&rig);
    topics_rig_redis_key(log, "t");
    topics_rig_redis_key(facts, "i");
    topics_rig_redis_set_key(set, "d");
    assert_int_equal(topics_rig_interest(&rig, TOPIC, 1, 1, 60000, NULL), 0);
    print_message("bytes of a topic without an entry, one node interested: %ld\n",
                  topics_rig_redis_number(server, "MEMORY USAGE", facts));
    snprintf(text, sizeof text, "%0100d", 0);
    topics_rig_put(&rig, TOPIC, text);
    forget_recent(&rig);
    print_message("with a first entry of 100: %ld + %ld\n", topics_rig_redis_number(server, "MEMORY USAGE", facts),
                  topics_rig_redis_number(server, "MEMORY USAGE", log));
    static struct topics_load load;
    memset(&load, 0, sizeof load);
    topics_load_start(&load, &rig, 1000);
    topics_load_join(&load);
    assert_int_equal(load.appended, 1000);
    long busy = topics_rig_redis_number(server, "MEMORY USAGE", facts),
         entries = topics_rig_redis_number(server, "MEMORY USAGE", log);
    print_message("with 1,000 entries of 100 within 30 s: %ld + %ld\n", busy, entries);
    assert_true(entries < 1001 * 200);
    long one = 0;
    for (int i = 0; i < TOPICS_PER_DEVICE_MAX; i++) {
        snprintf(name, sizeof name, "topic-%02d", i);
        assert_int_equal(topics_rig_subscribe(&rig, "d", name, TOPICS_BEGIN, &subscribed), 0);
        one = i == 0 ? topics_rig_redis_number(server, "MEMORY USAGE", set) : one;
    }
    long all = topics_rig_redis_number(server, "MEMORY USAGE", set);
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
    static struct topics_load load;
    memset(&load, 0, sizeof load);
    const struct redis_server *server = topics_rig_redis_owner(rig);
    double before = cpu_us(server->pid);
    topics_load_start(&load, rig, count);
    topics_load_join(&load);
    assert_int_equal(load.appended, count);
    return (cpu_us(server->pid) - before) / (double)count;
}

/* Measured, not judged: a machine may be busy with something else. */
static void an_append_takes_so_much_cpu(void **state)
{
    struct topics_rig rig;
    topics_load_open_wide(&rig, *state);
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
    double before = cpu_us(topics_rig_redis_owner(&rig)->pid);
    for (int i = 0; i < 500; i++)
        topics_rig_read(&rig, TOPIC, TOPICS_BEGIN);
    print_message("for a page of %d: %.1f us\n", PEER_PAGE_MAX,
                  (cpu_us(topics_rig_redis_owner(&rig)->pid) - before) / 500);
    topics_rig_close(&rig);
}

/* Groups of as many as a request holds; a quarter of the devices has a set. */
static void a_check_takes_so_much_cpu(void **state)
{
    enum { REQUESTS = 400 }; /* a tick of the clock is some thousand */
    static struct topics_rig_group group;
    struct topics_rig rig;
    topics_rig_open(&rig, *state);
    topics_rig_group_open(&rig, &group, TOPIC, 4);
    const double before = cpu_us(topics_rig_redis_owner(&rig)->pid);
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(topics_rig_group_check(&rig, &group, PEER_CHECKS_MAX), 0);
        for (uint32_t k = 0; k < PEER_CHECKS_MAX; k++)
            assert_int_equal(group.verdicts[k], PEER_SAME);
    }
    print_message("Redis's CPU for a check of a device's subscriptions: %.2f us\n",
                  (cpu_us(topics_rig_redis_owner(&rig)->pid) - before) / REQUESTS / PEER_CHECKS_MAX);
    topics_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_and_subscriptions_take_so_many_bytes),
        cmocka_unit_test(an_append_takes_so_much_cpu),
        cmocka_unit_test(a_check_takes_so_much_cpu),
    };
    return topics_rig_main_on("redis", "cost of topics", tests, sizeof tests / sizeof tests[0]);
}
