/* Reading: where a position stands, pages, checks, states. */
#include "base/err.h"
#include "base/object.h"
#include "store/inbox.h"

#include <stdio.h>

/* The seq up to which a position of an older epoch still counts: the base of the first epoch after it. */
static uint64_t base_after(const struct inbox *inbox, uint64_t epoch)
{
    for (uint32_t i = 0; i < inbox->epochs_count; i++) {
        if (inbox->epochs[i].epoch > epoch)
            return inbox->epochs[i].seq;
    }
    return inbox->head;
}

static struct inbox_judgement judge_epoch(const struct inbox *inbox, const struct inbox_device *device,
                                          struct position position)
{
    struct inbox_judgement at = {.verdict = SESSION_RESUMED, .from = position.seq, .start = position.seq};
    uint64_t epoch = inbox_state_epoch(inbox);
    if (position_is_none(position)) {
        at.verdict = SESSION_NEW;
        at.from = at.start = at.proven = device->acked;
        return at;
    }
    if (position.epoch > epoch || (position.epoch == epoch && position.seq > inbox->head)) {
        /* Its log is not this one. What it acked here is all that is known, and ids keep repeats from the app. */
        at.verdict = SESSION_GAPPED;
        at.reason = SESSION_GAP_ROLLBACK;
        at.start = at.proven = device->acked;
        at.lost = position.seq > inbox->head ? position.seq - inbox->head : 0;
        return at;
    }
    uint64_t base = base_after(inbox, position.epoch);
    if (position.epoch < epoch && position.seq > base) {
        at.verdict = SESSION_GAPPED;
        at.reason = SESSION_GAP_ROLLBACK;
        at.start = base;
        at.lost = position.seq - base;
    }
    at.proven = at.start;
    return at;
}

struct inbox_judgement inbox_judge(const struct inbox *inbox, const struct inbox_device *device,
                                   struct position position, uint64_t told_floor)
{
    struct inbox_judgement at = judge_epoch(inbox, device, position);
    /* What the cap dropped before the device enrolled was never its; what it missed by lapsing stands in its own floor. */
    bool capped = inbox->floor > device->told && inbox->floor >= device->floor;
    uint64_t floor = capped ? inbox->floor : device->floor;
    at.floor = at.start;
    if (floor <= at.start || floor <= told_floor)
        return at;
    uint64_t known = told_floor > at.start ? told_floor : at.start;
    at.verdict = SESSION_GAPPED;
    if (at.reason == SESSION_GAP_NONE)
        at.reason = capped ? SESSION_GAP_CAP : SESSION_GAP_LAPSED;
    at.floor = floor;
    at.lost += floor - known;
    return at;
}

static bool visible(const struct inbox_txn *txn, const struct inbox_device *device, const struct inbox_entry *entry)
{
    return entry->expires_ms > txn->now_ms && inbox_state_targets(entry, device);
}

/* The hole ends with the floor, or before the first entry that is left: priorities drop from the middle of a log. */
static uint64_t end_of_hole(const struct inbox_txn *txn, const struct inbox *inbox, const struct inbox_device *device,
                            const struct inbox_judgement *at)
{
    for (uint32_t i = inbox_state_after(inbox, at->start); i < inbox->entries_count; i++) {
        const struct inbox_entry *entry = &inbox->entries[i];
        if (entry->seq > at->floor)
            break;
        if (visible(txn, device, entry))
            return entry->seq - 1;
    }
    return at->floor;
}

void inbox_read(struct inbox_txn *txn, struct inbox *inbox, const struct inbox_device *device,
                const struct inbox_judgement *at, uint32_t max_entries, uint32_t max_bytes, struct peer_page *page)
{
    uint32_t most = max_entries < PEER_PAGE_MAX ? max_entries : PEER_PAGE_MAX;
    uint64_t bytes = 0;
    bool unsent = false;
    page->epoch = inbox_state_epoch(inbox);
    page->head = inbox->head;
    page->upto = inbox->head;
    page->count = 0;
    page->gap = (struct peer_gap){.reason = at->reason};
    if (at->reason != SESSION_GAP_NONE) {
        page->gap.from = at->from;
        page->gap.to = end_of_hole(txn, inbox, device, at);
        page->gap.floor = at->floor;
        page->gap.lost_at_most = at->lost;
    }
    for (uint32_t i = inbox_state_after(inbox, at->start); i < inbox->entries_count; i++) {
        const struct inbox_entry *entry = &inbox->entries[i];
        if (!visible(txn, device, entry))
            continue;
        /* A page is never empty while something waits, or its reader would ask for ever. */
        if (page->count > 0 && (page->count >= most || bytes + entry->message->len > max_bytes)) {
            page->upto = page->entries[page->count - 1].seq;
            break;
        }
        bytes += entry->message->len;
        unsent = unsent || !entry->sent;
        page->entries[page->count++] =
            (struct peer_entry){.seq = entry->seq, .message = buf_ref(entry->message), .expires_ms = entry->expires_ms};
    }
    if (unsent)
        inbox_emit(
            txn, inbox,
            (struct journal_event){.type = JOURNAL_SENT, .reached = {.number = device->number, .seq = page->upto}});
}

