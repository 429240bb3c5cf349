#include "sim/sim_store_impl.h"

#include "base/err.h"
#include "sim/loop/sim_loop.h"
#include "sim/sim_msg.h"
#include "wire/peer_check.h"

#include <stdio.h>
#include <stdlib.h>

#define DEADLINE_US SIM_S
#define SWEEP_US SIM_S
#define APP "app"

struct op {
    struct list node;
    struct sim_store *store;
    struct store_request *request; /* NULL: answered */
    struct loop *home;
    enum store_op which;
    struct sim_msg in;
    struct store_request done; /* status and out, as carried out */
    bool carried_out;
    bool mailed;
    int status;
    struct sim_event travel;
    struct sim_event deadline;
    struct mail mail;
};

struct bytes sim_store_app(void)
{
    return bytes_str(APP);
}

void sim_store_user(uint32_t user, char out[16])
{
    (void)snprintf(out, 16, "u%u", (unsigned)user);
}

void sim_store_device(uint32_t device, char out[16])
{
    (void)snprintf(out, 16, "d%u", (unsigned)device);
}

void sim_store_down(struct sim_store *store, uint64_t us)
{
    store->down_until_us = store->sim->now_us + us;
}

void sim_store_full(struct sim_store *store, uint64_t us)
{
    store->full_until_us = store->sim->now_us + us;
}

/* ---- operations ---- */

static void note_route(struct sim_store *store, uint32_t user, struct bytes name)
{
    const struct inbox_device *device = inbox_state_device(&store->users[user].inbox, name);
    if (device == NULL)
        return;
    store->notes = object_realloc(store->notes, (store->notes_count + 1) * sizeof *store->notes);
    struct sim_note *note = &store->notes[store->notes_count++];
    *note = (struct sim_note){.row = store->rows, .user = user, .route = device->route};
    memcpy(note->device, device->name, sizeof note->device);
}

static int append(struct sim_store *store, struct inbox *inbox, const struct peer_send *send,
                  struct store_append_out *out)
{
    int err = inbox_append(&store->txn, inbox, send, out);
    if (err != 0 || out->sent.duplicate)
        return err;
    sim_book_appended(store->book, &send->id, out->sent.position, store->rows);
    if (store->forget_hits_in != 0 && out->hits_count > 0 && sim_chance(store->sim, store->forget_hits_in))
        out->hits_count--;
    return 0;
}

static void trace_op(struct sim_store *store, uint32_t user, const struct op *op)
{
    static const char *const names[] = {
        [STORE_BIND] = "bind",     [STORE_UNBIND] = "unbind", [STORE_FETCH] = "fetch", [STORE_ACK] = "ack",
        [STORE_APPEND] = "append", [STORE_RECALL] = "recall", [STORE_USER] = "user",
    };
    const struct peer_msg *in = &op->in.msg;
    const struct inbox *inbox = &store->users[user].inbox;
    struct bytes name = in->bind.target.device; /* the target is every call's first member */
    struct position at = {0, 0};
    uint64_t upto = 0;
    if (op->which == STORE_BIND) {
        at = in->bind.position;
        upto = op->done.out.bound->page.upto;
    } else if (op->which == STORE_FETCH) {
        at = in->fetch.position;
        upto = op->done.out.page->upto;
    } else if (op->which == STORE_ACK) {
        at = in->ack.position;
    }
    const struct inbox_device *device = name.ptr != NULL ? inbox_state_device(inbox, name) : NULL;
    sim_trace(store->sim, "store: user %u %.*s: %s at (%llu, %llu): %s, upto %llu; head (%llu, %llu), acked %llu", user,
              (int)name.len, name.ptr != NULL ? (const char *)name.ptr : "", names[op->which],
              (unsigned long long)at.epoch, (unsigned long long)at.seq, err_name(op->done.status),
              (unsigned long long)upto, (unsigned long long)inbox_state_epoch(inbox), (unsigned long long)inbox->head,
              (unsigned long long)(device != NULL ? device->acked : 0));
}

static uint32_t number_of(const struct sim_store *store, struct bytes user)
{
    char name[16] = "";
    petrel_assert(user.len > 1 && user.len < sizeof name);
    memcpy(name, user.ptr, user.len);
    uint32_t number = (uint32_t)strtoul(name + 1, NULL, 10);
    petrel_assert(number < store->users_count);
    return number;
}

