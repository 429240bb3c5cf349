#include "store/inbox_pack.h"

#include "base/err.h"
#include "base/object.h"

/* 2: positions as distances from the head, which are mostly 0 or small. 1: as they are; still read. */
#define FORMAT_VERSION 2
#define MESSAGE_MAX (16U * 1024 * 1024) /* what a buf may hold */

enum entry_flags { ENTRY_SENT = 1, ENTRY_COLLAPSE = 2 };

static void put_device(struct bytebuf *out, const struct inbox *inbox, const struct inbox_device *device)
{
    bytes_put_varint(out, device->number);
    bytes_put_u8(out, device->bound ? 1 : 0);
    bytes_put_blob(out, bytes_str(device->name));
    bytes_put_varint(out, inbox->head - device->acked);
    bytes_put_varint(out, inbox->head - device->floor);
    bytes_put_varint(out, device->told);
    bytes_put_varint(out, device->attempt);
    bytes_put_varint(out, device->bound_ms);
}

static void put_entry(struct bytebuf *out, const struct inbox *inbox, const struct inbox_entry *entry)
{
    int flags = (entry->sent ? ENTRY_SENT : 0) | (entry->collapse_key != NULL ? ENTRY_COLLAPSE : 0);
    bytes_put_u8(out, (uint8_t)flags);
    bytes_put_u8(out, entry->priority);
    bytes_put_varint(out, inbox->head - entry->seq);
    bytes_append(out, entry->id.bytes, sizeof entry->id.bytes);
    bytes_put_varint(out, entry->expires_ms);
    bytes_put_varint(out, entry->target);
    if (entry->collapse_key != NULL)
        bytes_put_blob(out, buf_bytes(entry->collapse_key));
    bytes_put_blob(out, buf_bytes(entry->message));
}

void inbox_pack(struct bytebuf *out, const struct inbox *inbox)
{
    petrel_assert(inbox_state_exists(inbox));
    bytes_put_u8(out, FORMAT_VERSION);
    bytes_put_varint(out, inbox->head);
    bytes_put_varint(out, inbox->floor);
    bytes_put_varint(out, inbox->last_number);
    bytes_put_varint(out, inbox->epochs_count);
    for (uint32_t i = 0; i < inbox->epochs_count; i++) {
        bytes_put_varint(out, inbox->epochs[i].epoch);
        bytes_put_varint(out, inbox->head - inbox->epochs[i].seq);
    }
    bytes_put_varint(out, inbox->devices_count);
    for (uint32_t i = 0; i < inbox->devices_count; i++)
        put_device(out, inbox, &inbox->devices[i]);
    bytes_put_varint(out, inbox->tombstones_count);
    for (uint32_t i = 0; i < inbox->tombstones_count; i++) {
        bytes_put_blob(out, bytes_str(inbox->tombstones[i].name));
        bytes_put_varint(out, inbox->tombstones[i].revoked_ms);
    }
    bytes_put_varint(out, inbox->recent_count);
    for (uint32_t i = 0; i < inbox->recent_count; i++) {
        const struct inbox_recent *recent = inbox_state_recent(inbox, i);
        bytes_put_u64(out, recent->hash);
        bytes_put_varint(out, inbox->head - recent->seq);
        bytes_put_varint(out, recent->at_ms);
    }
    bytes_put_varint(out, inbox->fates_count);
    for (uint32_t i = 0; i < inbox->fates_count; i++) {
        const struct inbox_fate *fate = inbox_state_fate(inbox, i);
        bytes_put_u8(out, (uint8_t)fate->fate);
        bytes_put_u64(out, fate->hash);
        bytes_put_varint(out, inbox->head - fate->seq);
        bytes_put_varint(out, fate->at_ms);
        bytes_put_varint(out, fate->expires_ms);
    }
    bytes_put_varint(out, inbox->entries_count);
    for (uint32_t i = 0; i < inbox->entries_count; i++)
        put_entry(out, inbox, &inbox->entries[i]);
}

/* A count of things that take at least one byte each, so that a lie cannot take much memory. */
static int get_count(struct bytes *in, uint32_t *count)
{
    uint64_t value;
    if (bytes_get_varint(in, &value) != 0 || value > in->len)
        return PETREL_E_INVALID;
    *count = (uint32_t)value;
    return 0;
}

static int get_number(struct bytes *in, uint32_t *number)
{
    uint64_t value;
    if (bytes_get_varint(in, &value) != 0 || value > UINT32_MAX)
        return PETREL_E_INVALID;
    *number = (uint32_t)value;
    return 0;
}

static int get_name(struct bytes *in, char name[ROUTE_DEVICE_MAX + 1])
{
    struct bytes blob;
    if (bytes_get_blob(in, &blob) != 0 || blob.len > ROUTE_DEVICE_MAX)
        return PETREL_E_INVALID;
    memcpy(name, blob.ptr, blob.len);
    name[blob.len] = '\0';
    return 0;
}

