#include "store/inbox_state.h"

#include "base/object.h"
#include "store/inbox_pack.h"

#include <stdlib.h>

#define ENTRIES_KEPT 8 /* room that an empty log keeps: the next message comes soon, or the user goes to rest */

struct inbox_device *inbox_state_device(const struct inbox *inbox, struct bytes name)
{
    if (name.ptr == NULL || name.len > ROUTE_DEVICE_MAX)
        return NULL;
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        const char *own = inbox->devices[i].name;
        if (memcmp(own, name.ptr, name.len) == 0 && own[name.len] == '\0')
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

/* The array grows by half, so that what comes and goes all the time allocates nothing after a while. */
static void *with_room(void *array, uint32_t *room, uint32_t count, size_t size)
{
    if (count <= *room)
        return array;
    *room = count + count / 2 + 1;
    return object_realloc(array, *room * size);
}

static void copy_name(char to[ROUTE_DEVICE_MAX + 1], struct bytes name)
{
    petrel_assert(name.len <= ROUTE_DEVICE_MAX);
    memcpy(to, name.ptr, name.len);
    memset(to + name.len, 0, ROUTE_DEVICE_MAX + 1 - name.len);
}

static void free_entry(struct inbox_entry *entry)
{
    buf_unref(entry->message);
    buf_unref(entry->collapse_key);
}

/* No record is left. Recent ids and fates stay where they are, all dropped: an inbox that was saved may come back to them. */
static void clear(struct inbox *inbox)
{
    for (uint32_t i = 0; i < inbox->entries_count; i++)
        free_entry(&inbox->entries[i]);
    free(inbox->entries);
    free(inbox->tombstones);
    free(inbox->devices);
    *inbox = (struct inbox){
        .key = inbox->key,
        .recent = inbox->recent,
        .recent_first = inbox->recent_first + inbox->recent_count,
        .recent_room = inbox->recent_room,
        .fates = inbox->fates,
        .fates_first = inbox->fates_first + inbox->fates_count,
        .fates_room = inbox->fates_room,
    };
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
    clear(inbox);
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

static void drop_recent(struct inbox *inbox, uint32_t old)
{
    inbox->recent_first += old;
    inbox->recent_count -= old;
}

static void drop_fates(struct inbox *inbox, uint32_t old)
{
    inbox->fates_first += old;
    inbox->fates_count -= old;
}

static uint32_t old_recent(const struct inbox *inbox, const struct store_limits *limits, uint64_t now_ms)
{
    uint32_t old = 0;
    while (old < inbox->recent_count && inbox_state_recent(inbox, old)->at_ms + limits->recent_ms < now_ms)
        old++;
    return old;
}

static void remember_recent(struct inbox *inbox, const struct store_limits *limits, const struct journal_event *event)
{
    uint32_t old = old_recent(inbox, limits, event->at_ms);
    if (old == 0 && inbox->recent_count >= limits->recent_ids)
        old = 1;
    drop_recent(inbox, old);
    inbox->recent = with_room(inbox->recent, &inbox->recent_room, inbox->recent_first + inbox->recent_count + 1,
                              sizeof *inbox->recent);
    *inbox_state_recent(inbox, inbox->recent_count++) =
        (struct inbox_recent){id_hash(&event->append.id), inbox->head, event->at_ms};
}

static void apply_append(struct inbox *inbox, const struct store_limits *limits, const struct journal_event *event)
{
    const struct journal_append *append = &event->append;
    inbox->entries = with_room(inbox->entries, &inbox->entries_room, inbox->entries_count + 1, sizeof *inbox->entries);
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
    if (inbox->fates_count >= limits->fates)
        drop_fates(inbox, inbox->fates_count + 1 - limits->fates);
    inbox->fates =
        with_room(inbox->fates, &inbox->fates_room, inbox->fates_first + inbox->fates_count + 1, sizeof *inbox->fates);
    *inbox_state_fate(inbox, inbox->fates_count++) = (struct inbox_fate){
        .hash = id_hash(&entry->id),
        .seq = entry->seq,
        .at_ms = event->at_ms,
        .expires_ms = entry->expires_ms,
        .fate = event->remove.fate,
    };
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
    if (inbox->entries_count == 0 && inbox->entries_room > ENTRIES_KEPT) {
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
        clear(inbox);
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
    drop_recent(inbox, old_recent(inbox, limits, now_ms));
    while (old < inbox->fates_count && inbox_state_fate(inbox, old)->at_ms + limits->fate_ms < now_ms)
        old++;
    drop_fates(inbox, old);
}

/* Only when at least as many went as stay, so that each is moved about once. */
void inbox_state_compact(struct inbox *inbox)
{
    if (inbox->recent_first > inbox->recent_count) {
        memmove(inbox->recent, inbox_state_recent(inbox, 0), inbox->recent_count * sizeof *inbox->recent);
        inbox->recent_first = 0;
    }
    if (inbox->fates_first > inbox->fates_count) {
        memmove(inbox->fates, inbox_state_fate(inbox, 0), inbox->fates_count * sizeof *inbox->fates);
        inbox->fates_first = 0;
    }
}

void inbox_state_save(struct inbox_saved *saved, struct bytebuf *into, const struct inbox *from)
{
    *saved = (struct inbox_saved){.inbox = *from, .at = into->len};
    bytes_append(into, from->devices, from->devices_count * sizeof *from->devices);
    bytes_append(into, from->tombstones, from->tombstones_count * sizeof *from->tombstones);
}

bool inbox_state_disturbs(enum journal_type type)
{
    return type == JOURNAL_REMOVE || type == JOURNAL_SENT || type == JOURNAL_FORGET;
}

void inbox_state_save_entries(struct inbox_saved *saved, struct bytebuf *into, const struct inbox *from)
{
    uint32_t count = saved->inbox.entries_count;
    if (saved->has_entries)
        return;
    saved->has_entries = true;
    saved->entries_at = into->len;
    bytes_append(into, from->entries, count * sizeof *from->entries);
    for (uint32_t i = 0; i < count; i++) {
        buf_ref(from->entries[i].message);
        if (from->entries[i].collapse_key != NULL)
            buf_ref(from->entries[i].collapse_key);
    }
}

/* The next `count` of what was saved, in a block of their own. */
static void *take_array(const uint8_t **from, uint32_t count, size_t size)
{
    if (count == 0)
        return NULL;
    void *to = object_alloc(count * size);
    memcpy(to, *from, count * size);
    *from += count * size;
    return to;
}

/* The entries that were there, in a block of their own; what came later is given up. */
static struct inbox_entry *entries_before(struct inbox *now, const struct inbox_saved *saved,
                                          const struct bytebuf *from)
{
    uint32_t count = saved->inbox.entries_count;
    if (saved->has_entries) {
        const uint8_t *place = from->ptr + saved->entries_at;
        return take_array(&place, count, sizeof *now->entries);
    }
    const uint8_t *place = (const uint8_t *)now->entries;
    struct inbox_entry *entries = take_array(&place, count, sizeof *entries);
    /* clear() will give up those after. */
    now->entries_count -= count;
    if (now->entries_count > 0)
        memmove(now->entries, now->entries + count, now->entries_count * sizeof *entries);
    return entries;
}

void inbox_state_restore(struct inbox *inbox, const struct inbox_saved *saved, const struct bytebuf *from)
{
    const uint8_t *place = from->ptr + saved->at;
    struct inbox_entry *entries = entries_before(inbox, saved, from);
    const struct inbox now = *inbox;
    clear(inbox);
    *inbox = saved->inbox;
    inbox->recent = now.recent;
    inbox->recent_room = now.recent_room;
    inbox->fates = now.fates;
    inbox->fates_room = now.fates_room;
    inbox->devices = take_array(&place, inbox->devices_count, sizeof *inbox->devices);
    inbox->tombstones = take_array(&place, inbox->tombstones_count, sizeof *inbox->tombstones);
    inbox->entries = entries;
    inbox->entries_room = inbox->entries_count;
}

void inbox_state_forget(const struct inbox_saved *saved, const struct bytebuf *from)
{
    const uint8_t *place = from->ptr + saved->entries_at;
    for (uint32_t i = 0; saved->has_entries && i < saved->inbox.entries_count; i++) {
        struct inbox_entry entry;
        memcpy(&entry, place + i * sizeof entry, sizeof entry);
        free_entry(&entry);
    }
}

void inbox_state_reset(struct inbox *inbox)
{
    clear(inbox);
    free(inbox->fates);
    free(inbox->recent);
    *inbox = (struct inbox){.key = inbox->key};
}

size_t inbox_state_bytes(const struct inbox *inbox)
{
    return inbox->devices_count * sizeof *inbox->devices + inbox->tombstones_count * sizeof *inbox->tombstones +
           inbox->recent_room * sizeof *inbox->recent + inbox->fates_room * sizeof *inbox->fates +
           inbox->entries_room * sizeof *inbox->entries + inbox->entries_count * sizeof(struct buf) +
           inbox->entries_bytes;
}
