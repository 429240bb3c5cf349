/* The inbox without a store: what the journal says happened must give the state that it happened to, whatever happened. */
#include "base/err.h"
#include "base/object.h"
#include "base/rng.h"
#include "store/inbox.h"
#include "store/inbox_pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define T0 1800000000000ULL
#define DAY 86400000ULL
#define SEEDS 40
#define STEPS 400
#define DEVICES 5

struct world {
    struct rng rng;
    struct store_limits limits;
    struct inbox live;
    struct inbox replayed;
    struct inbox_txn txn;
    struct bytebuf row;
    struct inbox_saved *saved; /* of `live`, into */
    struct bytebuf *saves;
    uint64_t starts[1];
    uint64_t messages;
    char devices[DEVICES][16];
};

static void world_open(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    rng_seed(&world->rng, seed);
    world->limits = store_limits_default();
    world->limits.cap_entries = 8;
    world->limits.cap_bytes = 200;
    world->limits.cap_collapse = 3;
    world->limits.recent_ids = 6;
    world->limits.fates = 5;
    world->live.key = world->replayed.key = bytes_str("app");
    world->starts[0] = T0;
    world->txn = (struct inbox_txn){.now_ms = T0,
                                    .epoch = 1000,
                                    .limits = &world->limits,
                                    .starts = world->starts,
                                    .starts_count = 1,
                                    .row = &world->row};
    for (int i = 0; i < DEVICES; i++)
        snprintf(world->devices[i], sizeof world->devices[i], "d%d", i);
}

static void world_close(struct world *world)
{
    inbox_state_reset(&world->live);
    inbox_state_reset(&world->replayed);
    bytes_reset(&world->row);
}

static struct peer_target pick_device(struct world *world)
{
    return (struct peer_target){.device = bytes_str(world->devices[rng_below(&world->rng, DEVICES)])};
}

/* Mostly one that the log has had, sometimes one of another epoch or ahead. */
static struct position pick_position(struct world *world)
{
    uint64_t epoch = inbox_state_epoch(&world->live) - rng_below(&world->rng, 2) * rng_below(&world->rng, 2);
    return (struct position){epoch, world->live.head - 12 + rng_below(&world->rng, 14)};
}

static void do_append(struct world *world)
{
    static const char *const keys[] = {"ka", "kb", "kc", "kd"};
    struct store_append_out out;
    struct buf *message = buf_new(1 + rng_below(&world->rng, 60));
    memset(message->data, 'm', message->len);
    struct peer_send send = {.message = message,
                             .priority = (enum peer_priority)rng_below(&world->rng, 3),
                             .expires_ms = world->txn.now_ms + rng_below(&world->rng, 2 * DAY),
                             .has_key = rng_below(&world->rng, 2) == 0};
    uint64_t number = world->messages++;
    send.id = id_derive(bytes_str("m"), bytes_of(&number, sizeof number));
    if (rng_below(&world->rng, 3) == 0)
        send.collapse_key = bytes_str(keys[rng_below(&world->rng, 4)]);
    if (rng_below(&world->rng, 4) == 0)
        send.target = pick_device(world);
    inbox_append(&world->txn, &world->live, &send, &out);
    buf_unref(message);
}

static void do_bind(struct world *world)
{
    static struct peer_bound bound;
    struct peer_bind bind = {.target = pick_device(world),
                             .attempt = rng_below(&world->rng, 1000),
                             .token_issued_ms = world->txn.now_ms,
                             .route = {.slot = (uint32_t)rng_below(&world->rng, 9), .generation = 1},
                             .max_entries = 4,
                             .max_bytes = 100};
    if (rng_below(&world->rng, 2) == 0 && inbox_state_exists(&world->live))
        bind.position = pick_position(world);
    bound.page.count = 0;
    if (inbox_bind(&world->txn, &world->live, &bind, &bound) == 0)
        inbox_page_release(&bound.page);
}