static int get_device(struct bytes *in, struct inbox_device *device)
{
    uint8_t bound;
    if (get_number(in, &device->number) != 0 || bytes_get_u8(in, &bound) != 0 || get_name(in, device->name) != 0 ||
        bytes_get_varint(in, &device->acked) != 0 || bytes_get_varint(in, &device->floor) != 0 ||
        bytes_get_varint(in, &device->told) != 0 || bytes_get_varint(in, &device->attempt) != 0 ||
        bytes_get_varint(in, &device->bound_ms) != 0)
        return PETREL_E_INVALID;
    device->bound = bound != 0;
    return 0;
}

static int get_recent(struct bytes *in, struct inbox_recent *recent)
{
    if (bytes_get_u64(in, &recent->hash) != 0 || bytes_get_varint(in, &recent->seq) != 0)
        return PETREL_E_INVALID;
    return bytes_get_varint(in, &recent->at_ms);
}

static int get_fate(struct bytes *in, struct inbox_fate *fate)
{
    uint8_t number;
    if (bytes_get_u8(in, &number) != 0 || number < JOURNAL_ACKED || number > JOURNAL_ORPHANED ||
        bytes_get_u64(in, &fate->hash) != 0 || bytes_get_varint(in, &fate->seq) != 0 ||
        bytes_get_varint(in, &fate->at_ms) != 0)
        return PETREL_E_INVALID;
    fate->fate = (enum journal_fate)number;
    return bytes_get_varint(in, &fate->expires_ms);
}

/* On an error the entry holds nothing. */
static int get_entry(struct bytes *in, struct inbox_entry *entry)
{
    uint8_t flags;
    struct bytes collapse = {NULL, 0}, message;
    if (bytes_get_u8(in, &flags) != 0 || bytes_get_u8(in, &entry->priority) != 0 ||
        bytes_get_varint(in, &entry->seq) != 0 || in->len < sizeof entry->id.bytes)
        return PETREL_E_INVALID;
    memcpy(entry->id.bytes, in->ptr, sizeof entry->id.bytes);
    *in = bytes_of(in->ptr + sizeof entry->id.bytes, in->len - sizeof entry->id.bytes);
    if (bytes_get_varint(in, &entry->expires_ms) != 0 || get_number(in, &entry->target) != 0 ||
        ((flags & ENTRY_COLLAPSE) != 0 && bytes_get_blob(in, &collapse) != 0) || bytes_get_blob(in, &message) != 0 ||
        message.len > MESSAGE_MAX)
        return PETREL_E_INVALID;
    entry->sent = (flags & ENTRY_SENT) != 0;
    entry->collapse_key = collapse.ptr != NULL ? buf_copy(collapse) : NULL;
    entry->message = buf_copy(message);
    return 0;
}

static int get_head(struct bytes *in, struct inbox *inbox, uint8_t *version)
{
    if (bytes_get_u8(in, version) != 0 || *version == 0 || *version > FORMAT_VERSION ||
        bytes_get_varint(in, &inbox->head) != 0 || bytes_get_varint(in, &inbox->floor) != 0 ||
        get_number(in, &inbox->last_number) != 0 || get_count(in, &inbox->epochs_count) != 0)
        return PETREL_E_INVALID;
    if (inbox->epochs_count == 0 || inbox->epochs_count > INBOX_EPOCHS_MAX)
        return PETREL_E_INVALID;
    for (uint32_t i = 0; i < inbox->epochs_count; i++) {
        if (bytes_get_varint(in, &inbox->epochs[i].epoch) != 0 || bytes_get_varint(in, &inbox->epochs[i].seq) != 0)
            return PETREL_E_INVALID;
    }
    return 0;
}

static int get_devices(struct bytes *in, struct inbox *inbox)
{
    uint32_t count;
    if (get_count(in, &count) != 0)
        return PETREL_E_INVALID;
    inbox->devices = count > 0 ? object_zalloc(count * sizeof *inbox->devices) : NULL;
    while (inbox->devices_count < count) {
        if (get_device(in, &inbox->devices[inbox->devices_count]) != 0)
            return PETREL_E_INVALID;
        inbox->devices_count++;
    }
    if (get_count(in, &count) != 0)
        return PETREL_E_INVALID;
    inbox->tombstones = count > 0 ? object_zalloc(count * sizeof *inbox->tombstones) : NULL;
    while (inbox->tombstones_count < count) {
        struct inbox_tombstone *tombstone = &inbox->tombstones[inbox->tombstones_count];
        if (get_name(in, tombstone->name) != 0 || bytes_get_varint(in, &tombstone->revoked_ms) != 0)
            return PETREL_E_INVALID;
        inbox->tombstones_count++;
    }
    return 0;
}

