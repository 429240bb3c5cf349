/* Devices: enrolling, binding, unbinding, leaving. */
#include "base/err.h"
#include "base/object.h"
#include "store/inbox.h"

static bool is_revoked(const struct inbox *inbox, struct bytes name, uint64_t token_issued_ms)
{
    for (uint32_t i = 0; i < inbox->tombstones_count; i++) {
        if (bytes_equal_str(name, inbox->tombstones[i].name))
            return token_issued_ms <= inbox->tombstones[i].revoked_ms;
    }
    return false;
}

static void drop_device(struct inbox_txn *txn, struct inbox *inbox, uint32_t number)
{
    for (uint32_t i = 0; i < inbox->entries_count;) {
        if (inbox->entries[i].target == number)
            inbox_remove_entry(txn, inbox, &inbox->entries[i], JOURNAL_ORPHANED);
        else
            i++;
    }
    inbox_emit(txn, inbox, (struct journal_event){.type = JOURNAL_GONE, .device = {.number = number}});
    inbox_trim(txn, inbox);
}

/* A record has room for so many devices in all: the one that lapsed first gives way. */
static void make_room(struct inbox_txn *txn, struct inbox *inbox)
{
    const struct inbox_device *first = NULL;
    if (inbox->devices_count < ROUTE_DEVICES_MAX)
        return;
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        const struct inbox_device *device = &inbox->devices[i];
        if (inbox_lapsed(txn, device) && (first == NULL || device->bound_ms < first->bound_ms))
            first = device;
    }
    petrel_assert(first != NULL);
    drop_device(txn, inbox, first->number);
}

/* A user's first device gets what has waited for one; a later one begins at the head. */
static int enrol(struct inbox_txn *txn, struct inbox *inbox, struct bytes name)
{
    if (inbox_targets(txn, inbox) >= ROUTE_DEVICES_MAX)
        return PETREL_E_TOO_LARGE;
    if (txn->refusal != 0)
        return txn->refusal;
    inbox_own(txn, inbox);
    make_room(txn, inbox);
    bool waited = inbox_targets(txn, inbox) == 0 && inbox->entries_count > 0;
    inbox_emit(txn, inbox,
               (struct journal_event){.type = JOURNAL_ENROL,
                                      .enrol = {.number = inbox->last_number + 1,
                                                .name = name,
                                                .acked = waited ? inbox->entries[0].seq - 1 : inbox->head}});
    return 0;
}

int inbox_enrol(struct inbox_txn *txn, struct inbox *inbox, struct bytes name)
{
    const struct inbox_device *device = inbox_state_device(inbox, name);
    if (device == NULL)
        return enrol(txn, inbox, name);
    if (!inbox_lapsed(txn, device))
        return 0;
    if (inbox_targets(txn, inbox) >= ROUTE_DEVICES_MAX)
        return PETREL_E_TOO_LARGE;
    if (txn->refusal != 0)
        return txn->refusal;
    uint32_t number = device->number;
    inbox_own(txn, inbox);
    inbox_emit(txn, inbox, (struct journal_event){.type = JOURNAL_UNBOUND, .device = {.number = number}});
    return 0;
}

/* The durable part of a bind. Where nothing can be written a known device is bound all the same, in memory. */
static void note_bind(struct inbox_txn *txn, struct inbox *inbox, const struct inbox_device *device, uint64_t attempt,
                      uint64_t proven)
{
    if (txn->refusal == 0)
        inbox_own(txn, inbox);
    inbox_emit(txn, inbox,
               (struct journal_event){.type = JOURNAL_BOUND, .device = {.number = device->number, .attempt = attempt}});
    if (txn->refusal == 0)
        inbox_advance(txn, inbox, device, proven);
}

int inbox_bind(struct inbox_txn *txn, struct inbox *inbox, const struct peer_bind *bind, struct peer_bound *bound)
{
    struct bytes name = bind->target.device;
    if (is_revoked(inbox, name, bind->token_issued_ms))
        return PETREL_E_REVOKED;
    struct inbox_device *device = inbox_state_device(inbox, name);
    if (device == NULL) {
        int err = enrol(txn, inbox, name);
        if (err != 0)
            return err;
        device = inbox_state_device(inbox, name);
    } else if (device->attempt > bind->attempt) {
        return PETREL_E_STALE;
    } else if (inbox_lapsed(txn, device) && inbox_targets(txn, inbox) >= ROUTE_DEVICES_MAX) {
        return PETREL_E_TOO_LARGE;
    }
    /* An earlier owner's log is taken over before the position is judged against it. */
    if (txn->refusal == 0)
        inbox_own(txn, inbox);
    struct inbox_judgement at = inbox_judge(inbox, device, bind->position, 0);
    if (bind->live)
        at.proven = 0;
    note_bind(txn, inbox, device, bind->attempt, at.proven);
    bound->replaced = (struct route){0};
    if (device->route.generation != 0 && !route_equal(&device->route, &bind->route))
        bound->replaced = device->route;
    device->route = bind->route;
    bound->unnoted = at.proven > device->acked;
    bound->verdict = at.verdict;
    inbox_read(txn, inbox, device, &at, bind->max_entries, bind->max_bytes, &bound->page);
    /* After a gap where it ends: nothing might come that moves the device on, and it would be told the loss at each return. */
    bool gap = bound->page.gap.reason != SESSION_GAP_NONE;
    bound->position = (struct position){inbox_state_epoch(inbox), gap ? bound->page.gap.to : at.start};
    return 0;
}

void inbox_unbind(struct inbox_txn *txn, struct inbox *inbox, const struct peer_unbind *unbind)
{
    struct inbox_device *device = inbox_state_device(inbox, unbind->target.device);
    if (device == NULL || device->route.generation == 0 || !route_equal(&device->route, &unbind->route))
        return;
    inbox_emit(txn, inbox, (struct journal_event){.type = JOURNAL_UNBOUND, .device = {.number = device->number}});
    device->route = (struct route){0};
}

int inbox_remove(struct inbox_txn *txn, struct inbox *inbox, const struct peer_remove *remove,
                 struct peer_removed *removed)
{
    const struct inbox_device *device = inbox_state_device(inbox, remove->target.device);
    *removed = (struct peer_removed){0};
    if (device == NULL && remove->revoked_ms == 0)
        return 0;
    if (txn->refusal != 0)
        return txn->refusal;
    inbox_own(txn, inbox);
    if (device != NULL) {
        removed->route = device->route;
        drop_device(txn, inbox, device->number);
    }
    if (remove->revoked_ms != 0)
        inbox_emit(
            txn, inbox,
            (struct journal_event){.type = JOURNAL_TOMBSTONE,
                                   .tombstone = {.name = remove->target.device, .revoked_ms = remove->revoked_ms}});
    return 0;
}
