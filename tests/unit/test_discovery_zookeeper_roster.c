/* Which nodes are believed to be there (PROMISE §11), by lists and times. */
#include "discovery/discovery_zookeeper_roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODES 10
#define WINDOW_MS 1000

struct world {
    struct discovery_zookeeper_roster roster;
    bool links[NODES + 1]; /* up, by number */
};

static bool link_is_up(void *ctx, const struct discovery_node *node)
{
    const struct world *world = ctx;
    return world->links[node->number];
}

static void open_world(struct world *world)
{
    *world = (struct world){
        .roster = {.window_ms = WINDOW_MS, .is_link_up = link_is_up, .ctx = world},
    };
    for (size_t i = 0; i <= NODES; i++)
        world->links[i] = true;
}

/* List the nodes with these digits, from a reader called "1"; how many were caught. */
static size_t list(struct world *world, const char *digits, uint64_t now_ms)
{
    struct discovery_node nodes[NODES] = {{0}};
    size_t count = 0;
    for (; digits[count] != '\0'; count++) {
        nodes[count].number = (uint32_t)(digits[count] - '0');
        snprintf(nodes[count].name, sizeof nodes[count].name, "%c", digits[count]);
    }
    return discovery_zookeeper_roster_list(&world->roster, nodes, count, "1", now_ms);
}

static void check_shown(const struct world *world, const char *digits)
{
    struct discovery_node nodes[4 * NODES];
    char shown[4 * NODES] = "";
    assert_true(world->roster.count < 4 * NODES);
    const size_t count = discovery_zookeeper_roster_shown(&world->roster, nodes);
    for (size_t i = 0; i < count; i++)
        shown[i] = nodes[i].name[0];
    assert_string_equal(shown, digits);
}

static void the_reader_is_not_among_the_others(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    assert_int_equal(list(&world, "3142", 0), 0);
    check_shown(&world, "234");
    discovery_zookeeper_roster_forget(&world.roster, "3");
    check_shown(&world, "24");
    discovery_zookeeper_roster_forget(&world.roster, "9");
    check_shown(&world, "24");
    discovery_zookeeper_roster_reset(&world.roster);
}

static void half_may_go_and_more_than_half_may_not(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    list(&world, "123456", 0);
    assert_int_equal(list(&world, "123", 100), 0);
    check_shown(&world, "23");
    discovery_zookeeper_roster_reset(&world.roster);

    open_world(&world);
    list(&world, "123456", 0);
    assert_int_equal(list(&world, "12", 100), 4);
    check_shown(&world, "23456");
    assert_true(discovery_zookeeper_roster_holds(&world.roster));
    discovery_zookeeper_roster_reset(&world.roster);
}

static void what_goes_bit_by_bit_within_the_window_went_together(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    list(&world, "123456", 0);
    assert_int_equal(list(&world, "12345", 100), 0);
    assert_int_equal(list(&world, "1234", 200), 0);
    assert_int_equal(list(&world, "123", 300), 0);
    check_shown(&world, "23");
    assert_int_equal(list(&world, "12", 400), 4); /* those before come back */
    check_shown(&world, "23456");
    discovery_zookeeper_roster_reset(&world.roster);
}

static void what_goes_over_a_long_time_is_gone(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    list(&world, "123456", 0);
    assert_int_equal(list(&world, "12345", 1000), 0);
    assert_int_equal(list(&world, "1234", 2001), 0);
    assert_int_equal(list(&world, "123", 3002), 0);
    assert_int_equal(list(&world, "12", 4003), 0);
    check_shown(&world, "2");
    discovery_zookeeper_roster_reset(&world.roster);
}

static void a_held_node_stays_as_long_as_its_link(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    list(&world, "12345", 0);
    world.links[3] = false;
    assert_int_equal(list(&world, "1", 100), 3);
    check_shown(&world, "245");
    assert_int_equal(list(&world, "12", 100000), 0); /* 2 is back; the others outlast the window */
    check_shown(&world, "245");
    assert_false(discovery_zookeeper_roster_recheck(&world.roster));
    world.links[4] = false;
    assert_true(discovery_zookeeper_roster_recheck(&world.roster));
    check_shown(&world, "25");
    world.links[4] = true; /* let go is let go */
    assert_false(discovery_zookeeper_roster_recheck(&world.roster));
    check_shown(&world, "25");
    world.links[5] = false;
    assert_true(discovery_zookeeper_roster_recheck(&world.roster));
    assert_false(discovery_zookeeper_roster_holds(&world.roster));
    check_shown(&world, "2");
    discovery_zookeeper_roster_reset(&world.roster);
}

static void without_links_lists_are_believed(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    world.roster.is_link_up = NULL;
    list(&world, "123456", 0);
    assert_int_equal(list(&world, "1", 100), 0);
    check_shown(&world, "");
    discovery_zookeeper_roster_reset(&world.roster);
}

static void what_is_gone_for_long_is_forgotten(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    for (uint64_t round = 0; round < 100; round++) {
        list(&world, round % 2 == 0 ? "1234" : "1235", round * (WINDOW_MS + 1));
        assert_true(world.roster.count <= 5);
    }
    discovery_zookeeper_roster_reset(&world.roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reader_is_not_among_the_others),
        cmocka_unit_test(half_may_go_and_more_than_half_may_not),
        cmocka_unit_test(what_goes_bit_by_bit_within_the_window_went_together),
        cmocka_unit_test(what_goes_over_a_long_time_is_gone),
        cmocka_unit_test(a_held_node_stays_as_long_as_its_link),
        cmocka_unit_test(without_links_lists_are_believed),
        cmocka_unit_test(what_is_gone_for_long_is_forgotten),
    };
    return cmocka_run_group_tests_name("discovery_zookeeper_roster", tests, NULL, NULL);
}
