#include "store/journal.h"

#include "base/err.h"
#include "base/object.h"

#define FORMAT_VERSION 1
#define MESSAGE_MAX (16U * 1024 * 1024) /* what a buf may hold */

enum append_flags {
    APPEND_SENT = 1,
    APPEND_HAS_KEY = 2,
    APPEND_COLLAPSE = 4,
};

void journal_begin(struct bytebuf *row, uint64_t at_ms)
{
    bytes_put_u8(row, FORMAT_VERSION);
    bytes_put_varint(row, at_ms);
}

static void put_append(struct bytebuf *row, const struct journal_append *append)
{
    int flags = (append->sent ? APPEND_SENT : 0) | (append->has_key ? APPEND_HAS_KEY : 0) |
                (append->collapse_key.ptr != NULL ? APPEND_COLLAPSE : 0);
    bytes_put_u8(row, (uint8_t)flags);
    bytes_append(row, append->id.bytes, sizeof append->id.bytes);
    bytes_put_u8(row, append->priority);
    bytes_put_varint(row, append->target);
    bytes_put_varint(row, append->expires_ms);
    if (append->collapse_key.ptr != NULL)
        bytes_put_blob(row, append->collapse_key);
    bytes_put_blob(row, buf_bytes(append->message));
}

static void put_key(struct bytebuf *row, const struct journal_key *key)
{
    bytes_append(row, key->digest, sizeof key->digest);
    bytes_put_u64(row, key->body_hash);
    bytes_append(row, key->id.bytes, sizeof key->id.bytes);
    bytes_put_varint(row, key->epoch);
    bytes_put_varint(row, key->seq);
    bytes_put_varint(row, key->expires_ms);
}

void journal_put(struct bytebuf *row, const struct journal_event *event)
{
    bytes_put_u8(row, (uint8_t)event->type);
    switch (event->type) {
    case JOURNAL_USER:
        bytes_put_blob(row, event->user);
        return;
    case JOURNAL_RECORD:
        bytes_put_blob(row, event->record);
        return;
    case JOURNAL_CREATE:
    case JOURNAL_EPOCH:
        bytes_put_varint(row, event->create.epoch);
        bytes_put_varint(row, event->create.head);
        return;
    case JOURNAL_FORGET:
        return;
    case JOURNAL_ENROL:
        bytes_put_varint(row, event->enrol.number);
        bytes_put_blob(row, event->enrol.name);
        bytes_put_varint(row, event->enrol.acked);
        return;
    case JOURNAL_BOUND:
    case JOURNAL_UNBOUND:
    case JOURNAL_GONE:
        bytes_put_varint(row, event->device.number);
        bytes_put_varint(row, event->device.attempt);
        return;
    case JOURNAL_TOMBSTONE:
        bytes_put_blob(row, event->tombstone.name);
        bytes_put_varint(row, event->tombstone.revoked_ms);
        return;
    case JOURNAL_APPEND:
        put_append(row, &event->append);
        return;
    case JOURNAL_REMOVE:
        bytes_put_varint(row, event->remove.seq);
        bytes_put_u8(row, (uint8_t)event->remove.fate);
        return;
    case JOURNAL_SENT:
    case JOURNAL_ACK:
        bytes_put_varint(row, event->reached.number);
        bytes_put_varint(row, event->reached.seq);
        return;
    case JOURNAL_KEY:
        put_key(row, &event->key);
        return;
    }
    object_panic(__FILE__, __LINE__, "an event of the table above");
}

static int get_raw(struct bytes *in, void *out, size_t len)
{
    if (in->len < len)
        return PETREL_E_INVALID;
    memcpy(out, in->ptr, len);
    *in = bytes_of(in->ptr + len, in->len - len);
    return 0;
}

static int get_number(struct bytes *in, uint32_t *out)
{
    uint64_t value;
    if (bytes_get_varint(in, &value) != 0 || value > UINT32_MAX)
        return PETREL_E_INVALID;
    *out = (uint32_t)value;
    return 0;
}

