#include "store/inbox_state.h"

#include "base/object.h"
#include "store/inbox_pack.h"

#include <stdlib.h>

struct inbox_device *inbox_state_device(const struct inbox *inbox, struct bytes name)
{
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        if (bytes_equal_str(name, inbox->devices[i].name))
            return &inbox->devices[i];
    }
    return NULL;
}

static struct inbox_device *device_of(struct inbox *inbox, uint32_t number)
{
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        if (inbox->devices[i].number == number)
            return &inbox->devices[i];
    }
    return NULL;
}

/* From the end: what is looked for was mostly sent lately. */
struct inbox_entry *inbox_state_entry(const struct inbox *inbox, const struct id *id)
{
    for (uint32_t i = inbox->entries_count; i > 0; i--) {
        if (memcmp(inbox->entries[i - 1].id.bytes, id->bytes, sizeof id->bytes) == 0)
            return &inbox->entries[i - 1];
    }
    return NULL;
}

uint32_t inbox_state_after(const struct inbox *inbox, uint64_t seq)
{
    uint32_t low = 0, high = inbox->entries_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (inbox->entries[middle].seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void copy_name(char to[ROUTE_DEVICE_MAX + 1], struct bytes name)
{
    petrel_assert(name.len <= ROUTE_DEVICE_MAX);
    memcpy(to, name.ptr, name.len);
    memset(to + name.len, 0, ROUTE_DEVICE_MAX + 1 - name.len);
}

static void apply_epoch(struct inbox *inbox, uint64_t epoch)
{
    if (inbox->epochs_count == INBOX_EPOCHS_MAX) {
        memmove(&inbox->epochs[0], &inbox->epochs[1], (INBOX_EPOCHS_MAX - 1) * sizeof inbox->epochs[0]);
        inbox->epochs_count--;
    }
    inbox->epochs[inbox->epochs_count++] = (struct position){epoch, inbox->head};
}

static void apply_create(struct inbox *inbox, const struct journal_event *event)
{
    inbox_state_reset(inbox);
    inbox->head = event->create.head;
    apply_epoch(inbox, event->create.epoch);
}

static void apply_enrol(struct inbox *inbox, const struct journal_event *event)
{
    inbox->devices = object_realloc(inbox->devices, (inbox->devices_count + 1) * sizeof *inbox->devices);
    struct inbox_device *device = &inbox->devices[inbox->devices_count++];
    *device = (struct inbox_device){
        .number = event->enrol.number,
        .acked = event->enrol.acked,
        .floor = event->enrol.acked,
        .told = inbox->floor,
        .bound_ms = event->at_ms,
    };
    copy_name(device->name, event->enrol.name);
    inbox->last_number = event->enrol.number;
}

static void apply_gone(struct inbox *inbox, uint32_t number)
{
    struct inbox_device *device = device_of(inbox, number);
    if (device == NULL)
        return;
    size_t after = (size_t)(&inbox->devices[inbox->devices_count] - (device + 1));
    memmove(device, device + 1, after * sizeof *device);
    inbox->devices_count--;
}

static void apply_tombstone(struct inbox *inbox, const struct journal_event *event)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < inbox->tombstones_count; i++) {
        struct inbox_tombstone *at = &inbox->tombstones[i];
        if (bytes_equal_str(event->tombstone.name, at->name)) {
            if (at->revoked_ms < event->tombstone.revoked_ms)
                at->revoked_ms = event->tombstone.revoked_ms;
            return;
        }
        if (at->revoked_ms < inbox->tombstones[oldest].revoked_ms)
            oldest = i;
    }
    if (inbox->tombstones_count < INBOX_TOMBSTONES_MAX) {
        oldest = inbox->tombstones_count++;
        inbox->tombstones = object_realloc(inbox->tombstones, inbox->tombstones_count * sizeof *inbox->tombstones);
    }
    copy_name(inbox->tombstones[oldest].name, event->tombstone.name);
    inbox->tombstones[oldest].revoked_ms = event->tombstone.revoked_ms;
}

static void remember_recent(struct inbox *inbox, const struct store_limits *limits, const struct journal_event *event)
{
    uint32_t old = 0;
    while (old < inbox->recent_count && inbox->recent[old].at_ms + limits->recent_ms < event->at_ms)
        old++;
    if (old == 0 && inbox->recent_count >= limits->recent_ids)
        old = 1;
    if (old > 0) {
        inbox->recent_count -= old;
        memmove(inbox->recent, inbox->recent + old, inbox->recent_count * sizeof *inbox->recent);
    }
    inbox->recent = object_realloc(inbox->recent, (inbox->recent_count + 1) * sizeof *inbox->recent);
    inbox->recent[inbox->recent_count++] = (struct inbox_recent){id_hash(&event->append.id), inbox->head, event->at_ms};
}