/* Each entry is a look at one user; now and then one cannot be had, as from a shard that is away. */
static void check_all(struct sim_store *store, struct op *op)
{
    const struct peer_checks *checks = &op->in.msg.check;
    struct bytes rest = checks->entries;
    struct peer_checked *checked = object_zalloc(sizeof *checked);
    for (uint32_t i = 0; i < checks->count; i++) {
        struct peer_check check;
        int err = peer_check_take(checks, &rest, &check);
        petrel_assert(err == 0);
        const struct inbox *inbox = &store->users[number_of(store, check.target.user)].inbox;
        struct inbox_standing standing = inbox_stand(inbox, check.target.device);
        const bool lost = store->config.lose_reply_in != 0 && sim_chance(store->sim, store->config.lose_reply_in);
        enum peer_verdict verdict = lost ? PEER_UNKNOWN : inbox_check(&store->txn, &standing, &check);
        peer_checked_add(checked, i, verdict);
        sim_trace(store->sim, "store: user %.*s %.*s: check at (%llu, %llu): verdict %d; head (%llu, %llu)",
                  (int)check.target.user.len, (const char *)check.target.user.ptr, (int)check.target.device.len,
                  (const char *)check.target.device.ptr, (unsigned long long)check.position.epoch,
                  (unsigned long long)check.position.seq, (int)verdict, (unsigned long long)standing.head.epoch,
                  (unsigned long long)standing.head.seq);
    }
    op->done.out.checked = checked;
    op->carried_out = true;
}

static void carry_out(struct sim_store *store, struct op *op)
{
    if (op->which == STORE_CHECK) {
        (void)sim_store_rows_begin(store); /* for its clock: nothing is written */
        check_all(store, op);
        return;
    }
    const struct peer_msg *in = &op->in.msg;
    struct peer_target *target = sim_msg_target(&op->in.msg);
    struct store_request *done = &op->done;
    uint32_t user = number_of(store, target->user);
    struct inbox *inbox = &store->users[user].inbox;
    size_t empty = sim_store_rows_begin(store);
    switch (op->which) {
    case STORE_BIND:
        done->out.bound = object_zalloc(sizeof *done->out.bound);
        done->status = inbox_bind(&store->txn, inbox, &in->bind, done->out.bound);
        break;
    case STORE_UNBIND:
        inbox_unbind(&store->txn, inbox, &in->unbind);
        break;
    case STORE_FETCH:
        done->out.page = object_zalloc(sizeof *done->out.page);
        done->status = inbox_fetch(&store->txn, inbox, &in->fetch, done->out.page);
        break;
    case STORE_ACK:
        done->status = inbox_ack(&store->txn, inbox, &in->ack);
        break;
    case STORE_APPEND:
        done->status = append(store, inbox, &in->send, &done->out.append);
        break;
    case STORE_RECALL:
        done->status = inbox_recall(&store->txn, inbox, &in->recall.id);
        break;
    case STORE_USER:
        done->out.user = object_zalloc(sizeof *done->out.user);
        done->status = inbox_user(&store->txn, inbox, done->out.user);
        break;
    default:
        object_panic(__FILE__, __LINE__, "an operation of the simulation");
    }
    trace_op(store, user, op);
    sim_store_rows_commit(store, user, empty);
    if (op->which == STORE_BIND || op->which == STORE_UNBIND)
        note_route(store, user, target->device);
    op->carried_out = true;
}

static void free_op_if_over(struct op *op)
{
    if (op->request != NULL || op->mailed || op->travel.place != 0)
        return;
    sim_cancel(op->store->sim, &op->deadline);
    struct peer_page *page = NULL;
    if (op->carried_out && op->which == STORE_BIND)
        page = &op->done.out.bound->page;
    else if (op->carried_out && op->which == STORE_FETCH)
        page = op->done.out.page;
    if (page != NULL)
        inbox_page_release(page);
    if (op->carried_out && op->which == STORE_BIND)
        free(op->done.out.bound);
    else if (op->carried_out && op->which == STORE_FETCH)
        free(op->done.out.page);
    else if (op->carried_out && op->which == STORE_CHECK)
        free(op->done.out.checked);
    else if (op->carried_out && op->which == STORE_USER)
        free(op->done.out.user);
    list_remove(&op->node);
    sim_msg_reset(&op->in);
    free(op);
}

