#include "store/inbox.h"

#include "base/err.h"
#include "base/object.h"
#include "store/inbox_pack.h"

static void put_user(struct inbox_txn *txn, struct inbox *inbox)
{
    if (txn->of == inbox)
        return;
    journal_put(txn->row, &(struct journal_event){.type = JOURNAL_USER, .user = inbox->key});
    txn->of = inbox;
}

/* What happened while nothing could be written stands in the journal as the whole record. */
static void catch_up(struct inbox_txn *txn, struct inbox *inbox)
{
    if (!inbox->unsaved)
        return;
    struct bytebuf record = {0};
    inbox_pack(&record, inbox);
    put_user(txn, inbox);
    journal_put(txn->row, &(struct journal_event){.type = JOURNAL_RECORD, .record = bytes_view(&record)});
    bytes_reset(&record);
    inbox->unsaved = false;
}

void inbox_emit(struct inbox_txn *txn, struct inbox *inbox, struct journal_event event)
{
    if (txn->before_change != NULL)
        txn->before_change(txn, inbox, event.type);
    event.at_ms = txn->now_ms;
    if (txn->refusal == 0) {
        catch_up(txn, inbox);
        put_user(txn, inbox);
        journal_put(txn->row, &event);
    } else {
        inbox->unsaved = true;
    }
    int err = inbox_state_apply(inbox, txn->limits, &event);
    petrel_assert(err == 0);
}

void inbox_own(struct inbox_txn *txn, struct inbox *inbox)
{
    struct journal_event event = {.create = {.epoch = txn->epoch}};
    if (!inbox_state_exists(inbox)) {
        event.type = JOURNAL_CREATE;
        /* Ahead of any seq that a record of this user had before. */
        event.create.head = txn->now_ms * 1000;
        inbox_emit(txn, inbox, event);
    } else if (inbox_state_epoch(inbox) != txn->epoch) {
        event.type = JOURNAL_EPOCH;
        event.create.head = inbox->head;
        inbox_emit(txn, inbox, event);
    }
}

/* When a device was surely there. One that was bound at a crash was there until the next start. */
static uint64_t last_seen(const struct inbox_txn *txn, const struct inbox_device *device)
{
    if (device->bound && txn->starts_count > 0 && txn->starts[txn->starts_count - 1] > device->bound_ms) {
        for (size_t i = 0; i < txn->starts_count; i++) {
            if (txn->starts[i] > device->bound_ms)
                return txn->starts[i];
        }
    }
    return device->bound_ms;
}

uint64_t inbox_lasts_ms(const struct inbox_txn *txn, const struct inbox_device *device)
{
    const uint64_t left_ms = device->route.generation != 0 ? 2 * txn->limits->refresh_ms : 0;
    return last_seen(txn, device) + txn->limits->lapse_ms + left_ms;
}

bool inbox_lapsed(const struct inbox_txn *txn, const struct inbox_device *device)
{
    return inbox_lasts_ms(txn, device) < txn->now_ms;
}

uint32_t inbox_targets(const struct inbox_txn *txn, const struct inbox *inbox)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < inbox->devices_count; i++)
        count += !inbox_lapsed(txn, &inbox->devices[i]);
    return count;
}

void inbox_remove_entry(struct inbox_txn *txn, struct inbox *inbox, const struct inbox_entry *entry,
                        enum journal_fate fate)
{
    inbox_emit(txn, inbox, (struct journal_event){.type = JOURNAL_REMOVE, .remove = {.seq = entry->seq, .fate = fate}});
}

void inbox_expire(struct inbox_txn *txn, struct inbox *inbox)
{
    if (inbox->entries_count == 0 || inbox->next_expiry_ms > txn->now_ms)
        return;
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < inbox->entries_count;) {
        const struct inbox_entry *entry = &inbox->entries[i];
        if (entry->expires_ms <= txn->now_ms) {
            inbox_remove_entry(txn, inbox, entry, JOURNAL_EXPIRED);
            continue;
        }
        if (entry->expires_ms < next)
            next = entry->expires_ms;
        i++;
    }
    inbox->next_expiry_ms = next;
}

/* The least position that holds an entry back; UINT64_MAX when no target is left. */
static uint64_t acked_by_targets(const struct inbox_txn *txn, const struct inbox *inbox,
                                 const struct inbox_entry *entry)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        const struct inbox_device *device = &inbox->devices[i];
        if (device->acked < least && inbox_state_targets(entry, device) && !inbox_lapsed(txn, device))
            least = device->acked;
    }
    return least;
}

