#include "petrel/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct petrel_state some_state(uint32_t ids)
{
    struct petrel_state state = {.epoch = 0xfedcba9876543210, .seq = 77, .attempt = INT64_MAX, .recent_count = ids};
    for (uint32_t i = 0; i < ids; i++)
        memset(state.recent[i], (int)i, sizeof state.recent[i]);
    return state;
}

static void what_is_packed_comes_back(void **ctx)
{
    (void)ctx;
    for (uint32_t ids = 0; ids <= PETREL_RECENT_IDS; ids++) {
        struct petrel_state in = some_state(ids), out;
        uint8_t packed[PETREL_STATE_BYTES];
        size_t len = petrel_state_pack(&in, packed);
        assert_int_equal(len, 48 + 16 * ids);
        memset(&out, 0xaa, sizeof out);
        assert_int_equal(petrel_state_unpack(packed, len, &out), 0);
        assert_true(out.epoch == in.epoch && out.seq == in.seq && out.attempt == in.attempt);
        assert_int_equal(out.recent_count, ids);
        assert_memory_equal(out.recent, in.recent, sizeof in.recent);
    }
}

static void topics_come_back(void **ctx)
{
    (void)ctx;
    for (uint32_t topics = 0; topics <= PETREL_TOPICS; topics++) {
        struct petrel_state in = some_state(7), out;
        uint8_t packed[PETREL_STATE_BYTES];
        in.topics_count = topics;
        for (uint32_t i = 0; i < topics; i++) {
            memset(in.topics[i].name, 'a' + (int)(i % 26), 1 + i % PETREL_TOPIC_NAME);
            in.topics[i].epoch = 1 + i;
            in.topics[i].seq = UINT64_MAX - i;
        }
        size_t len = petrel_state_pack(&in, packed);
        assert_int_equal(len, 48 + 16 * 7 + 80 * topics);
        assert_int_equal(petrel_state_unpack(packed, len, &out), 0);
        assert_int_equal(out.topics_count, topics);
        assert_memory_equal(out.topics, in.topics, sizeof in.topics);
    }
}

/* Each in memory of its own length, so that reading beyond it is seen. */
static int unpack_copy(const uint8_t *packed, size_t len, struct petrel_state *out)
{
    uint8_t *copy = malloc(len + 1);
    assert_non_null(copy);
    memmove(copy + 1, packed, len);
    int rc = petrel_state_unpack(copy + 1, len, out);
    free(copy);
    return rc;
}

static void damage_is_seen(void **ctx)
{
    (void)ctx;
    struct petrel_state in = some_state(3), out = some_state(1);
    in.topics_count = 1;
    in.topics[0] = (struct petrel_topic){.name = "news", .epoch = 5, .seq = 6};
    const struct petrel_state before = out;
    uint8_t packed[PETREL_STATE_BYTES + 16] = {0};
    size_t len = petrel_state_pack(&in, packed);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(unpack_copy(packed, cut, &out), -1);
    assert_int_equal(unpack_copy(packed, len + 16, &out), -1);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(unpack_copy(packed, len, &out), -1);
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_memory_equal(&out, &before, sizeof out);
    assert_int_equal(unpack_copy(packed, len, &out), 0);
}

static void a_seq_without_an_epoch_is_none(void **ctx)
{
    (void)ctx;
    struct petrel_state in = {.seq = 1}, out;
    uint8_t packed[PETREL_STATE_BYTES];
    size_t len = petrel_state_pack(&in, packed);
    assert_int_equal(petrel_state_unpack(packed, len, &out), -1);
}

static void version_is_the_projects(void **ctx)
{
    (void)ctx;
    assert_string_equal(petrel_version(), "0.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_back),
        cmocka_unit_test(topics_come_back),
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(a_seq_without_an_epoch_is_none),
        cmocka_unit_test(version_is_the_projects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