static void on_answer(struct mail *mail)
{
    struct op *op = container_of(mail, struct op, mail);
    struct store_request *request = op->request;
    op->mailed = false;
    op->request = NULL;
    if (request != NULL) {
        request->status = op->status;
        if (op->status == 0)
            request->out = op->done.out;
        else if (op->which == STORE_BIND)
            request->out.bound = NULL;
        request->done(request);
    }
    free_op_if_over(op);
}

static void answer(struct op *op, int status)
{
    if (op->request == NULL || op->mailed)
        return;
    sim_cancel(op->store->sim, &op->deadline);
    op->status = status;
    op->mailed = true;
    op->mail.run = on_answer;
    mailbox_post(op->home, &op->mail);
}

static void on_deadline(struct sim_event *event)
{
    answer(container_of(event, struct op, deadline), PETREL_E_UNAVAILABLE);
}

static void on_way_back(struct sim_event *event)
{
    struct op *op = container_of(event, struct op, travel);
    answer(op, op->done.status);
    free_op_if_over(op);
}

static uint64_t travel_us(struct sim_store *store)
{
    bool spike = store->config.spike_in != 0 && sim_chance(store->sim, store->config.spike_in);
    return sim_between(store->sim, 20, spike ? store->config.spike_us : store->config.latency_us);
}

static void on_there(struct sim_event *event)
{
    struct op *op = container_of(event, struct op, travel);
    struct sim_store *store = op->store;
    if (store->sim->now_us < store->down_until_us) {
        free_op_if_over(op); /* the deadline answers */
        return;
    }
    carry_out(store, op);
    bool lost = store->config.lose_reply_in != 0 && sim_chance(store->sim, store->config.lose_reply_in);
    if (op->request != NULL && !op->mailed && !lost)
        sim_at(store->sim, &op->travel, travel_us(store), on_way_back);
    free_op_if_over(op);
}

static void copy_in(struct op *op, const struct store_request *request)
{
    static const enum peer_type types[] = {
        [STORE_BIND] = PEER_BIND,     [STORE_UNBIND] = PEER_UNBIND, [STORE_FETCH] = PEER_FETCH,
        [STORE_ACK] = PEER_ACK,       [STORE_CHECK] = PEER_CHECK,   [STORE_APPEND] = PEER_SEND,
        [STORE_RECALL] = PEER_RECALL, [STORE_USER] = PEER_USER,
    };
    struct peer_msg msg = {.type = types[request->op]};
    switch (request->op) {
    case STORE_BIND:
        msg.bind = request->in.bind;
        break;
    case STORE_UNBIND:
        msg.unbind = request->in.unbind;
        break;
    case STORE_FETCH:
        msg.fetch = request->in.fetch;
        break;
    case STORE_ACK:
        msg.ack = request->in.ack;
        break;
    case STORE_CHECK:
        msg.check = request->in.check;
        break;
    case STORE_APPEND:
        msg.send = request->in.append;
        break;
    case STORE_RECALL:
        msg.recall = request->in.recall;
        break;
    case STORE_USER:
        msg.user = request->in.user;
        break;
    default:
        object_panic(__FILE__, __LINE__, "an operation of the simulation");
    }
    sim_msg_copy(&op->in, &msg);
}

static int submit(struct store *base, struct store_request *request)
{
    struct sim_store *store = container_of(base, struct sim_store, base);
    if (request->home->ghost)
        return PETREL_E_CLOSING;
    struct op *op = object_zalloc(sizeof *op);
    op->store = store;
    op->request = request;
    op->home = request->home;
    op->which = request->op;
    copy_in(op, request);
    list_push_back(&store->ops, &op->node);
    sim_at(store->sim, &op->travel, travel_us(store), on_there);
    sim_at(store->sim, &op->deadline, DEADLINE_US, on_deadline);
    return 0;
}

/* Not asked here: nobody registers or administers devices in the simulation. */
static int unasked(struct store *base, struct store_request *request)
{
    (void)base;
    (void)request;
    return PETREL_E_CLOSING;
}

static void close_nothing(struct store *base)
{
    (void)base;
}