void inbox_trim(struct inbox_txn *txn, struct inbox *inbox)
{
    const struct inbox_entry any = {.target = 0};
    uint64_t all = acked_by_targets(txn, inbox, &any);
    if (all == UINT64_MAX)
        return;
    for (uint32_t i = 0; i < inbox->entries_count;) {
        const struct inbox_entry *entry = &inbox->entries[i];
        uint64_t acked = entry->target == 0 ? all : acked_by_targets(txn, inbox, entry);
        if (acked != UINT64_MAX && acked >= entry->seq)
            inbox_remove_entry(txn, inbox, entry, JOURNAL_ACKED);
        else
            i++;
    }
}

void inbox_advance(struct inbox_txn *txn, struct inbox *inbox, const struct inbox_device *device, uint64_t seq)
{
    if (seq <= device->acked)
        return;
    inbox_emit(txn, inbox,
               (struct journal_event){.type = JOURNAL_ACK, .reached = {.number = device->number, .seq = seq}});
    inbox_trim(txn, inbox);
}

int inbox_ack(struct inbox_txn *txn, struct inbox *inbox, const struct peer_ack *ack)
{
    const struct inbox_device *device = inbox_state_device(inbox, ack->target.device);
    if (device == NULL)
        return PETREL_E_UNREGISTERED;
    struct inbox_judgement at = inbox_judge(inbox, device, ack->position, 0);
    if (at.reason == SESSION_GAP_ROLLBACK && ack->position.epoch >= inbox_state_epoch(inbox))
        return PETREL_E_INVALID;
    if (position_is_none(ack->position) || at.proven <= device->acked)
        return 0;
    if (txn->refusal != 0)
        return txn->refusal;
    inbox_own(txn, inbox);
    inbox_advance(txn, inbox, device, at.proven);
    return 0;
}

int inbox_recall(struct inbox_txn *txn, struct inbox *inbox, const struct id *id)
{
    const struct inbox_entry *entry = inbox_state_entry(inbox, id);
    if (entry == NULL || entry->expires_ms <= txn->now_ms) {
        struct peer_stated stated = {0};
        if (inbox_message_state(txn, inbox, id, &stated) != 0)
            return PETREL_E_NOT_FOUND;
        if (stated.state == PEER_STATE_DELIVERED)
            return PETREL_E_ALREADY_DELIVERED;
        return stated.state == PEER_STATE_RECALLED ? 0 : PETREL_E_NOT_FOUND;
    }
    if (entry->sent)
        return PETREL_E_ALREADY_DELIVERED;
    if (txn->refusal != 0)
        return txn->refusal;
    uint64_t seq = entry->seq;
    inbox_own(txn, inbox);
    inbox_remove_entry(txn, inbox, &(struct inbox_entry){.seq = seq}, JOURNAL_RECALLED);
    return 0;
}

uint64_t inbox_due_ms(const struct inbox_txn *txn, const struct inbox *inbox)
{
    uint64_t due = UINT64_MAX, over = 0;
    if (!inbox_state_exists(inbox))
        return due;
    for (uint32_t i = 0; i < inbox->devices_count && inbox->entries_count > 0; i++) {
        uint64_t lapse = inbox_lasts_ms(txn, &inbox->devices[i]) + 1;
        /* One that has lapsed already holds nothing back. */
        if (lapse > txn->now_ms && lapse < due)
            due = lapse;
    }
    if (inbox->entries_count > 0)
        return inbox->next_expiry_ms < due ? inbox->next_expiry_ms : due;
    if (inbox->tombstones_count > 0)
        return due;
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        uint64_t lapse = inbox_lasts_ms(txn, &inbox->devices[i]) + 1;
        over = over < lapse ? lapse : over;
    }
    if (inbox->fates_count > 0) {
        uint64_t forget = inbox_state_fate(inbox, inbox->fates_count - 1)->at_ms + txn->limits->fate_ms + 1;
        over = over < forget ? forget : over;
    }
    if (inbox->recent_count > 0) {
        uint64_t forget = inbox_state_recent(inbox, inbox->recent_count - 1)->at_ms + txn->limits->recent_ms + 1;
        over = over < forget ? forget : over;
    }
    return over;
}

/* Whether nothing in the record counts any more. Tombstones do for ever: a token has no end that is known here. */
static bool is_over(const struct inbox_txn *txn, const struct inbox *inbox)
{
    return inbox_state_exists(inbox) && inbox->entries_count == 0 && inbox->tombstones_count == 0 &&
           inbox_targets(txn, inbox) == 0 && inbox_due_ms(txn, inbox) <= txn->now_ms &&
           inbox->head < txn->now_ms * 1000; /* a record made anew must begin after it */
}

void inbox_tidy(struct inbox_txn *txn, struct inbox *inbox)
{
    inbox_state_prune(inbox, txn->limits, txn->now_ms);
    if (txn->refusal != 0)
        return;
    inbox_expire(txn, inbox);
    inbox_trim(txn, inbox);
    if (is_over(txn, inbox))
        inbox_emit(txn, inbox, (struct journal_event){.type = JOURNAL_FORGET});
}
