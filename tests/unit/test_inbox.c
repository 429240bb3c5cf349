/* The inbox without a store: rules that need no random life to be seen. What that shows is in test_inbox_replay.c and
 * test_inbox_pack.c. */
#include "base/err.h"
#include "unit/inbox_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int bind_at(struct inbox_world *world, const char *device, uint64_t attempt, struct position position, bool live,
                   struct peer_bound *bound)
{
    const struct peer_bind bind = {.target = {.device = bytes_str(device)},
                                   .attempt = attempt,
                                   .position = position,
                                   .route = {.slot = (uint32_t)attempt, .generation = 1},
                                   .max_entries = 4,
                                   .max_bytes = 100,
                                   .live = live};
    bound->page.count = 0;
    int err = inbox_bind(&world->txn, &world->live, &bind, bound);
    if (err == 0)
        inbox_page_release(&bound->page);
    return err;
}

static void append_one(struct inbox_world *world)
{
    struct store_append_out out;
    struct buf *message = buf_copy(bytes_str("m"));
    uint64_t number = world->messages++;
    const struct peer_send send = {.message = message,
                                   .id = id_derive(bytes_str("m"), bytes_of(&number, sizeof number)),
                                   .expires_ms = world->txn.now_ms + INBOX_WORLD_DAY};
    assert_int_equal(inbox_append(&world->txn, &world->live, &send, &out), 0);
    buf_unref(message);
}

static void a_live_session_proves_nothing(void **state)
{
    (void)state;
    static struct inbox_world world;
    static struct peer_bound bound;
    inbox_world_open(&world, 1);
    assert_int_equal(bind_at(&world, "d0", 1, (struct position){0, 0}, false, &bound), 0);
    append_one(&world);
    const struct position sent = {inbox_state_epoch(&world.live), world.live.head};
    assert_int_equal(bind_at(&world, "d0", 1, sent, true, &bound), 0);
    assert_int_equal(world.live.entries_count, 1);
    assert_int_equal(bind_at(&world, "d0", 2, sent, false, &bound), 0);
    assert_int_equal(world.live.entries_count, 0);
    inbox_world_close(&world);
}

static void a_full_store_says_what_it_did_not_note(void **state)
{
    (void)state;
    static struct inbox_world world;
    static struct peer_bound bound;
    inbox_world_open(&world, 1);
    assert_int_equal(bind_at(&world, "d0", 1, (struct position){0, 0}, false, &bound), 0);
    append_one(&world);
    const struct position has = {inbox_state_epoch(&world.live), world.live.head};
    world.txn.refusal = PETREL_E_FULL;
    assert_int_equal(bind_at(&world, "d0", 2, has, false, &bound), 0);
    assert_true(bound.unnoted);
    world.txn.refusal = 0;
    assert_int_equal(bind_at(&world, "d0", 3, has, false, &bound), 0);
    assert_false(bound.unnoted);
    inbox_world_close(&world);
}

static enum peer_verdict check_live(const struct inbox_world *world, const struct peer_check *check)
{
    struct inbox_standing standing = inbox_stand(&world->live, check->target.device);
    return inbox_check(&world->txn, &standing, check);
}

static void a_forgotten_bind_is_not_a_newer_one(void **state)
{
    (void)state;
    static struct inbox_world world;
    static struct peer_bound bound;
    inbox_world_open(&world, 1);
    assert_int_equal(bind_at(&world, "d0", 5, (struct position){0, 0}, false, &bound), 0);
    struct peer_check check = {.target = {.device = bytes_str("d0")}, .route = {.slot = 9, .generation = 1}};
    check.attempt = 6;
    assert_int_equal(check_live(&world, &check), PEER_UNROUTED);
    check.attempt = 5;
    assert_int_equal(check_live(&world, &check), PEER_REPLACED);
    check.attempt = 4;
    assert_int_equal(check_live(&world, &check), PEER_REPLACED);
    inbox_world_close(&world);
}

static void a_record_is_due_when_a_route_was_left_for_too_long(void **state)
{
    (void)state;
    static struct inbox_world world;
    static struct peer_bound bound;
    inbox_world_open(&world, 1);
    assert_int_equal(bind_at(&world, "d0", 1, (struct position){0, 0}, false, &bound), 0);
    const uint64_t due_ms = inbox_due_ms(&world.txn, &world.live);
    assert_int_equal(due_ms, world.txn.now_ms + world.limits.lapse_ms + 2 * world.limits.refresh_ms + 1);
    world.txn.now_ms = due_ms - 1;
    inbox_tidy(&world.txn, &world.live);
    assert_true(inbox_state_exists(&world.live));
    world.txn.now_ms = due_ms;
    inbox_tidy(&world.txn, &world.live);
    assert_false(inbox_state_exists(&world.live));
    inbox_world_close(&world);
}

static void a_fetch_takes_over_an_earlier_owners_log(void **state)
{
    (void)state;
    static struct inbox_world world;
    static struct peer_bound bound;
    static struct peer_page page;
    inbox_world_open(&world, 1);
    assert_int_equal(bind_at(&world, "d0", 1, (struct position){0, 0}, false, &bound), 0);
    const struct position lost = {inbox_state_epoch(&world.live), world.live.head + 3};
    world.txn.epoch++;
    const struct peer_fetch fetch = {
        .target = {.device = bytes_str("d0")}, .position = lost, .max_entries = 4, .max_bytes = 100};
    assert_int_equal(inbox_fetch(&world.txn, &world.live, &fetch, &page), 0);
    assert_int_equal(page.epoch, world.txn.epoch);
    assert_int_equal(page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.gap.lost_at_most, 3);
    inbox_page_release(&page);
    inbox_world_close(&world);
}

static int append_without_key(struct inbox_world *world, uint64_t number)
{
    struct store_append_out out;
    struct buf *message = buf_copy(bytes_str("m"));
    struct peer_send send = {.message = message, .expires_ms = world->txn.now_ms + INBOX_WORLD_DAY};
    send.id = id_derive(bytes_str("m"), bytes_of(&number, sizeof number));
    int err = inbox_append(&world->txn, &world->live, &send, &out);
    assert_int_equal(out.sent.duplicate, err == 0 && number < world->messages);
    buf_unref(message);
    if (err == 0 && number == world->messages)
        world->messages++;
    return err;
}

/* A sender is not held to what it sent before the clock was set back, for as long as it was; retries are still known. */
static void a_clock_set_back_refuses_nobody(void **state)
{
    (void)state;
    struct inbox_world world;
    inbox_world_open(&world, 1);
    for (uint64_t i = 0; i < world.limits.recent_ids; i++)
        assert_int_equal(append_without_key(&world, i), 0);
    assert_int_equal(append_without_key(&world, world.messages), PETREL_E_RATE_LIMITED);
    world.txn.now_ms -= INBOX_WORLD_DAY / 24;
    assert_int_equal(append_without_key(&world, world.messages - 1), 0);
    for (uint64_t i = 0; i < world.limits.recent_ids; i++)
        assert_int_equal(append_without_key(&world, world.messages), 0);
    assert_int_equal(append_without_key(&world, world.messages), PETREL_E_RATE_LIMITED);
    inbox_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_live_session_proves_nothing),
        cmocka_unit_test(a_full_store_says_what_it_did_not_note),
        cmocka_unit_test(a_forgotten_bind_is_not_a_newer_one),
        cmocka_unit_test(a_record_is_due_when_a_route_was_left_for_too_long),
        cmocka_unit_test(a_fetch_takes_over_an_earlier_owners_log),
        cmocka_unit_test(a_clock_set_back_refuses_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
