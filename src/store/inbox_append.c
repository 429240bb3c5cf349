/* Appending: what is refused, what gives way, who is told. */
#include "base/err.h"
#include "base/object.h"
#include "store/inbox.h"

/* The first append of this id, if it was lately and without a key; else how many such ids there were lately. Those of a time
 * that is still to come, by a clock that was set back, are known and do not count: they would for as long as it was set back. */
static const struct inbox_recent *find_recent(const struct inbox_txn *txn, const struct inbox *inbox,
                                              const struct id *id, uint32_t *count)
{
    uint64_t hash = id_hash(id);
    *count = 0;
    for (uint32_t i = inbox->recent_count; i > 0; i--) {
        const struct inbox_recent *recent = inbox_state_recent(inbox, i - 1);
        if (recent->at_ms + txn->limits->recent_ms < txn->now_ms)
            break;
        if (recent->hash == hash)
            return recent;
        *count += recent->at_ms <= txn->now_ms;
    }
    return NULL;
}

static int check_target(const struct inbox_txn *txn, const struct inbox *inbox, const struct peer_send *send,
                        uint32_t *target)
{
    *target = 0;
    if (send->target.device.ptr != NULL) {
        const struct inbox_device *device = inbox_state_device(inbox, send->target.device);
        if (device == NULL || inbox_lapsed(txn, device))
            return PETREL_E_UNREGISTERED;
        *target = device->number;
    }
    return send->require_device && inbox_targets(txn, inbox) == 0 ? PETREL_E_UNREGISTERED : 0;
}

static bool same_collapse(const struct inbox_entry *entry, struct bytes key, uint32_t target)
{
    return entry->collapse_key != NULL && entry->target == target && bytes_equal(buf_bytes(entry->collapse_key), key);
}

static void collapse(struct inbox_txn *txn, struct inbox *inbox, struct bytes key, uint32_t target)
{
    const struct inbox_entry *oldest = NULL;
    uint32_t pending = 0;
    for (uint32_t i = 0; i < inbox->entries_count; i++) {
        const struct inbox_entry *entry = &inbox->entries[i];
        if (same_collapse(entry, key, target)) {
            inbox_remove_entry(txn, inbox, entry, JOURNAL_COLLAPSED);
            return;
        }
        if (entry->collapse_key == NULL)
            continue;
        pending++;
        if (oldest == NULL)
            oldest = entry;
    }
    if (oldest != NULL && pending >= txn->limits->cap_collapse)
        inbox_remove_entry(txn, inbox, oldest, JOURNAL_DROPPED);
}

/* Low before normal before high, the oldest first. */
static const struct inbox_entry *victim(const struct inbox *inbox)
{
    const struct inbox_entry *least = &inbox->entries[0];
    for (uint32_t i = 1; i < inbox->entries_count; i++) {
        if (inbox->entries[i].priority < least->priority)
            least = &inbox->entries[i];
    }
    return least;
}

/* False: everything that waits counts for more than the new entry, which is itself what the cap drops. */
static bool make_room(struct inbox_txn *txn, struct inbox *inbox, const struct peer_send *send)
{
    while (inbox->entries_count > 0 && (inbox->entries_count >= txn->limits->cap_entries ||
                                        inbox->entries_bytes + (uint64_t)send->message->len > txn->limits->cap_bytes)) {
        const struct inbox_entry *least = victim(inbox);
        if (least->priority > (uint8_t)send->priority)
            return false;
        inbox_remove_entry(txn, inbox, least, JOURNAL_DROPPED);
    }
    return true;
}

static bool find_hits(const struct inbox_txn *txn, const struct inbox *inbox, uint32_t target,
                      struct store_append_out *out)
{
    bool any = false;
    for (uint32_t i = 0; i < inbox->devices_count && out->hits_count < ROUTE_DEVICES_MAX; i++) {
        const struct inbox_device *device = &inbox->devices[i];
        if (device->route.generation == 0 || inbox_lapsed(txn, device))
            continue;
        bool meant = target == 0 || target == device->number;
        out->hits[out->hits_count++] = (struct store_hit){.route = device->route, .target = meant};
        any = any || meant;
    }
    return any;
}

static void put(struct inbox_txn *txn, struct inbox *inbox, const struct peer_send *send, uint32_t target,
                struct store_append_out *out)
{
    inbox_own(txn, inbox);
    inbox_expire(txn, inbox);
    if (send->collapse_key.ptr != NULL)
        collapse(txn, inbox, send->collapse_key, target);
    bool kept = make_room(txn, inbox, send);
    out->prev = inbox->head;
    bool sent = find_hits(txn, inbox, target, out);
    inbox_emit(txn, inbox,
               (struct journal_event){.type = JOURNAL_APPEND,
                                      .append = {.id = send->id,
                                                 .message = send->message,
                                                 .collapse_key = send->collapse_key,
                                                 .expires_ms = send->expires_ms,
                                                 .target = target,
                                                 .priority = (uint8_t)send->priority,
                                                 .sent = sent,
                                                 .has_key = send->has_key}});
    out->sent.position = (struct position){inbox_state_epoch(inbox), inbox->head};
    /* Sessions that are live are sent it all the same; devices that are away are told the gap. */
    if (!kept)
        inbox_remove_entry(txn, inbox, &inbox->entries[inbox->entries_count - 1], JOURNAL_DROPPED);
}

/* Whether the sessions of the first one were sent it is not known: their names may have been lost with its answer. */
void inbox_repeat(const struct inbox_txn *txn, const struct inbox *inbox, const struct peer_send *send,
                  struct peer_sent first, struct store_append_out *out)
{
    const struct inbox_entry *entry = inbox_state_entry(inbox, &first.id);
    *out = (struct store_append_out){.sent = first};
    out->sent.duplicate = true;
    if (entry == NULL || entry->seq != first.position.seq || entry->expires_ms <= txn->now_ms ||
        memcmp(&first.id, &send->id, sizeof first.id) != 0)
        return;
    out->sent.position.epoch = inbox_state_epoch(inbox);
    out->prev = entry->seq - 1;
    find_hits(txn, inbox, entry->target, out);
}

int inbox_append(struct inbox_txn *txn, struct inbox *inbox, const struct peer_send *send, struct store_append_out *out)
{
    uint32_t target, lately;
    *out = (struct store_append_out){.sent = {.id = send->id}};
    if (send->message->len > txn->limits->cap_bytes)
        return PETREL_E_TOO_LARGE;
    if (!send->has_key) {
        const struct inbox_recent *first = find_recent(txn, inbox, &send->id, &lately);
        if (first != NULL) {
            inbox_repeat(txn, inbox, send,
                         (struct peer_sent){.id = send->id, .position = {inbox_state_epoch(inbox), first->seq}}, out);
            return 0;
        }
        if (lately >= txn->limits->recent_ids)
            return PETREL_E_RATE_LIMITED;
    }
    int err = check_target(txn, inbox, send, &target);
    if (err != 0)
        return err;
    if (txn->refusal != 0)
        return txn->refusal;
    put(txn, inbox, send, target, out);
    return 0;
}
