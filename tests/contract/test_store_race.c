/* The contract of store.h: append and bind meet in one place. From several loops at once, devices bind and ack while messages
 * are appended: each message is in the page of a bind or in an append's hits for the route that bind wrote, never in neither. */
#include "contract/store_load.h"
#include "contract/store_rig.h"

#include <stdio.h>

#define SENDERS 2
#define MESSAGES 2000 /* of each sender, to one user */
#define BINDS 400

struct found {
    uint64_t seq;
    uint32_t hit; /* slot of the route that the append found; 0: none */
};

struct sender {
    struct store_load load;
    struct store_rig *rig;
    char name;
    uint64_t begun;
    uint64_t failed;
    struct found found[MESSAGES];
};

/* One binding of the device, and what its page held. */
struct binding {
    uint64_t first; /* the page's position: entries after it */
    uint64_t upto;  /* and up to here were in the page */
    uint64_t head;
};

struct binder {
    struct store_load load;
    struct store_rig *rig;
    uint64_t begun;
    uint64_t failed;
    struct binding bindings[BINDS + 1]; /* by attempt, which is the route's slot */
};

static bool send_next(struct store_load *load, struct store_load_slot *slot)
{
    struct sender *sender = container_of(load, struct sender, load);
    char text[32];
    if (sender->begun == MESSAGES)
        return false;
    int len = snprintf(text, sizeof text, "%c%llu", sender->name, (unsigned long long)sender->begun++);
    slot->op = STORE_APPEND;
    slot->request.in.append = (struct peer_send){
        .target = store_rig_target("u", NULL),
        .id = store_rig_id(text),
        .message = buf_copy(bytes_of(text, (size_t)len)),
        .priority = PEER_PRIORITY_NORMAL,
        .expires_ms = STORE_RIG_T0 + STORE_RIG_DAY,
        .has_key = true,
        .key_expires_ms = STORE_RIG_T0 + STORE_RIG_DAY,
    };
    memcpy(slot->request.in.append.key, slot->request.in.append.id.bytes, sizeof slot->request.in.append.key);
    return true;
}

static void send_done(struct store_load *load, struct store_load_slot *slot)
{
    struct sender *sender = container_of(load, struct sender, load);
    const struct store_append_out *out = &slot->request.out.append;
    buf_unref(slot->request.in.append.message);
    if (slot->request.status != 0 || out->hits_count > 1) {
        sender->failed++;
        return;
    }
    sender->found[slot->number] =
        (struct found){out->sent.position.seq, out->hits_count == 1 ? out->hits[0].route.slot : 0};
}

static bool bind_next(struct store_load *load, struct store_load_slot *slot)
{
    struct binder *binder = container_of(load, struct binder, load);
    if (binder->begun == BINDS)
        return false;
    binder->begun++;
    slot->op = STORE_BIND;
    slot->request.in.bind = (struct peer_bind){
        .target = store_rig_target("u", "d"),
        .attempt = binder->begun,
        .token_issued_ms = STORE_RIG_T0,
        .route = store_rig_route((uint32_t)binder->begun),
        .max_entries = PEER_PAGE_MAX,
        .max_bytes = PEER_PAGE_BYTES,
    };
    return true;
}

static void bind_done(struct store_load *load, struct store_load_slot *slot)
{
    struct binder *binder = container_of(load, struct binder, load);
    if (slot->request.status != 0) {
        binder->failed++;
        return;
    }
    const struct peer_bound *bound = slot->request.out.bound;
    binder->bindings[slot->request.in.bind.attempt] =
        (struct binding){bound->position.seq, bound->page.upto, bound->page.head};
    for (uint32_t i = 1; i < bound->page.count; i++)
        binder->failed += bound->page.entries[i].seq <= bound->page.entries[i - 1].seq;
}

/* An append that found the route of binding n came after that bind and before the next one: so it stands above the head
 * that n saw, and at or below the head that n + 1 saw. That is the whole of the meeting. */
static void check_sender(const struct sender *sender, const struct binder *binder)
{
    for (size_t i = 0; i < MESSAGES; i++) {
        uint32_t hit = sender->found[i].hit;
        uint64_t seq = sender->found[i].seq;
        assert_true(hit <= BINDS);
        if (hit > 0)
            assert_true(seq > binder->bindings[hit].head);
        if (hit < BINDS)
            assert_true(seq <= binder->bindings[hit + 1].head);
    }
}

static void each_append_is_in_the_page_or_hits_the_route(void **state)
{
    static struct sender senders[SENDERS];
    static struct binder binder;
    struct store_rig rig;
    struct store_rig_options options = store_rig_options();
    options.loops = SENDERS + 1;
    options.limits.cap_entries = SENDERS * MESSAGES;
    options.limits.cap_bytes = 1 << 24;
    options.checkpoint_bytes = 1 << 16;
    store_rig_open(&rig, *state, &options);
    memset(senders, 0, sizeof senders);
    memset(&binder, 0, sizeof binder);
    for (size_t i = 0; i < SENDERS; i++) {
        senders[i].load = (struct store_load){.store = rig.store, .inflight = 8, .next = send_next, .done = send_done};
        senders[i].name = (char)('a' + i);
        store_load_start(&senders[i].load, &rig.loops, i);
    }
    binder.load = (struct store_load){.store = rig.store, .inflight = 1, .next = bind_next, .done = bind_done};
    store_load_start(&binder.load, &rig.loops, SENDERS);
    for (size_t i = 0; i < SENDERS; i++)
        assert_true(store_load_join(&senders[i].load));
    assert_true(store_load_join(&binder.load));
    assert_int_equal(binder.failed, 0);
    for (size_t i = 0; i < SENDERS; i++) {
        assert_int_equal(senders[i].failed, 0);
        check_sender(&senders[i], &binder);
    }
    struct peer_user user;
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, SENDERS * MESSAGES);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_append_is_in_the_page_or_hits_the_route),
    };
    return store_rig_main("store races", tests, sizeof tests / sizeof tests[0]);
}
