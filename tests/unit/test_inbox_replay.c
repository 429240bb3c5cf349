/* The inbox without a store, through a random life: what the journal says happened must give the state that it happened to, and what
 * was saved before a change must come back. */
#include "base/err.h"
#include "base/object.h"
#include "store/inbox_pack.h"
#include "unit/inbox_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 40
#define STEPS 400

static int replay(struct inbox *inbox, const struct store_limits *limits, struct bytes row)
{
    struct journal_reader reader;
    struct journal_event event;
    int more = journal_open(&reader, row);
    while (more >= 0 && (more = journal_next(&reader, &event)) == 1) {
        if (event.type != JOURNAL_USER) {
            int err = inbox_state_apply(inbox, limits, &event);
            more = err != 0 ? err : more;
        }
        journal_release(&event);
        if (more < 0)
            break;
    }
    return more;
}

static void check_invariants(const struct inbox_world *world)
{
    const struct inbox *live = &world->live;
    uint64_t bytes = 0;
    assert_true(live->entries_count <= world->limits.cap_entries);
    assert_true(live->fates_count <= world->limits.fates);
    assert_true(live->recent_count <= world->limits.recent_ids);
    assert_true(live->devices_count <= ROUTE_DEVICES_MAX);
    assert_true(live->floor <= live->head);
    for (uint32_t i = 0; i < live->entries_count; i++) {
        bytes += live->entries[i].message->len;
        assert_true(live->entries[i].seq <= live->head);
        assert_true(i == 0 || live->entries[i - 1].seq < live->entries[i].seq);
        assert_true(live->entries[i].expires_ms >= live->next_expiry_ms);
    }
    assert_int_equal(bytes, live->entries_bytes);
    assert_true(bytes <= world->limits.cap_bytes);
}

static void replay_gives_the_same_state(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct inbox_world world;
        struct inbox replayed = {.key = bytes_str("app")};
        inbox_world_open(&world, seed);
        for (int step = 0; step < STEPS; step++) {
            world.row.len = 0;
            world.txn.of = NULL;
            journal_begin(&world.row, world.txn.now_ms);
            uint64_t before = world.txn.now_ms;
            inbox_world_step(&world);
            /* Steps move the clock before they act; a row has one time. */
            struct bytebuf row = {0};
            struct bytebuf old = {0};
            journal_begin(&row, world.txn.now_ms);
            journal_begin(&old, before);
            bytes_append(&row, world.row.ptr + old.len, world.row.len - old.len);
            assert_int_equal(replay(&replayed, &world.limits, bytes_view(&row)), 0);
            bytes_reset(&row);
            bytes_reset(&old);
            check_invariants(&world);
            if (world.txn.refusal == 0 && !world.live.unsaved)
                inbox_world_assert_same(&world, &replayed);
        }
        inbox_state_reset(&replayed);
        inbox_world_close(&world);
    }
}

/* A world whose inbox is saved before it is changed. */
struct saving {
    struct inbox_world world;
    struct inbox_saved saved[2]; /* the first is another's, whose arrays stand before its own */
    struct bytebuf saves;
};

static void save_what_goes(struct inbox_txn *txn, struct inbox *inbox, enum journal_type type)
{
    struct saving *saving = container_of(txn, struct saving, world.txn);
    if (inbox_state_disturbs(type))
        inbox_state_save_entries(&saving->saved[1], &saving->saves, inbox);
}

static void pack_live(struct bytebuf *out, struct inbox *live)
{
    out->len = 0;
    if (inbox_state_exists(live))
        inbox_pack(out, live);
}

/* Saved before each step, and taken back after it, or kept: which of both must not be seen by the other. */
static void what_was_saved_comes_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct saving saving = {.saves = {0}};
        struct inbox_saved *saved = saving.saved;
        struct inbox *live = &saving.world.live;
        struct bytebuf before = {0}, after = {0};
        inbox_world_open(&saving.world, seed);
        saving.world.txn.before_change = save_what_goes;
        for (int step = 0; step < STEPS; step++) {
            saving.saves.len = 0;
            inbox_state_compact(live);
            inbox_state_save(&saved[0], &saving.saves, live);
            inbox_state_save_entries(&saved[0], &saving.saves, live);
            inbox_state_save(&saved[1], &saving.saves, live);
            pack_live(&before, live);
            inbox_world_step(&saving.world);
            inbox_state_forget(&saved[0], &saving.saves);
            if (rng_below(&saving.world.rng, 2) == 0) {
                inbox_state_forget(&saved[1], &saving.saves);
                continue;
            }
            inbox_state_restore(live, &saved[1], &saving.saves);
            pack_live(&after, live);
            assert_true(bytes_equal(bytes_view(&before), bytes_view(&after)));
            check_invariants(&saving.world);
        }
        bytes_reset(&saving.saves);
        bytes_reset(&before);
        bytes_reset(&after);
        inbox_world_close(&saving.world);
    }
}

static void cut_rows_never_read_beyond(void **state)
{
    (void)state;
    struct inbox_world world;
    size_t whole = 0;
    inbox_world_open_rich(&world);
    for (size_t len = 0; len < world.row.len; len += 1 + len / 64) {
        struct inbox other = {.key = bytes_str("app")};
        uint8_t *cut = malloc(len + (len == 0));
        assert_non_null(cut);
        memcpy(cut, world.row.ptr, len);
        int result = replay(&other, &world.limits, bytes_of(cut, len));
        assert_true(result == 0 || result == PETREL_E_INVALID);
        whole += result == 0;
        free(cut);
        inbox_state_reset(&other);
    }
    /* Only a cut between two events passes for a row. */
    assert_true(whole < world.row.len / 8);
    inbox_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay_gives_the_same_state),
        cmocka_unit_test(what_was_saved_comes_back),
        cmocka_unit_test(cut_rows_never_read_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
