#include "loop/tls_record.h"

#include "base/err.h"
#include "base/object.h"

#include <openssl/crypto.h>

enum content_type { CONTENT_ALERT = 21, CONTENT_HANDSHAKE = 22, CONTENT_DATA = 23 };
enum message_type { MESSAGE_NEW_SESSION_TICKET = 4, MESSAGE_KEY_UPDATE = 24 };
enum key_update { UPDATE_NOT_REQUESTED = 0, UPDATE_REQUESTED = 1 };

#define MESSAGE_HEADER 4U
#define ALERT_WARNING 1U
#define ALERT_FATAL 2U
/* Lifetime, age_add, nonce, ticket and extensions, each as long as it can be. */
#define TICKET_MAX (4U + 4U + 256U + 65537U + 65536U)

void tls_record_init(struct tls_record *record, struct tls_cipher *cipher, enum tls_suite suite, bool client,
                     const uint8_t *in_secret, const uint8_t *out_secret, uint64_t in_seq, uint64_t out_seq)
{
    *record = (struct tls_record){.in_seq = in_seq, .out_seq = out_seq, .suite = suite & 3U, .client = client};
    tls_cipher_set(cipher, suite, in_secret, &record->in);
    tls_cipher_set(cipher, suite, out_secret, &record->out);
}

void tls_record_wipe(struct tls_record *record)
{
    OPENSSL_cleanse(record, sizeof *record);
}

int tls_record_size(struct bytes data, size_t max, size_t *size)
{
    if (data.len < TLS_HEADER_SIZE)
        return PETREL_E_NEED_MORE;
    size_t length = (size_t)data.ptr[3] << 8 | data.ptr[4];
    if (length > max)
        return PETREL_E_TOO_LARGE;
    *size = TLS_HEADER_SIZE + length;
    return 0;
}

/* ---- in ---- */

static int fail(struct tls_record *record, enum tls_alert alert)
{
    record->in_closed = true;
    record->alert = (uint8_t)alert;
    return PETREL_E_PROTOCOL;
}

static int on_alert(struct tls_record *record, struct bytes content)
{
    if (content.len != 2)
        return fail(record, content.len == 0 ? TLS_ALERT_UNEXPECTED_MESSAGE : TLS_ALERT_DECODE_ERROR);
    if (content.ptr[1] == TLS_ALERT_USER_CANCELED)
        return 0; /* close_notify follows */
    record->in_closed = true;
    return content.ptr[1] == TLS_ALERT_CLOSE_NOTIFY ? PETREL_E_EOF : PETREL_E_PROTOCOL;
}

/* The one byte of a KeyUpdate has come, and ends its record. */
static int on_key_update(struct tls_record *record, struct tls_cipher *cipher, uint8_t request)
{
    if (request > UPDATE_REQUESTED)
        return fail(record, TLS_ALERT_ILLEGAL_PARAMETER);
    tls_cipher_update(cipher, record->suite, &record->in);
    record->in_seq = 0;
    if (request == UPDATE_REQUESTED)
        record->update = true; /* however often it asks meanwhile, it gets one */
    return 0;
}

