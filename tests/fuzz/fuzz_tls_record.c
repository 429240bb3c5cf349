/* The record layer of TLS: raw records from anyone, and records that a peer with the keys made as it pleases.
 *
 * The input: a byte (suite, whether we are the client), then steps, each of a kind, a length of two bytes and so much content. A step
 * is sealed by the peer as a record of any type, or comes as it is; whatever it is, what we seal afterwards is opened by the peer. */
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "loop/tls_record.h"

#include <stdlib.h>

#define STEP_HEADER 4U
#define RAW 0x80U

struct ends {
    struct tls_cipher *cipher;
    struct tls_record ours;
    struct tls_record peers;
    uint8_t bytes[TLS_HEADER_SIZE + 65536 + 256 + 17];
};

static size_t forge(struct ends *ends, uint8_t type, uint8_t padding, struct bytes content)
{
    size_t inner = content.len + 1 + padding;
    size_t sealed = inner + TLS_TAG_SIZE;
    const uint8_t header[] = {23, 3, 3, (uint8_t)(sealed >> 8), (uint8_t)sealed};
    memcpy(ends->bytes, header, sizeof header);
    memcpy(ends->bytes + TLS_HEADER_SIZE, content.ptr, content.len);
    ends->bytes[TLS_HEADER_SIZE + content.len] = type;
    memset(ends->bytes + TLS_HEADER_SIZE + content.len + 1, 0, padding);
    struct tls_record *peers = &ends->peers;
    tls_cipher_seal(ends->cipher, peers->suite, &peers->out, peers->out_seq++, header, ends->bytes + TLS_HEADER_SIZE,
                    inner);
    return TLS_HEADER_SIZE + sealed;
}

/* The peer changes its key when it has said so. */
static void follow(struct ends *ends, uint64_t in_seq_before)
{
    if (ends->ours.in_seq > in_seq_before || ends->ours.in_closed)
        return;
    tls_cipher_update(ends->cipher, ends->peers.suite, &ends->peers.out);
    ends->peers.out_seq = 0;
    petrel_assert(memcmp(&ends->ours.in, &ends->peers.out, sizeof ends->ours.in) == 0);
}

/* What we send is always as it should be. */
static void answer(struct ends *ends)
{
    uint8_t buffer[TLS_SEAL_SIZE(3)];
    memcpy(buffer + TLS_SEAL_AT, "yes", 3);
    struct bytes sealed = tls_record_seal(&ends->ours, ends->cipher, buffer, 3);
    struct bytes data = {0};
    for (size_t at = 0; at < sealed.len;) {
        size_t size;
        int rc = tls_record_size(bytes_of(sealed.ptr + at, sealed.len - at), TLS_SEALED_MAX, &size);
        petrel_assert(rc == 0);
        rc = tls_record_open(&ends->peers, ends->cipher, (uint8_t *)(uintptr_t)sealed.ptr + at, size, &data);
        petrel_assert(rc == 0);
        at += size;
    }
    petrel_assert(bytes_equal_str(data, "yes"));
}

static int step(struct ends *ends, uint8_t kind, uint8_t padding, struct bytes content)
{
    size_t size;
    if ((kind & RAW) == 0) {
        size = forge(ends, kind, padding, content);
    } else {
        memcpy(ends->bytes, content.ptr, content.len);
        if (tls_record_size(content, TLS_SEALED_MAX, &size) != 0 || size > content.len)
            return 0;
    }
    uint64_t before = ends->ours.in_seq;
    struct bytes data;
    int rc = tls_record_open(&ends->ours, ends->cipher, ends->bytes, size, &data);
    petrel_assert(data.ptr >= ends->bytes && data.ptr + data.len <= ends->bytes + size);
    petrel_assert(rc == 0 || (ends->ours.in_closed && data.len == 0));
    if (rc == 0)
        follow(ends, before);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t secrets[2][TLS_SECRET_MAX] = {{1}, {2}};
    struct ends *ends = object_zalloc(sizeof *ends);
    enum tls_suite suite = (enum tls_suite)(data[0] % TLS_SUITES);
    bool client = (data[0] & RAW) != 0;
    ends->cipher = tls_cipher_new();
    petrel_assert(ends->cipher != NULL);
    tls_record_init(&ends->ours, ends->cipher, suite, client, secrets[0], secrets[1], 0, 0);
    tls_record_init(&ends->peers, ends->cipher, suite, !client, secrets[1], secrets[0], 0, 0);
    int rc = 0;
    for (size_t at = 1; rc == 0 && size - at >= STEP_HEADER;) {
        size_t len = (size_t)data[at + 2] << 8 | data[at + 3];
        struct bytes content =
            bytes_of(data + at + STEP_HEADER, len < size - at - STEP_HEADER ? len : size - at - STEP_HEADER);
        rc = step(ends, data[at], data[at + 1], content);
        at += STEP_HEADER + content.len;
    }
    answer(ends);
    tls_cipher_free(&ends->cipher);
    free(ends);
    return 0;
}