static const struct store_ops sim_store_ops = {
    .name = "sim",
    .bind = submit,
    .unbind = submit,
    .enrol = unasked,
    .remove = unasked,
    .append = submit,
    .fetch = submit,
    .ack = submit,
    .check = submit,
    .recall = submit,
    .message_state = unasked,
    .user = submit,
    .close = close_nothing,
};

void sim_store_hang_up(struct sim_store *store, struct loop *home, bool kept)
{
    struct list *node, *next;
    LIST_FOREACH(node, next, &store->ops)
    {
        struct op *op = container_of(node, struct op, node);
        if (op->home != home)
            continue;
        answer(op, PETREL_E_CLOSING);
        if (op->travel.place != 0 && (op->carried_out || !kept))
            sim_cancel(store->sim, &op->travel);
    }
}

/* ---- life ---- */

static void on_sweep(struct sim_event *event)
{
    struct sim_store *store = container_of(event, struct sim_store, sweep);
    for (uint32_t i = 0; i < store->users_count; i++) {
        struct inbox *inbox = &store->users[i].inbox;
        size_t empty = sim_store_rows_begin(store);
        if (inbox_due_ms(&store->txn, inbox) <= store->txn.now_ms)
            inbox_tidy(&store->txn, inbox);
        sim_store_rows_commit(store, i, empty);
    }
    sim_at(store->sim, event, SWEEP_US, on_sweep);
}

struct sim_store *sim_store_new(struct sim *sim, struct sim_book *book, const struct sim_store_config *config,
                                uint32_t users)
{
    struct sim_store *store = object_zalloc(sizeof *store);
    store->base.ops = &sim_store_ops;
    store->sim = sim;
    store->book = book;
    store->config = *config;
    store->users_count = users;
    store->txn = (struct inbox_txn){.epoch = clock_wall_ms(&sim->clock.clock) / 1000,
                                    .limits = &store->config.limits,
                                    .starts = store->starts,
                                    .row = &store->row};
    store->starts[store->txn.starts_count++] = clock_wall_ms(&sim->clock.clock);
    list_init(&store->ops);
    for (uint32_t i = 0; i < users; i++) {
        struct sim_user *user = &store->users[i];
        char name[16];
        sim_store_user(i, name);
        user->key_len = (size_t)snprintf(user->key, sizeof user->key, "%s%c%s", APP, '\0', name);
        user->inbox.key = bytes_of(user->key, user->key_len);
    }
    sim_at(sim, &store->sweep, SWEEP_US, on_sweep);
    return store;
}

void sim_store_free(struct sim_store **inside)
{
    struct sim_store *store = *inside;
    while (!list_empty(&store->ops)) {
        struct op *op = container_of(store->ops.next, struct op, node);
        petrel_assert(op->request == NULL && !op->mailed);
        sim_cancel(store->sim, &op->travel);
        free_op_if_over(op);
    }
    sim_cancel(store->sim, &store->sweep);
    for (uint32_t i = 0; i < store->users_count; i++)
        inbox_state_reset(&store->users[i].inbox);
    bytes_reset(&store->row);
    bytes_reset(&store->journal);
    free(store->ends);
    free(store->notes);
    free(store);
    *inside = NULL;
}

struct store *sim_store_port(struct sim_store *store)
{
    return &store->base;
}

void sim_store_enrol(struct sim_store *store, uint32_t user, uint32_t device)
{
    char name[16];
    sim_store_device(device, name);
    size_t empty = sim_store_rows_begin(store);
    int err = inbox_enrol(&store->txn, &store->users[user].inbox, bytes_str(name));
    petrel_assert(err == 0);
    sim_store_rows_commit(store, user, empty);
}

bool sim_store_trimmed(const struct sim_store *store)
{
    uint64_t now_ms = clock_wall_ms(&store->sim->clock.clock);
    for (uint32_t i = 0; i < store->users_count; i++) {
        const struct inbox *inbox = &store->users[i].inbox;
        for (uint32_t j = 0; j < inbox->entries_count; j++) {
            if (inbox->entries[j].expires_ms > now_ms)
                return false;
        }
    }
    return true;
}

void sim_store_forget_hits(struct sim_store *store, uint32_t in)
{
    store->forget_hits_in = in;
}