static int get_memories(struct bytes *in, struct inbox *inbox)
{
    uint32_t count;
    if (get_count(in, &count) != 0)
        return PETREL_E_INVALID;
    inbox->recent = count > 0 ? object_zalloc(count * sizeof *inbox->recent) : NULL;
    inbox->recent_room = count;
    while (inbox->recent_count < count) {
        if (get_recent(in, &inbox->recent[inbox->recent_count]) != 0)
            return PETREL_E_INVALID;
        inbox->recent_count++;
    }
    if (get_count(in, &count) != 0)
        return PETREL_E_INVALID;
    inbox->fates = count > 0 ? object_zalloc(count * sizeof *inbox->fates) : NULL;
    inbox->fates_room = count;
    while (inbox->fates_count < count) {
        if (get_fate(in, &inbox->fates[inbox->fates_count]) != 0)
            return PETREL_E_INVALID;
        inbox->fates_count++;
    }
    return 0;
}

static int get_entries(struct bytes *in, struct inbox *inbox)
{
    uint32_t count;
    if (get_count(in, &count) != 0)
        return PETREL_E_INVALID;
    inbox->entries = count > 0 ? object_zalloc(count * sizeof *inbox->entries) : NULL;
    inbox->entries_room = count;
    while (inbox->entries_count < count) {
        struct inbox_entry *entry = &inbox->entries[inbox->entries_count];
        if (get_entry(in, entry) != 0)
            return PETREL_E_INVALID;
        inbox->entries_count++;
        inbox->entries_bytes += entry->message->len;
        if (inbox->entries_count == 1 || entry->expires_ms < inbox->next_expiry_ms)
            inbox->next_expiry_ms = entry->expires_ms;
    }
    return in->len == 0 ? 0 : PETREL_E_INVALID;
}

/* Distances from the head become positions. */
static void place(struct inbox *inbox)
{
    uint64_t head = inbox->head;
    for (uint32_t i = 0; i < inbox->epochs_count; i++)
        inbox->epochs[i].seq = head - inbox->epochs[i].seq;
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        inbox->devices[i].acked = head - inbox->devices[i].acked;
        inbox->devices[i].floor = head - inbox->devices[i].floor;
    }
    for (uint32_t i = 0; i < inbox->recent_count; i++)
        inbox->recent[i].seq = head - inbox->recent[i].seq;
    for (uint32_t i = 0; i < inbox->fates_count; i++)
        inbox->fates[i].seq = head - inbox->fates[i].seq;
    for (uint32_t i = 0; i < inbox->entries_count; i++)
        inbox->entries[i].seq = head - inbox->entries[i].seq;
}

int inbox_pack_read(struct inbox *inbox, struct bytes record)
{
    struct inbox fresh = {.key = inbox->key};
    uint8_t version;
    int err = get_head(&record, &fresh, &version);
    if (err == 0)
        err = get_devices(&record, &fresh);
    if (err == 0)
        err = get_memories(&record, &fresh);
    if (err == 0)
        err = get_entries(&record, &fresh);
    if (err != 0) {
        inbox_state_reset(&fresh);
        return err;
    }
    if (version >= 2)
        place(&fresh);
    inbox_state_reset(inbox);
    *inbox = fresh;
    return 0;
}

/* ---- a look ---- */

static int skip_varints(struct bytes *in, uint32_t count)
{
    for (; count > 0; count--) {
        while (in->len > 0 && (in->ptr[0] & 0x80) != 0)
            *in = bytes_of(in->ptr + 1, in->len - 1);
        if (in->len == 0)
            return PETREL_E_INVALID;
        *in = bytes_of(in->ptr + 1, in->len - 1);
    }
    return 0;
}

/* As put_device() writes it. */
static int look_at_device(struct bytes *in, struct bytes *name, struct inbox_standing *out)
{
    uint8_t bound;
    return skip_varints(in, 1) != 0 || bytes_get_u8(in, &bound) != 0 || bytes_get_blob(in, name) != 0 ||
                   skip_varints(in, 3) != 0 || bytes_get_varint(in, &out->attempt) != 0 ||
                   bytes_get_varint(in, &out->bound_ms) != 0
               ? PETREL_E_INVALID
               : 0;
}

int inbox_pack_stand(struct bytes record, struct bytes device, struct inbox_standing *out, uint32_t *number)
{
    uint8_t version;
    uint32_t epochs, devices;
    *out = (struct inbox_standing){0};
    if (bytes_get_u8(&record, &version) != 0 || version != FORMAT_VERSION ||
        bytes_get_varint(&record, &out->head.seq) != 0 || skip_varints(&record, 2) != 0 ||
        get_count(&record, &epochs) != 0)
        return PETREL_E_INVALID;
    for (; epochs > 0; epochs--) {
        if (bytes_get_varint(&record, &out->head.epoch) != 0 || skip_varints(&record, 1) != 0)
            return PETREL_E_INVALID;
    }
    if (get_count(&record, &devices) != 0)
        return PETREL_E_INVALID;
    for (*number = 0; *number < devices && !out->is_enrolled; ++*number) {
        struct bytes name;
        if (look_at_device(&record, &name, out) != 0)
            return PETREL_E_INVALID;
        out->is_enrolled = bytes_equal(name, device);
    }
    *number -= out->is_enrolled;
    return 0;
}
