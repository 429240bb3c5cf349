/* The versions of devices' sets, held against a list of the same. */
#include "base/rng.h"
#include "store/topics_versions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DEVICES 3000
#define STEPS 60000

struct model {
    uint64_t version[DEVICES];
};

static uint64_t hash_of(const struct topics_versions *versions, uint32_t device)
{
    char name[16];
    (void)snprintf(name, sizeof name, "d%u", device);
    return topics_versions_hash(versions, &(struct peer_target){bytes_str("demo"), bytes_str("ada"), bytes_str(name)});
}

static void assert_like(const struct topics_versions *versions, const struct model *model)
{
    size_t count = 0;
    for (uint32_t i = 0; i < DEVICES; i++) {
        assert_int_equal(topics_versions_get(versions, hash_of(versions, i)), model->version[i]);
        count += model->version[i] != 0;
    }
    assert_int_equal(versions->count, count);
}

static void what_was_set_is_there(void **state)
{
    (void)state;
    static struct model model, kept;
    struct topics_versions versions;
    struct rng rng;
    rng_seed(&rng, 7);
    topics_versions_init(&versions, 99);
    assert_int_equal(topics_versions_get(&versions, hash_of(&versions, 1)), 0);
    topics_versions_set(&versions, hash_of(&versions, 1), 0);
    for (uint64_t step = 1; step <= STEPS; step++) {
        /* It grows, is full of gaps, and shrinks again. */
        const bool mostly_in = step / 10000 % 2 == 0;
        const uint32_t device = (uint32_t)rng_below(&rng, DEVICES);
        const uint64_t version = rng_below(&rng, 4) == 0 ? (mostly_in ? 0 : step) : (mostly_in ? step : 0);
        topics_versions_set(&versions, hash_of(&versions, device), version);
        model.version[device] = version;
        if (rng_below(&rng, 20) != 0)
            continue;
        if (rng_below(&rng, 2) == 0) {
            topics_versions_keep(&versions);
            kept = model;
        } else {
            topics_versions_undo(&versions);
            model = kept;
        }
        if (step % 100 == 0)
            assert_like(&versions, &model);
    }
    assert_like(&versions, &model);
    topics_versions_undo(&versions);
    assert_like(&versions, &kept);
    assert_int_equal(versions.changes.len, 0);
    topics_versions_reset(&versions);
    assert_int_equal(topics_versions_get(&versions, hash_of(&versions, 1)), 0);
}

/* The names are apart: what one ends with another does not begin with. */
static void names_are_told_apart(void **state)
{
    (void)state;
    struct topics_versions versions;
    topics_versions_init(&versions, 1);
    const struct peer_target one = {bytes_str("a"), bytes_str("xy"), bytes_str("d")};
    const struct peer_target other = {bytes_str("ax"), bytes_str("y"), bytes_str("d")};
    const struct peer_target third = {bytes_str("a"), bytes_str("x"), bytes_str("yd")};
    const uint64_t hash = topics_versions_hash(&versions, &one);
    assert_true(hash != topics_versions_hash(&versions, &other));
    assert_true(hash != topics_versions_hash(&versions, &third));
    topics_versions_reset(&versions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_set_is_there),
        cmocka_unit_test(names_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