static int bind_at(struct world *world, const char *device, uint64_t attempt, struct position position, bool live,
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

static void append_one(struct world *world)
{
    struct store_append_out out;
    struct buf *message = buf_copy(bytes_str("m"));
    uint64_t number = world->messages++;
    const struct peer_send send = {.message = message,
                                   .id = id_derive(bytes_str("m"), bytes_of(&number, sizeof number)),
                                   .expires_ms = world->txn.now_ms + DAY};
    assert_int_equal(inbox_append(&world->txn, &world->live, &send, &out), 0);
    buf_unref(message);
}

static void a_live_session_proves_nothing(void **state)
{
    (void)state;
    static struct world world;
    static struct peer_bound bound;
    world_open(&world, 1);
    assert_int_equal(bind_at(&world, "d0", 1, (struct position){0, 0}, false, &bound), 0);
    append_one(&world);
    const struct position sent = {inbox_state_epoch(&world.live), world.live.head};
    assert_int_equal(bind_at(&world, "d0", 1, sent, true, &bound), 0);
    assert_int_equal(world.live.entries_count, 1);
    assert_int_equal(bind_at(&world, "d0", 2, sent, false, &bound), 0);
    assert_int_equal(world.live.entries_count, 0);
    world_close(&world);
}

static void a_full_store_says_what_it_did_not_note(void **state)
{
    (void)state;
    static struct world world;
    static struct peer_bound bound;
    world_open(&world, 1);
    assert_int_equal(bind_at(&world, "d0", 1, (struct position){0, 0}, false, &bound), 0);
    append_one(&world);
    const struct position has = {inbox_state_epoch(&world.live), world.live.head};
    world.txn.refusal = PETREL_E_FULL;
    assert_int_equal(bind_at(&world, "d0", 2, has, false, &bound), 0);
    assert_true(bound.unnoted);
    world.txn.refusal = 0;
    assert_int_equal(bind_at(&world, "d0", 3, has, false, &bound), 0);
    assert_false(bound.unnoted);
    world_close(&world);
}

static enum peer_verdict check_live(const struct world *world, const struct peer_check *check)
{
    struct inbox_standing standing = inbox_stand(&world->live, check->target.device);
    return inbox_check(&world->txn, &standing, check);
}

static void a_forgotten_bind_is_not_a_newer_one(void **state)
{
    (void)state;
    static struct world world;
    static struct peer_bound bound;
    world_open(&world, 1);
    assert_int_equal(bind_at(&world, "d0", 5, (struct position){0, 0}, false, &bound), 0);
    struct peer_check check = {.target = {.device = bytes_str("d0")}, .route = {.slot = 9, .generation = 1}};
    check.attempt = 6;
    assert_int_equal(check_live(&world, &check), PEER_UNROUTED);
    check.attempt = 5;
    assert_int_equal(check_live(&world, &check), PEER_REPLACED);
    check.attempt = 4;
    assert_int_equal(check_live(&world, &check), PEER_REPLACED);
    world_close(&world);
}

static void a_record_is_due_when_a_route_was_left_for_too_long(void **state)
{
    (void)state;
    static struct world world;
    static struct peer_bound bound;
    world_open(&world, 1);
    assert_int_equal(bind_at(&world, "d0", 1, (struct position){0, 0}, false, &bound), 0);
    const uint64_t due_ms = inbox_due_ms(&world.txn, &world.live);
    assert_int_equal(due_ms, world.txn.now_ms + world.limits.lapse_ms + 2 * world.limits.refresh_ms + 1);
    world.txn.now_ms = due_ms - 1;
    inbox_tidy(&world.txn, &world.live);
    assert_true(inbox_state_exists(&world.live));
    world.txn.now_ms = due_ms;
    inbox_tidy(&world.txn, &world.live);
    assert_false(inbox_state_exists(&world.live));
    world_close(&world);
}

static void a_fetch_takes_over_an_earlier_owners_log(void **state)
{
    (void)state;
    static struct world world;
    static struct peer_bound bound;
    static struct peer_page page;
    world_open(&world, 1);
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
    world_close(&world);
}

static void do_step(struct world *world)
{
    struct inbox *live = &world->live;
    uint64_t what = rng_below(&world->rng, 100);
    world->txn.now_ms += rng_below(&world->rng, 1000);
    if (what < 45) {
        do_append(world);
    } else if (what < 60) {
        do_bind(world);
    } else if (what < 78 && inbox_state_exists(live)) {
        struct peer_ack ack = {.target = pick_device(world), .position = pick_position(world)};
        inbox_ack(&world->txn, live, &ack);
    } else if (what < 84) {
        struct peer_unbind unbind = {.target = pick_device(world)};
        unbind.route = (struct route){.slot = (uint32_t)rng_below(&world->rng, 9), .generation = 1};
        inbox_unbind(&world->txn, live, &unbind);
    } else if (what < 88) {
        uint64_t number = rng_below(&world->rng, world->messages + 1);
        struct id id = id_derive(bytes_str("m"), bytes_of(&number, sizeof number));
        inbox_recall(&world->txn, live, &id);
    } else if (what < 91) {
        struct peer_removed removed;
        struct peer_remove remove = {.target = pick_device(world)};
        remove.revoked_ms = rng_below(&world->rng, 2) * world->txn.now_ms;
        inbox_remove(&world->txn, live, &remove, &removed);
    } else if (what < 94) {
        inbox_enrol(&world->txn, live, pick_device(world).device);
    } else if (what < 97) {
        world->txn.now_ms += rng_below(&world->rng, 20 * DAY);
        inbox_tidy(&world->txn, live);
    } else if (what < 98) {
        world->txn.epoch++;
    } else {
        /* A while in which nothing can be written. */
        world->txn.refusal = world->txn.refusal == 0 ? PETREL_E_FULL : 0;
    }
}

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

static void pack(struct bytebuf *out, struct inbox *inbox, const struct world *world)
{
    out->len = 0;
    if (!inbox_state_exists(inbox))
        return;
    inbox_state_prune(inbox, &world->limits, world->txn.now_ms);
    inbox_pack(out, inbox);
}

static void assert_same(struct world *world, struct inbox *other)
{
    struct bytebuf a = {0}, b = {0};
    pack(&a, &world->live, world);
    pack(&b, other, world);
    assert_int_equal(a.len, b.len);
    assert_true(bytes_equal(bytes_view(&a), bytes_view(&b)));
    bytes_reset(&a);
    bytes_reset(&b);
}

static void check_invariants(const struct world *world)
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
        struct world world;
        world_open(&world, seed);
        for (int step = 0; step < STEPS; step++) {
            world.row.len = 0;
            world.txn.of = NULL;
            journal_begin(&world.row, world.txn.now_ms);
            uint64_t before = world.txn.now_ms;
            do_step(&world);
            /* Steps move the clock before they act; a row has one time. */
            struct bytebuf row = {0};
            struct bytebuf old = {0};
            journal_begin(&row, world.txn.now_ms);
            journal_begin(&old, before);
            bytes_append(&row, world.row.ptr + old.len, world.row.len - old.len);
            assert_int_equal(replay(&world.replayed, &world.limits, bytes_view(&row)), 0);
            bytes_reset(&row);
            bytes_reset(&old);
            check_invariants(&world);
            if (world.txn.refusal == 0 && !world.live.unsaved)
                assert_same(&world, &world.replayed);
        }
        world_close(&world);
    }
}

