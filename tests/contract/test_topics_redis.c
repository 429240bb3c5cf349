/* What topics_redis.h promises beyond the port, against a real server: memory that is out, sets that can't be read, keys that go by
 * themselves, closing. Where servers fail is in test_topics_redis_faults.c. */
#include "contract/topics_rig_redis.h"

#include "base/object.h"
#include "store/topics_redis.h"

#include <signal.h>
#include <stdio.h>

#define DAY TOPICS_RIG_DAY
#define TOPIC TOPICS_RIG_REDIS_TOPIC

/* ---- memory, keys ---- */

static void out_of_memory_refuses_what_takes_and_goes_on_with_what_gives(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    struct topics_subscribed subscribed;
    topics_rig_open(&rig, *state);
    const struct redis_server *server = topics_rig_redis_owner(&rig);
    struct position m1 = topics_rig_put(&rig, TOPIC, "m1");
    assert_int_equal(topics_rig_subscribe(&rig, "d", TOPIC, m1, &subscribed), 0);
    topics_rig_redis_order(server, "CONFIG SET maxmemory 1");
    assert_int_equal(topics_rig_send(&rig, TOPIC, "m2", DAY, &out), PETREL_E_FULL);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "other", m1, &subscribed), PETREL_E_FULL);
    assert_int_equal(topics_rig_interest(&rig, TOPIC, 1, 1, 1000, NULL), 0);
    assert_int_equal(topics_rig_set(&rig, "d").count, 1);
    assert_int_equal(topics_rig_check(&rig, "d", topics_rig_set(&rig, "d").version), PEER_SAME);
    assert_true(topics_rig_unsubscribe(&rig, "d", TOPIC) > 0);
    struct topics_rig_page page = topics_rig_read(&rig, TOPIC, (struct position){m1.epoch, m1.seq - 1});
    assert_string_equal(page.texts, "m1");
    topics_rig_redis_order(server, "CONFIG SET maxmemory 0");
    assert_int_equal(topics_rig_send(&rig, TOPIC, "m2", DAY, &out), 0);
    assert_false(out.duplicate);
    topics_rig_close(&rig);
}

/* What is no set, or none of this form, is not known: the others of a group are all the same. */
static void a_set_that_can_t_be_read_is_unknown(void **state)
{
    struct topics_rig rig;
    char key[TOPICS_RIG_REDIS_KEY_MAX], command[160];
    const char *devices[] = {"d", "e", "f"};
    const uint64_t versions[] = {7, 7, PEER_FOLLOWS_NOTHING};
    enum peer_verdict verdicts[3];
    topics_rig_open(&rig, *state);
    topics_rig_redis_set_key(key, "d");
    snprintf(command, sizeof command, "RPUSH %s what", key);
    topics_rig_redis_order(topics_rig_redis_owner(&rig), command);
    topics_rig_redis_set_key(key, "e");
    snprintf(command, sizeof command, "SET %s what-is-no-set-of-subscriptions", key);
    topics_rig_redis_order(topics_rig_redis_owner(&rig), command);
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
    char log[TOPICS_RIG_REDIS_KEY_MAX], facts[TOPICS_RIG_REDIS_KEY_MAX], set[TOPICS_RIG_REDIS_KEY_MAX];
    topics_rig_open(&rig, *state);
    const struct redis_server *server = topics_rig_redis_owner(&rig);
    topics_rig_redis_key(log, "t");
    topics_rig_redis_key(facts, "i");
    topics_rig_redis_set_key(set, "d");
    assert_int_equal(topics_rig_interest(&rig, TOPIC, 1, 1, 60000, NULL), 0);
    long lease = topics_rig_redis_number(server, "PTTL", facts);
    assert_true(lease > 0 && lease <= 61000);
    assert_int_equal(topics_rig_interest(&rig, TOPIC, 1, 1, 0, NULL), 0);
    assert_int_equal(topics_rig_redis_number(server, "EXISTS", facts), 0);
    topics_rig_put(&rig, TOPIC, "m1");
    long entries = topics_rig_redis_number(server, "PTTL", log), known = topics_rig_redis_number(server, "PTTL", facts);
    assert_true(entries > 0 && entries <= (long)(DAY + DAY / 64) + 1000);
    assert_true(known > 59 * (long)DAY && known <= 60 * (long)DAY + 1000);
    assert_int_equal(topics_rig_subscribe(&rig, "d", TOPIC, TOPICS_BEGIN, &subscribed), 0);
    assert_true(topics_rig_redis_number(server, "PTTL", set) > 29 * (long)DAY);
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
        struct redis_server *server = topics_rig_redis_owner(&rig);
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
        cmocka_unit_test(out_of_memory_refuses_what_takes_and_goes_on_with_what_gives),
        cmocka_unit_test(a_set_that_can_t_be_read_is_unknown),
        cmocka_unit_test(keys_have_a_time_to_live),
        cmocka_unit_test(closing_ends_what_is_under_way),
    };
    return topics_rig_main_on("redis", "topics on Redis", tests, sizeof tests / sizeof tests[0]);
}