static int get_append(struct bytes *in, struct journal_append *append)
{
    uint8_t flags;
    struct bytes message;
    if (bytes_get_u8(in, &flags) != 0 || get_raw(in, append->id.bytes, sizeof append->id.bytes) != 0 ||
        bytes_get_u8(in, &append->priority) != 0 || get_number(in, &append->target) != 0 ||
        bytes_get_varint(in, &append->expires_ms) != 0)
        return PETREL_E_INVALID;
    append->sent = (flags & APPEND_SENT) != 0;
    append->has_key = (flags & APPEND_HAS_KEY) != 0;
    append->collapse_key = (struct bytes){NULL, 0};
    if ((flags & APPEND_COLLAPSE) != 0 && bytes_get_blob(in, &append->collapse_key) != 0)
        return PETREL_E_INVALID;
    if (bytes_get_blob(in, &message) != 0 || message.len > MESSAGE_MAX)
        return PETREL_E_INVALID;
    append->message = buf_copy(message);
    return 0;
}

static int get_key(struct bytes *in, struct journal_key *key)
{
    if (get_raw(in, key->digest, sizeof key->digest) != 0 || bytes_get_u64(in, &key->body_hash) != 0 ||
        get_raw(in, key->id.bytes, sizeof key->id.bytes) != 0 || bytes_get_varint(in, &key->epoch) != 0 ||
        bytes_get_varint(in, &key->seq) != 0 || bytes_get_varint(in, &key->expires_ms) != 0)
        return PETREL_E_INVALID;
    return 0;
}

static int get_event(struct bytes *in, struct journal_event *event)
{
    uint8_t fate;
    int err;
    switch (event->type) {
    case JOURNAL_USER:
        return bytes_get_blob(in, &event->user);
    case JOURNAL_RECORD:
        return bytes_get_blob(in, &event->record);
    case JOURNAL_CREATE:
    case JOURNAL_EPOCH:
        err = bytes_get_varint(in, &event->create.epoch);
        return err != 0 ? err : bytes_get_varint(in, &event->create.head);
    case JOURNAL_FORGET:
        return 0;
    case JOURNAL_ENROL:
        err = get_number(in, &event->enrol.number);
        if (err == 0)
            err = bytes_get_blob(in, &event->enrol.name);
        return err != 0 ? err : bytes_get_varint(in, &event->enrol.acked);
    case JOURNAL_BOUND:
    case JOURNAL_UNBOUND:
    case JOURNAL_GONE:
        err = get_number(in, &event->device.number);
        return err != 0 ? err : bytes_get_varint(in, &event->device.attempt);
    case JOURNAL_TOMBSTONE:
        err = bytes_get_blob(in, &event->tombstone.name);
        return err != 0 ? err : bytes_get_varint(in, &event->tombstone.revoked_ms);
    case JOURNAL_APPEND:
        return get_append(in, &event->append);
    case JOURNAL_REMOVE:
        err = bytes_get_varint(in, &event->remove.seq);
        if (err == 0)
            err = bytes_get_u8(in, &fate);
        if (err != 0 || fate < JOURNAL_ACKED || fate > JOURNAL_ORPHANED)
            return PETREL_E_INVALID;
        event->remove.fate = (enum journal_fate)fate;
        return 0;
    case JOURNAL_SENT:
    case JOURNAL_ACK:
        err = get_number(in, &event->reached.number);
        return err != 0 ? err : bytes_get_varint(in, &event->reached.seq);
    case JOURNAL_KEY:
        return get_key(in, &event->key);
    }
    return PETREL_E_INVALID;
}

int journal_open(struct journal_reader *reader, struct bytes row)
{
    uint8_t version;
    reader->rest = row;
    if (bytes_get_u8(&reader->rest, &version) != 0 || version != FORMAT_VERSION)
        return PETREL_E_INVALID;
    return bytes_get_varint(&reader->rest, &reader->at_ms);
}

int journal_next(struct journal_reader *reader, struct journal_event *event)
{
    uint8_t type;
    if (reader->rest.len == 0)
        return 0;
    memset(event, 0, sizeof *event);
    if (bytes_get_u8(&reader->rest, &type) != 0)
        return PETREL_E_INVALID;
    event->type = (enum journal_type)type;
    event->at_ms = reader->at_ms;
    return get_event(&reader->rest, event) == 0 ? 1 : PETREL_E_INVALID;
}

void journal_release(struct journal_event *event)
{
    if (event->type != JOURNAL_APPEND)
        return;
    buf_unref(event->append.message);
    event->append.message = NULL;
}
