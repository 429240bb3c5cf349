#include "base/object.h"
#include "discovery/lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DRAWS 20000

/* A view of session servers with so much room each, all of the same budget. */
static struct discovery_view *view_of(const uint64_t *room, size_t count)
{
    struct discovery_view *view = object_zalloc(sizeof *view + count * sizeof view->nodes[0]);
    atomic_init(&view->refs, 1);
    view->count = count;
    for (size_t i = 0; i < count; i++) {
        struct discovery_node *node = &view->nodes[i];
        node->number = (uint32_t)i;
        node->roles = DISCOVERY_SESSION;
        node->max_sessions = 1000000;
        node->sessions = 1000000 - room[i];
        snprintf(node->session_address, sizeof node->session_address, "node-%zu:7400", i);
    }
    return view;
}

static void only_servers_that_can_take_a_session_are_listed(void **state)
{
    (void)state;
    const uint64_t room[] = {10, 10, 10, 0, 10, 10};
    struct discovery_view *view = view_of(room, 6);
    view->nodes[0].state = DISCOVERY_DRAINING;
    view->nodes[1].roles = DISCOVERY_MESSAGE | DISCOVERY_API;
    view->nodes[2].session_address[0] = '\0';
    view->nodes[4].sessions = view->nodes[4].max_sessions + 5;
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 50; i++) {
        struct lookup_server out[LOOKUP_MAX];
        assert_int_equal(lookup_rank(view, 0, &rng, out), 1);
        assert_ptr_equal(out[0].node, &view->nodes[5]);
        assert_int_equal(out[0].weight, 1000);
    }
    discovery_view_unref(view);
}

static void nobody_to_list_is_an_empty_list(void **state)
{
    (void)state;
    const uint64_t room[] = {0, 0};
    struct discovery_view *none = view_of(room, 0);
    struct discovery_view *full = view_of(room, 2);
    struct rng rng;
    rng_seed(&rng, 1);
    struct lookup_server out[LOOKUP_MAX];
    assert_int_equal(lookup_rank(none, 0, &rng, out), 0);
    assert_int_equal(lookup_rank(full, 0, &rng, out), 0);
    discovery_view_unref(none);
    discovery_view_unref(full);
}

static void at_most_five_are_listed_and_none_twice(void **state)
{
    (void)state;
    const uint64_t room[] = {5, 1, 900000, 3, 70, 2, 44, 8, 1};
    struct discovery_view *view = view_of(room, 9);
    struct rng rng;
    rng_seed(&rng, 2);
    for (int i = 0; i < 500; i++) {
        struct lookup_server out[LOOKUP_MAX];
        uint32_t seen = 0;
        assert_int_equal(lookup_rank(view, 0, &rng, out), LOOKUP_MAX);
        for (size_t j = 0; j < LOOKUP_MAX; j++) {
            const uint32_t bit = 1U << out[j].node->number;
            assert_int_equal(seen & bit, 0);
            seen |= bit;
            assert_in_range(out[j].weight, 1, 1000);
        }
    }
    discovery_view_unref(view);
}

static void all_are_listed_when_they_are_few(void **state)
{
    (void)state;
    const uint64_t room[] = {1000, 1, 1};
    struct discovery_view *view = view_of(room, 3);
    struct rng rng;
    rng_seed(&rng, 3);
    struct lookup_server out[LOOKUP_MAX];
    assert_int_equal(lookup_rank(view, 0, &rng, out), 3);
    discovery_view_unref(view);
}

/* First places against the shares of room: chi-square with 4 degrees of freedom, of which 23.5 is passed once in 10,000 seeds.
 * The seed is fixed, so the result is as well. */
static void first_places_spread_as_the_room_is_spread(void **state)
{
    (void)state;
    const uint64_t room[] = {400000, 300000, 200000, 90000, 10000};
    struct discovery_view *view = view_of(room, 5);
    struct rng rng;
    rng_seed(&rng, 4);
    uint32_t first[5] = {0};
    for (int i = 0; i < DRAWS; i++) {
        struct lookup_server out[LOOKUP_MAX];
        assert_int_equal(lookup_rank(view, 0, &rng, out), 5);
        first[out[0].node->number]++;
    }
    double chi_square = 0;
    for (size_t i = 0; i < 5; i++) {
        const double expected = (double)room[i] / 1000000.0 * DRAWS;
        const double off = (double)first[i] - expected;
        chi_square += off * off / expected;
    }
    assert_true(chi_square < 23.5);
    discovery_view_unref(view);
}

/* The second place is drawn among those left, by the same rule: with room 2:1:1 and the first gone it is one to one. */
static void second_places_are_drawn_among_those_left(void **state)
{
    (void)state;
    const uint64_t room[] = {2000, 1000, 1000};
    struct discovery_view *view = view_of(room, 3);
    struct rng rng;
    rng_seed(&rng, 5);
    int first = 0, second[3] = {0};
    for (int i = 0; i < DRAWS; i++) {
        struct lookup_server out[LOOKUP_MAX];
        assert_int_equal(lookup_rank(view, 0, &rng, out), 3);
        if (out[0].node->number != 0)
            continue;
        first++;
        second[out[1].node->number]++;
    }
    assert_in_range(first, DRAWS * 48 / 100, DRAWS * 52 / 100);
    assert_in_range(second[1], first * 47 / 100, first * 53 / 100);
    assert_int_equal(second[1] + second[2], first);
    discovery_view_unref(view);
}