static void apply_append(struct inbox *inbox, const struct store_limits *limits, const struct journal_event *event)
{
    const struct journal_append *append = &event->append;
    if (inbox->entries_count == inbox->entries_room) {
        inbox->entries_room = inbox->entries_room == 0 ? 2 : inbox->entries_room * 2;
        inbox->entries = object_realloc(inbox->entries, inbox->entries_room * sizeof *inbox->entries);
    }
    inbox->head++;
    inbox->entries[inbox->entries_count++] = (struct inbox_entry){
        .seq = inbox->head,
        .id = append->id,
        .message = buf_ref(append->message),
        .collapse_key = append->collapse_key.ptr != NULL ? buf_copy(append->collapse_key) : NULL,
        .expires_ms = append->expires_ms,
        .target = append->target,
        .priority = append->priority,
        .sent = append->sent,
    };
    inbox->entries_bytes += append->message->len;
    if (inbox->entries_count == 1 || append->expires_ms < inbox->next_expiry_ms)
        inbox->next_expiry_ms = append->expires_ms;
    if (!append->has_key)
        remember_recent(inbox, limits, event);
}

static void remember_fate(struct inbox *inbox, const struct store_limits *limits, const struct inbox_entry *entry,
                          const struct journal_event *event)
{
    if (limits->fates == 0)
        return;
    if (inbox->fates_count >= limits->fates) {
        uint32_t old = inbox->fates_count + 1 - limits->fates;
        inbox->fates_count -= old;
        memmove(inbox->fates, inbox->fates + old, inbox->fates_count * sizeof *inbox->fates);
    } else {
        inbox->fates = object_realloc(inbox->fates, (inbox->fates_count + 1) * sizeof *inbox->fates);
    }
    inbox->fates[inbox->fates_count++] = (struct inbox_fate){
        .hash = id_hash(&entry->id),
        .seq = entry->seq,
        .at_ms = event->at_ms,
        .expires_ms = entry->expires_ms,
        .fate = event->remove.fate,
    };
}

static void free_entry(struct inbox_entry *entry)
{
    buf_unref(entry->message);
    buf_unref(entry->collapse_key);
}

/* Entries are acked by every target that has not lapsed: who has not acked this one had lapsed, and has missed it. */
static void raise_floors(struct inbox *inbox, const struct inbox_entry *entry)
{
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        struct inbox_device *device = &inbox->devices[i];
        if (device->acked < entry->seq && device->floor < entry->seq && inbox_state_targets(entry, device))
            device->floor = entry->seq;
    }
}

static void apply_remove(struct inbox *inbox, const struct store_limits *limits, const struct journal_event *event)
{
    uint32_t at = inbox_state_after(inbox, event->remove.seq);
    if (at == 0 || inbox->entries[at - 1].seq != event->remove.seq)
        return;
    struct inbox_entry *entry = &inbox->entries[at - 1];
    if (event->remove.fate == JOURNAL_DROPPED && inbox->floor < entry->seq)
        inbox->floor = entry->seq;
    if (event->remove.fate == JOURNAL_ACKED)
        raise_floors(inbox, entry);
    remember_fate(inbox, limits, entry, event);
    inbox->entries_bytes -= entry->message->len;
    free_entry(entry);
    memmove(entry, entry + 1, (inbox->entries_count - at) * sizeof *entry);
    inbox->entries_count--;
    if (inbox->entries_count == 0) {
        free(inbox->entries);
        inbox->entries = NULL;
        inbox->entries_room = 0;
    }
}

static void apply_sent(struct inbox *inbox, const struct inbox_device *device, uint64_t upto)
{
    for (uint32_t i = 0; i < inbox->entries_count && inbox->entries[i].seq <= upto; i++) {
        if (inbox_state_targets(&inbox->entries[i], device))
            inbox->entries[i].sent = true;
    }
}

static void apply_device(struct inbox *inbox, const struct journal_event *event)
{
    bool reached = event->type == JOURNAL_SENT || event->type == JOURNAL_ACK;
    struct inbox_device *device = device_of(inbox, reached ? event->reached.number : event->device.number);
    if (device == NULL)
        return;
    if (event->type == JOURNAL_SENT) {
        apply_sent(inbox, device, event->reached.seq);
    } else if (event->type == JOURNAL_ACK) {
        if (device->acked < event->reached.seq)
            device->acked = event->reached.seq;
    } else {
        device->bound = event->type == JOURNAL_BOUND;
        device->bound_ms = event->at_ms;
        if (device->bound)
            device->attempt = event->device.attempt;
    }
}