/* A state with something of everything. */
static void make_rich(struct world *world)
{
    world_open(world, 7);
    journal_begin(&world->row, world->txn.now_ms);
    for (int step = 0; step < 60 || world->live.entries_count < 3 || world->live.tombstones_count == 0 ||
                       world->live.fates_count == 0 || world->live.recent_count == 0 || world->live.devices_count < 2;
         step++) {
        do_step(world);
        world->txn.refusal = 0;
        assert_true(step < 100000);
    }
}

static void records_are_faithful(void **state)
{
    (void)state;
    struct world world;
    struct bytebuf record = {0};
    struct inbox other = {.key = bytes_str("app")};
    make_rich(&world);
    inbox_pack(&record, &world.live);
    assert_int_equal(inbox_pack_read(&other, bytes_view(&record)), 0);
    assert_same(&world, &other);
    assert_int_equal(other.next_expiry_ms, world.live.next_expiry_ms);
    assert_true(inbox_state_bytes(&other) > 0);
    bytes_reset(&record);
    inbox_state_reset(&other);
    world_close(&world);
}

/* What the version before wrote: positions as they are. */
static void records_of_the_first_format_are_read(void **state)
{
    (void)state;
    struct inbox inbox = {.key = bytes_str("app")};
    struct bytebuf record = {0};
    bytes_put_u8(&record, 1);
    const uint64_t head[] = {5000, 40, 3, 2, 900, 4000, 1000, 4500};
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
        bytes_put_varint(&record, head[i]);
    bytes_put_varint(&record, 1);
    bytes_put_varint(&record, 3);
    bytes_put_u8(&record, 1);
    bytes_put_blob(&record, bytes_str("phone"));
    const uint64_t device[] = {4999, 4100, 40, 7, T0};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++)
        bytes_put_varint(&record, device[i]);
    for (int nothing = 0; nothing < 4; nothing++)
        bytes_put_varint(&record, 0);
    assert_int_equal(inbox_pack_read(&inbox, bytes_view(&record)), 0);
    assert_int_equal(inbox.head, 5000);
    assert_int_equal(inbox.floor, 40);
    assert_int_equal(inbox_state_epoch(&inbox), 1000);
    assert_int_equal(inbox.epochs[0].seq, 4000);
    assert_int_equal(inbox.epochs[1].seq, 4500);
    assert_int_equal(inbox.devices_count, 1);
    assert_int_equal(inbox.devices[0].acked, 4999);
    assert_int_equal(inbox.devices[0].floor, 4100);
    assert_int_equal(inbox.devices[0].told, 40);
    assert_int_equal(inbox.devices[0].attempt, 7);
    assert_int_equal(inbox.devices[0].bound_ms, T0);
    bytes_reset(&record);
    inbox_state_reset(&inbox);
}

