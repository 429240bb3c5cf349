#include "unit/inbox_world.h"

#include "base/err.h"
#include "store/inbox_pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

void inbox_world_open(struct inbox_world *world, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    rng_seed(&world->rng, seed);
    world->limits = store_limits_default();
    world->limits.cap_entries = 8;
    world->limits.cap_bytes = 200;
    world->limits.cap_collapse = 3;
    world->limits.recent_ids = 6;
    world->limits.fates = 5;
    world->live.key = bytes_str("app");
    world->starts[0] = INBOX_WORLD_T0;
    world->txn = (struct inbox_txn){.now_ms = INBOX_WORLD_T0,
                                    .epoch = 1000,
                                    .limits = &world->limits,
                                    .starts = world->starts,
                                    .starts_count = 1,
                                    .row = &world->row};
    for (int i = 0; i < INBOX_WORLD_DEVICES; i++)
        snprintf(world->devices[i], sizeof world->devices[i], "d%d", i);
}

void inbox_world_close(struct inbox_world *world)
{
    inbox_state_reset(&world->live);
    bytes_reset(&world->row);
}

static struct peer_target pick_device(struct inbox_world *world)
{
    return (struct peer_target){.device = bytes_str(world->devices[rng_below(&world->rng, INBOX_WORLD_DEVICES)])};
}

/* Mostly one that the log has had, sometimes one of another epoch or ahead. */
static struct position pick_position(struct inbox_world *world)
{
    uint64_t epoch = inbox_state_epoch(&world->live) - rng_below(&world->rng, 2) * rng_below(&world->rng, 2);
    return (struct position){epoch, world->live.head - 12 + rng_below(&world->rng, 14)};
}

static void do_append(struct inbox_world *world)
{
    static const char *const keys[] = {"ka", "kb", "kc", "kd"};
    struct store_append_out out;
    struct buf *message = buf_new(1 + rng_below(&world->rng, 60));
    memset(message->data, 'm', message->len);
    struct peer_send send = {.message = message,
                             .priority = (enum peer_priority)rng_below(&world->rng, 3),
                             .expires_ms = world->txn.now_ms + rng_below(&world->rng, 2 * INBOX_WORLD_DAY),
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

static void do_bind(struct inbox_world *world)
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

void inbox_world_step(struct inbox_world *world)
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
        world->txn.now_ms += rng_below(&world->rng, 20 * INBOX_WORLD_DAY);
        inbox_tidy(&world->txn, live);
    } else if (what < 98) {
        world->txn.epoch++;
    } else {
        /* A while in which nothing can be written. */
        world->txn.refusal = world->txn.refusal == 0 ? PETREL_E_FULL : 0;
    }
}

void inbox_world_open_rich(struct inbox_world *world)
{
    inbox_world_open(world, 7);
    journal_begin(&world->row, world->txn.now_ms);
    for (int step = 0; step < 60 || world->live.entries_count < 3 || world->live.tombstones_count == 0 ||
                       world->live.fates_count == 0 || world->live.recent_count == 0 || world->live.devices_count < 2;
         step++) {
        inbox_world_step(world);
        world->txn.refusal = 0;
        assert_true(step < 100000);
    }
}

static void pack(struct bytebuf *out, struct inbox *inbox, const struct inbox_world *world)
{
    out->len = 0;
    if (!inbox_state_exists(inbox))
        return;
    inbox_state_prune(inbox, &world->limits, world->txn.now_ms);
    inbox_pack(out, inbox);
}

void inbox_world_assert_same(struct inbox_world *world, struct inbox *other)
{
    struct bytebuf a = {0}, b = {0};
    pack(&a, &world->live, world);
    pack(&b, other, world);
    assert_int_equal(a.len, b.len);
    assert_true(bytes_equal(bytes_view(&a), bytes_view(&b)));
    bytes_reset(&a);
    bytes_reset(&b);
}