int inbox_state_apply(struct inbox *inbox, const struct store_limits *limits, const struct journal_event *event)
{
    if (event->type == JOURNAL_CREATE) {
        apply_create(inbox, event);
        return 0;
    }
    if (event->type == JOURNAL_RECORD)
        return inbox_pack_read(inbox, event->record);
    if (!inbox_state_exists(inbox))
        return 0;
    switch (event->type) {
    case JOURNAL_FORGET:
        inbox_state_reset(inbox);
        return 0;
    case JOURNAL_EPOCH:
        apply_epoch(inbox, event->create.epoch);
        return 0;
    case JOURNAL_ENROL:
        apply_enrol(inbox, event);
        return 0;
    case JOURNAL_GONE:
        apply_gone(inbox, event->device.number);
        return 0;
    case JOURNAL_TOMBSTONE:
        apply_tombstone(inbox, event);
        return 0;
    case JOURNAL_APPEND:
        apply_append(inbox, limits, event);
        return 0;
    case JOURNAL_REMOVE:
        apply_remove(inbox, limits, event);
        return 0;
    case JOURNAL_BOUND:
    case JOURNAL_UNBOUND:
    case JOURNAL_SENT:
    case JOURNAL_ACK:
        apply_device(inbox, event);
        return 0;
    case JOURNAL_USER:
    case JOURNAL_KEY:
    case JOURNAL_CREATE:
    case JOURNAL_RECORD:
        break;
    }
    object_panic(__FILE__, __LINE__, "an event of an inbox");
    return 0;
}

void inbox_state_prune(struct inbox *inbox, const struct store_limits *limits, uint64_t now_ms)
{
    uint32_t old = 0;
    while (old < inbox->recent_count && inbox->recent[old].at_ms + limits->recent_ms < now_ms)
        old++;
    inbox->recent_count -= old;
    if (old > 0 && inbox->recent_count > 0)
        memmove(inbox->recent, inbox->recent + old, inbox->recent_count * sizeof *inbox->recent);
    if (inbox->recent_count == 0) {
        free(inbox->recent);
        inbox->recent = NULL;
    }
    old = 0;
    while (old < inbox->fates_count && inbox->fates[old].at_ms + limits->fate_ms < now_ms)
        old++;
    inbox->fates_count -= old;
    if (old > 0 && inbox->fates_count > 0)
        memmove(inbox->fates, inbox->fates + old, inbox->fates_count * sizeof *inbox->fates);
    if (inbox->fates_count == 0) {
        free(inbox->fates);
        inbox->fates = NULL;
    }
}

static void *copy_array(const void *from, size_t count, size_t size)
{
    if (count == 0)
        return NULL;
    void *to = object_alloc(count * size);
    memcpy(to, from, count * size);
    return to;
}

void inbox_state_copy(struct inbox *to, const struct inbox *from)
{
    *to = *from;
    to->entries_room = from->entries_count;
    to->devices = copy_array(from->devices, from->devices_count, sizeof *from->devices);
    to->tombstones = copy_array(from->tombstones, from->tombstones_count, sizeof *from->tombstones);
    to->recent = copy_array(from->recent, from->recent_count, sizeof *from->recent);
    to->fates = copy_array(from->fates, from->fates_count, sizeof *from->fates);
    to->entries = copy_array(from->entries, from->entries_count, sizeof *from->entries);
    for (uint32_t i = 0; i < to->entries_count; i++) {
        buf_ref(to->entries[i].message);
        if (to->entries[i].collapse_key != NULL)
            buf_ref(to->entries[i].collapse_key);
    }
}

void inbox_state_reset(struct inbox *inbox)
{
    for (uint32_t i = 0; i < inbox->entries_count; i++)
        free_entry(&inbox->entries[i]);
    free(inbox->entries);
    free(inbox->fates);
    free(inbox->recent);
    free(inbox->tombstones);
    free(inbox->devices);
    *inbox = (struct inbox){.key = inbox->key};
}

size_t inbox_state_bytes(const struct inbox *inbox)
{
    return inbox->devices_count * sizeof *inbox->devices + inbox->tombstones_count * sizeof *inbox->tombstones +
           inbox->recent_count * sizeof *inbox->recent + inbox->fates_count * sizeof *inbox->fates +
           inbox->entries_room * sizeof *inbox->entries + inbox->entries_count * sizeof(struct buf) +
           inbox->entries_bytes;
}