/* The four bytes that messages begin with are there. */
static int on_message_header(struct tls_record *record)
{
    uint32_t length = (uint32_t)record->message[1] << 16 | (uint32_t)record->message[2] << 8 | record->message[3];
    switch (record->message[0]) {
    case MESSAGE_KEY_UPDATE:
        return length == 1 ? 0 : fail(record, TLS_ALERT_DECODE_ERROR);
    case MESSAGE_NEW_SESSION_TICKET:
        if (!record->client)
            return fail(record, TLS_ALERT_UNEXPECTED_MESSAGE);
        if (length > TICKET_MAX)
            return fail(record, TLS_ALERT_DECODE_ERROR);
        record->skip = length;
        record->message_len = 0;
        return 0;
    default:
        return fail(record, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

/* Messages may share records and be spread over them, but for a KeyUpdate, behind which the keys are others. */
static int on_handshake(struct tls_record *record, struct tls_cipher *cipher, struct bytes content)
{
    if (content.len == 0)
        return fail(record, TLS_ALERT_UNEXPECTED_MESSAGE);
    for (size_t at = 0; at < content.len;) {
        if (record->skip > 0) {
            size_t passed = content.len - at < record->skip ? content.len - at : record->skip;
            record->skip -= (uint32_t)passed;
            at += passed;
            continue;
        }
        record->message[record->message_len++] = content.ptr[at++];
        int rc = record->message_len == MESSAGE_HEADER ? on_message_header(record) : 0;
        if (rc != 0)
            return rc;
        if (record->message_len <= MESSAGE_HEADER)
            continue;
        record->message_len = 0;
        if (at < content.len)
            return fail(record, TLS_ALERT_UNEXPECTED_MESSAGE);
        return on_key_update(record, cipher, record->message[MESSAGE_HEADER]);
    }
    return 0;
}

static int on_content(struct tls_record *record, struct tls_cipher *cipher, uint8_t type, struct bytes content,
                      struct bytes *data)
{
    bool within_message = record->message_len > 0 || record->skip > 0;
    if (within_message && type != CONTENT_HANDSHAKE)
        return fail(record, TLS_ALERT_UNEXPECTED_MESSAGE);
    if (type == CONTENT_DATA && content.len > 0) {
        record->idle = 0;
        *data = content;
        return 0;
    }
    if (++record->idle > TLS_IDLE_MAX)
        return fail(record, TLS_ALERT_UNEXPECTED_MESSAGE);
    switch (type) {
    case CONTENT_DATA:
        return 0;
    case CONTENT_HANDSHAKE:
        return on_handshake(record, cipher, content);
    case CONTENT_ALERT:
        return on_alert(record, content);
    default:
        return fail(record, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

int tls_record_open(struct tls_record *record, struct tls_cipher *cipher, uint8_t *bytes, size_t size,
                    struct bytes *data)
{
    petrel_assert(!record->in_closed && size >= TLS_HEADER_SIZE);
    *data = bytes_of(bytes + TLS_HEADER_SIZE, 0);
    if (bytes[0] != CONTENT_DATA)
        return fail(record, TLS_ALERT_UNEXPECTED_MESSAGE);
    size_t sealed = size - TLS_HEADER_SIZE;
    if (sealed > TLS_SEALED_MAX)
        return fail(record, TLS_ALERT_RECORD_OVERFLOW);
    if (sealed < TLS_TAG_SIZE + 1)
        return fail(record, TLS_ALERT_DECODE_ERROR);
    uint8_t *content = bytes + TLS_HEADER_SIZE;
    size_t len = sealed - TLS_TAG_SIZE;
    if (!tls_cipher_open(cipher, record->suite, &record->in, record->in_seq, bytes, content, len))
        return fail(record, TLS_ALERT_BAD_RECORD_MAC);
    record->in_seq++;
    if (len > TLS_DATA_MAX + 1)
        return fail(record, TLS_ALERT_RECORD_OVERFLOW);
    while (len > 0 && content[len - 1] == 0)
        len--;
    if (len == 0)
        return fail(record, TLS_ALERT_UNEXPECTED_MESSAGE);
    return on_content(record, cipher, content[len - 1], bytes_of(content, len - 1), data);
}

/* ---- out ---- */

/* Put header, type and tag around the len bytes that lie behind the header. Returns the record's size. */
static size_t wrap(struct tls_record *record, struct tls_cipher *cipher, uint8_t *out, enum content_type type,
                   size_t len)
{
    size_t sealed = len + 1 + TLS_TAG_SIZE;
    out[0] = CONTENT_DATA;
    out[1] = 3;
    out[2] = 3;
    out[3] = (uint8_t)(sealed >> 8);
    out[4] = (uint8_t)sealed;
    out[TLS_HEADER_SIZE + len] = (uint8_t)type;
    tls_cipher_seal(cipher, record->suite, &record->out, record->out_seq, out, out + TLS_HEADER_SIZE, len + 1);
    record->out_seq++;
    return TLS_HEADER_SIZE + sealed;
}

static void seal_key_update(struct tls_record *record, struct tls_cipher *cipher, uint8_t *out)
{
    const uint8_t message[] = {MESSAGE_KEY_UPDATE, 0, 0, 1, UPDATE_NOT_REQUESTED};
    memcpy(out + TLS_HEADER_SIZE, message, sizeof message);
    size_t size = wrap(record, cipher, out, CONTENT_HANDSHAKE, sizeof message);
    petrel_assert(size == TLS_KEY_UPDATE_SIZE);
    tls_cipher_update(cipher, record->suite, &record->out);
    record->out_seq = 0;
    record->update = false;
}

struct bytes tls_record_seal(struct tls_record *record, struct tls_cipher *cipher, uint8_t *buffer, size_t len)
{
    petrel_assert(len > 0 && len <= TLS_DATA_MAX && !record->out_closed);
    /* The KeyUpdate itself and the alert that ends the connection have their numbers under this key too. */
    bool update = record->update || record->out_seq >= TLS_SEALED_PER_KEY - 2;
    if (update)
        seal_key_update(record, cipher, buffer);
    uint8_t *out = buffer + TLS_KEY_UPDATE_SIZE;
    size_t size = wrap(record, cipher, out, CONTENT_DATA, len);
    return update ? bytes_of(buffer, TLS_KEY_UPDATE_SIZE + size) : bytes_of(out, size);
}

struct bytes tls_record_alert(struct tls_record *record, struct tls_cipher *cipher, enum tls_alert alert,
                              uint8_t out[TLS_ALERT_SIZE])
{
    petrel_assert(!record->out_closed);
    record->out_closed = true;
    out[TLS_HEADER_SIZE] = alert == TLS_ALERT_CLOSE_NOTIFY ? ALERT_WARNING : ALERT_FATAL;
    out[TLS_HEADER_SIZE + 1] = (uint8_t)alert;
    size_t size = wrap(record, cipher, out, CONTENT_ALERT, 2);
    return bytes_of(out, size);
}