void inbox_page_release(struct peer_page *page)
{
    for (uint32_t i = 0; i < page->count; i++)
        buf_unref(page->entries[i].message);
    page->count = 0;
}

int inbox_fetch(struct inbox_txn *txn, struct inbox *inbox, const struct peer_fetch *fetch, struct peer_page *page)
{
    const struct inbox_device *device = inbox_state_device(inbox, fetch->target.device);
    if (device == NULL)
        return PETREL_E_UNREGISTERED;
    /* An earlier owner's log is taken over before the position is judged against it, as by a bind. */
    if (txn->refusal == 0)
        inbox_own(txn, inbox);
    struct inbox_judgement at = inbox_judge(inbox, device, fetch->position, fetch->told_floor);
    inbox_read(txn, inbox, device, &at, fetch->max_entries, fetch->max_bytes, page);
    return 0;
}

struct inbox_standing inbox_stand(const struct inbox *inbox, struct bytes device)
{
    struct inbox_standing standing = {.head = {inbox_state_epoch(inbox), inbox->head}};
    const struct inbox_device *found = inbox_state_device(inbox, device);
    if (found == NULL)
        return standing;
    standing.is_enrolled = true;
    standing.route = found->route;
    standing.attempt = found->attempt;
    standing.bound_ms = found->bound_ms;
    return standing;
}

enum peer_verdict inbox_check(const struct inbox_txn *txn, const struct inbox_standing *standing,
                              const struct peer_check *check)
{
    if (!standing->is_enrolled || standing->route.generation == 0)
        return PEER_UNROUTED;
    if (!route_equal(&standing->route, &check->route))
        return check->attempt > standing->attempt ? PEER_UNROUTED : PEER_REPLACED;
    /* A session that lives says so by binding again, now and then. */
    if (standing->bound_ms + txn->limits->refresh_ms < txn->now_ms)
        return PEER_UNROUTED;
    bool same = check->position.epoch == standing->head.epoch && check->position.seq == standing->head.seq;
    return same ? PEER_SAME : PEER_BEHIND;
}

static void list_device(const struct inbox_device *device, struct peer_device *out)
{
    snprintf(out->device, sizeof out->device, "%s", device->name);
    out->acked = device->acked;
    out->route = device->route;
    out->bound_ms = device->bound_ms;
}

static enum peer_state state_of(enum journal_fate fate)
{
    switch (fate) {
    case JOURNAL_ACKED:
        return PEER_STATE_DELIVERED;
    case JOURNAL_EXPIRED:
        return PEER_STATE_EXPIRED;
    case JOURNAL_RECALLED:
        return PEER_STATE_RECALLED;
    case JOURNAL_COLLAPSED:
        return PEER_STATE_COLLAPSED;
    case JOURNAL_DROPPED:
    case JOURNAL_ORPHANED:
        return PEER_STATE_DROPPED;
    }
    return PEER_STATE_UNKNOWN;
}

static int state_of_gone(const struct inbox_txn *txn, const struct inbox *inbox, const struct id *id,
                         struct peer_stated *stated)
{
    uint64_t hash = id_hash(id);
    for (uint32_t i = inbox->fates_count; i > 0; i--) {
        const struct inbox_fate *fate = inbox_state_fate(inbox, i - 1);
        if (fate->hash != hash || fate->at_ms + txn->limits->fate_ms < txn->now_ms)
            continue;
        stated->state = state_of(fate->fate);
        stated->position = (struct position){inbox_state_epoch(inbox), fate->seq};
        stated->expires_ms = fate->expires_ms;
        return 0;
    }
    return PETREL_E_NOT_FOUND;
}

int inbox_message_state(const struct inbox_txn *txn, const struct inbox *inbox, const struct id *id,
                        struct peer_stated *stated)
{
    const struct inbox_entry *entry = inbox_state_entry(inbox, id);
    stated->count = 0;
    if (entry == NULL)
        return state_of_gone(txn, inbox, id, stated);
    stated->position = (struct position){inbox_state_epoch(inbox), entry->seq};
    stated->expires_ms = entry->expires_ms;
    stated->state = PEER_STATE_EXPIRED;
    if (entry->expires_ms <= txn->now_ms)
        return 0;
    stated->state = PEER_STATE_PENDING;
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        const struct inbox_device *device = &inbox->devices[i];
        if (inbox_state_targets(entry, device) && !inbox_lapsed(txn, device))
            list_device(device, &stated->devices[stated->count++]);
    }
    return 0;
}

int inbox_user(const struct inbox_txn *txn, const struct inbox *inbox, struct peer_user *user)
{
    if (!inbox_state_exists(inbox))
        return PETREL_E_NOT_FOUND;
    user->head = (struct position){inbox_state_epoch(inbox), inbox->head};
    user->floor = inbox->floor;
    user->pending = 0;
    user->pending_bytes = 0;
    user->count = 0;
    for (uint32_t i = 0; i < inbox->entries_count; i++) {
        const struct inbox_entry *entry = &inbox->entries[i];
        if (entry->expires_ms <= txn->now_ms)
            continue;
        user->pending++;
        user->pending_bytes += entry->message->len;
    }
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        if (!inbox_lapsed(txn, &inbox->devices[i]))
            list_device(&inbox->devices[i], &user->devices[user->count++]);
    }
    return 0;
}
