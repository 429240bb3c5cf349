/* When sessions are visited: never late, and none that nothing can have happened to. */
#include "session/session_due.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static const struct session_due nothing = {SESSION_DUE_NEVER, SESSION_DUE_NEVER};

static struct session_due at(uint32_t at_s)
{
    return (struct session_due){at_s, SESSION_DUE_NEVER};
}

/* By the role's second; the wall clock is at the beginning. */
static bool take(struct session_dues *dues, uint32_t now_s, uint32_t *slot)
{
    return session_due_take(dues, (struct session_due){now_s, 0}, slot);
}

static void a_group_is_due_by_its_earliest(void **state)
{
    (void)state;
    struct session_dues dues = {0};
    uint32_t slot;
    assert_false(take(&dues, UINT32_MAX - 1, &slot));
    session_due_by(&dues, SESSION_DUE_GROUP + 7, at(50));
    session_due_by(&dues, SESSION_DUE_GROUP, at(30));
    session_due_by(&dues, 2 * SESSION_DUE_GROUP - 1, at(40));
    session_due_by(&dues, SESSION_DUE_GROUP + 1, nothing);
    assert_false(take(&dues, 29, &slot));
    assert_true(take(&dues, 30, &slot));
    assert_int_equal(slot, SESSION_DUE_GROUP);
    assert_false(take(&dues, 100, &slot)); /* taken once, until a visit says when it is to be again */
    session_due_by(&dues, SESSION_DUE_GROUP + 7, at(50));
    assert_true(take(&dues, 50, &slot));
    session_due_reset(&dues);
}

static void tokens_go_by_the_wall_clock(void **state)
{
    (void)state;
    struct session_dues dues = {0};
    uint32_t slot;
    session_due_by(&dues, 3, (struct session_due){.at_s = 1000, .wall_s = 1700000000});
    assert_false(session_due_take(&dues, (struct session_due){999, 1699999999}, &slot));
    assert_true(session_due_take(&dues, (struct session_due){1, 1700000000}, &slot));
    assert_int_equal(slot, 0);
    session_due_reset(&dues);
}

/* One that is due again and again keeps none of the others waiting. */
static void each_has_its_turn(void **state)
{
    (void)state;
    enum { GROUPS = 100 };
    struct session_dues dues = {0};
    unsigned visits[GROUPS] = {0};
    for (uint32_t group = 0; group < GROUPS; group++)
        session_due_by(&dues, group * SESSION_DUE_GROUP, at(5));
    for (unsigned i = 0; i < 3 * GROUPS; i++) {
        uint32_t slot;
        assert_true(take(&dues, 5, &slot));
        assert_int_equal(slot % SESSION_DUE_GROUP, 0);
        visits[slot / SESSION_DUE_GROUP]++;
        session_due_by(&dues, slot, at(1));
    }
    for (uint32_t group = 0; group < GROUPS; group++)
        assert_int_equal(visits[group], 3);
    session_due_reset(&dues);
}

static void all_that_are_to_be_visited_are_due_at_once(void **state)
{
    (void)state;
    struct session_dues dues = {0};
    uint32_t slot;
    session_due_by(&dues, 0, at(500));
    session_due_by(&dues, 3 * SESSION_DUE_GROUP, at(600)); /* nobody is in the groups between them */
    session_due_all(&dues);
    assert_true(take(&dues, 0, &slot));
    assert_int_equal(slot, 0);
    assert_true(take(&dues, 0, &slot));
    assert_int_equal(slot, 3 * SESSION_DUE_GROUP);
    assert_false(take(&dues, UINT32_MAX - 1, &slot));
    session_due_reset(&dues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_due_by_its_earliest),
        cmocka_unit_test(tokens_go_by_the_wall_clock),
        cmocka_unit_test(each_has_its_turn),
        cmocka_unit_test(all_that_are_to_be_visited_are_due_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