static void save_what_goes(struct inbox_txn *txn, struct inbox *inbox, enum journal_type type)
{
    struct world *world = container_of(txn, struct world, txn);
    if (inbox_state_disturbs(type))
        inbox_state_save_entries(world->saved, world->saves, inbox);
}

/* Saved before each step, and taken back after it, or kept: which of both must not be seen by the other. */
static void what_was_saved_comes_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world world;
        struct bytebuf saves = {0}, before = {0}, after = {0};
        struct inbox_saved saved[2];
        world_open(&world, seed);
        world.txn.before_change = save_what_goes;
        for (int step = 0; step < STEPS; step++) {
            saves.len = 0;
            inbox_state_compact(&world.live);
            /* Another's arrays stand before its own. */
            inbox_state_save(&saved[0], &saves, &world.live);
            inbox_state_save_entries(&saved[0], &saves, &world.live);
            inbox_state_save(&saved[1], &saves, &world.live);
            world.saved = &saved[1];
            world.saves = &saves;
            before.len = after.len = 0;
            if (inbox_state_exists(&world.live))
                inbox_pack(&before, &world.live);
            do_step(&world);
            inbox_state_forget(&saved[0], &saves);
            if (rng_below(&world.rng, 2) == 0) {
                inbox_state_forget(&saved[1], &saves);
                continue;
            }
            inbox_state_restore(&world.live, &saved[1], &saves);
            if (inbox_state_exists(&world.live))
                inbox_pack(&after, &world.live);
            assert_true(bytes_equal(bytes_view(&before), bytes_view(&after)));
            check_invariants(&world);
        }
        bytes_reset(&saves);
        bytes_reset(&before);
        bytes_reset(&after);
        world_close(&world);
    }
}

static void cut_records_are_refused_whole(void **state)
{
    (void)state;
    struct world world;
    struct bytebuf record = {0};
    struct inbox other = {.key = bytes_str("app")};
    make_rich(&world);
    inbox_pack(&record, &world.live);
    assert_int_equal(inbox_pack_read(&other, bytes_view(&record)), 0);
    for (size_t len = 0; len < record.len; len++) {
        /* A block of exactly so many bytes, so that the sanitizer sees a read beyond it. */
        uint8_t *cut = malloc(len + (len == 0));
        assert_non_null(cut);
        memcpy(cut, record.ptr, len);
        assert_int_equal(inbox_pack_read(&other, bytes_of(cut, len)), PETREL_E_INVALID);
        free(cut);
        assert_same(&world, &other);
    }
    bytes_put_u8(&record, 0);
    assert_int_equal(inbox_pack_read(&other, bytes_view(&record)), PETREL_E_INVALID);
    bytes_reset(&record);
    inbox_state_reset(&other);
    world_close(&world);
}

static void cut_rows_never_read_beyond(void **state)
{
    (void)state;
    struct world world;
    size_t whole = 0;
    make_rich(&world);
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
    world_close(&world);
}

static int append_without_key(struct world *world, uint64_t number)
{
    struct store_append_out out;
    struct buf *message = buf_copy(bytes_str("m"));
    struct peer_send send = {.message = message, .expires_ms = world->txn.now_ms + DAY};
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
    struct world world;
    world_open(&world, 1);
    for (uint64_t i = 0; i < world.limits.recent_ids; i++)
        assert_int_equal(append_without_key(&world, i), 0);
    assert_int_equal(append_without_key(&world, world.messages), PETREL_E_RATE_LIMITED);
    world.txn.now_ms -= DAY / 24;
    assert_int_equal(append_without_key(&world, world.messages - 1), 0);
    for (uint64_t i = 0; i < world.limits.recent_ids; i++)
        assert_int_equal(append_without_key(&world, world.messages), 0);
    assert_int_equal(append_without_key(&world, world.messages), PETREL_E_RATE_LIMITED);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_live_session_proves_nothing),
        cmocka_unit_test(a_full_store_says_what_it_did_not_note),
        cmocka_unit_test(a_forgotten_bind_is_not_a_newer_one),
        cmocka_unit_test(a_record_is_due_when_a_route_was_left_for_too_long),
        cmocka_unit_test(a_fetch_takes_over_an_earlier_owners_log),
        cmocka_unit_test(replay_gives_the_same_state),
        cmocka_unit_test(records_are_faithful),
        cmocka_unit_test(records_of_the_first_format_are_read),
        cmocka_unit_test(what_was_saved_comes_back),
        cmocka_unit_test(cut_records_are_refused_whole),
        cmocka_unit_test(cut_rows_never_read_beyond),
        cmocka_unit_test(a_clock_set_back_refuses_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