static void weights_are_shares_of_the_free_room(void **state)
{
    (void)state;
    const uint64_t room[] = {600000, 300000, 99999, 1};
    const uint32_t share[] = {600, 300, 99, 1};
    struct discovery_view *view = view_of(room, 4);
    struct rng rng;
    rng_seed(&rng, 6);
    struct lookup_server out[LOOKUP_MAX];
    assert_int_equal(lookup_rank(view, 0, &rng, out), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(out[i].weight, share[out[i].node->number]);
    discovery_view_unref(view);
}

static void a_budget_beyond_reason_does_not_break_the_sums(void **state)
{
    (void)state;
    const uint64_t room[] = {1, 1, 1};
    struct discovery_view *view = view_of(room, 3);
    for (size_t i = 0; i < 3; i++) {
        view->nodes[i].sessions = 0;
        view->nodes[i].max_sessions = UINT64_MAX;
    }
    struct rng rng;
    rng_seed(&rng, 7);
    struct lookup_server out[LOOKUP_MAX];
    assert_int_equal(lookup_rank(view, 0, &rng, out), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(out[i].weight, 333);
    discovery_view_unref(view);
}

/* ---- when ---- */

static void slots_are_given_out_one_after_the_other(void **state)
{
    (void)state;
    struct lookup_pacer *pacer = lookup_pacer_new();
    const struct discovery_node node = {.number = 1, .connects_per_second = 100};
    const struct discovery_node other = {.number = 2, .connects_per_second = 100};
    const struct discovery_node open = {.number = 3};
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(lookup_pacer_take(pacer, &node, 1, 5000), i * 10);
        assert_int_equal(lookup_pacer_take(pacer, &open, 1, 5000), 0); /* takes as many as come */
    }
    assert_int_equal(lookup_pacer_take(pacer, &other, 1, 5000), 0);
    /* Time passes, slots come nearer; those that nobody took are gone. */
    assert_int_equal(lookup_pacer_take(pacer, &node, 1, 5300), 200);
    assert_int_equal(lookup_pacer_take(pacer, &node, 1, 9000), 0);
    assert_int_equal(lookup_pacer_take(pacer, &node, 1, 9000), 10);
    lookup_pacer_free(&pacer);
    lookup_pacer_free(&pacer);
}

static void pacers_share_a_server(void **state)
{
    (void)state;
    struct lookup_pacer *pacer = lookup_pacer_new();
    const struct discovery_node node = {.number = 1, .connects_per_second = 3};
    assert_int_equal(lookup_pacer_take(pacer, &node, 6, 0), 0);
    assert_int_equal(lookup_pacer_take(pacer, &node, 6, 0), 2000);
    assert_int_equal(lookup_pacer_take(pacer, &node, 1, 0), 4000); /* the others have gone */
    assert_int_equal(lookup_pacer_take(pacer, &node, 0, 0), 4333);
    assert_int_equal(lookup_pacer_take(pacer, &node, 1, 0), 4666);
    lookup_pacer_free(&pacer);
}

/* What comes in a second at a server is never more than it admits, however many ask: until a minute's slots are given out. */
static void a_storm_is_spread_at_the_rate_that_is_admitted(void **state)
{
    (void)state;
    struct lookup_pacer *pacer = lookup_pacer_new();
    const struct discovery_node node = {.number = 1, .connects_per_second = 20000};
    static uint32_t in_second[LOOKUP_WAIT_MAX_MS / 1000 + 1];
    for (uint32_t i = 0; i < 20000 * 60; i++) {
        const uint32_t wait_ms = lookup_pacer_take(pacer, &node, 1, 77);
        assert_in_range(wait_ms, 0, LOOKUP_WAIT_MAX_MS);
        in_second[wait_ms / 1000]++;
    }
    for (uint32_t i = 0; i < 60; i++)
        assert_int_equal(in_second[i], 20000);
    assert_int_equal(lookup_pacer_take(pacer, &node, 1, 77), LOOKUP_WAIT_MAX_MS);
    assert_int_equal(lookup_pacer_take(pacer, &node, 1, 77), 0);
    lookup_pacer_free(&pacer);
}

static void one_node_may_be_left_out(void **state)
{
    (void)state;
    const uint64_t room[] = {5, 5, 5};
    struct discovery_view *view = view_of(room, 3);
    struct rng rng;
    rng_seed(&rng, 8);
    struct lookup_server out[LOOKUP_MAX];
    assert_int_equal(lookup_rank(view, 0, &rng, out), 3); /* 0 is none, also where a node has that number */
    assert_int_equal(lookup_rank(view, 2, &rng, out), 2);
    assert_true(out[0].node->number != 2 && out[1].node->number != 2);
    discovery_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_servers_that_can_take_a_session_are_listed),
        cmocka_unit_test(nobody_to_list_is_an_empty_list),
        cmocka_unit_test(at_most_five_are_listed_and_none_twice),
        cmocka_unit_test(all_are_listed_when_they_are_few),
        cmocka_unit_test(first_places_spread_as_the_room_is_spread),
        cmocka_unit_test(second_places_are_drawn_among_those_left),
        cmocka_unit_test(weights_are_shares_of_the_free_room),
        cmocka_unit_test(a_budget_beyond_reason_does_not_break_the_sums),
        cmocka_unit_test(one_node_may_be_left_out),
        cmocka_unit_test(slots_are_given_out_one_after_the_other),
        cmocka_unit_test(pacers_share_a_server),
        cmocka_unit_test(a_storm_is_spread_at_the_rate_that_is_admitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
