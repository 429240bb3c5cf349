#include "base/bytes.h"
#include "base/hash.h"
#include "petrel/core.h"

/* A packed state, little endian: magic and version (8 bytes), the check (8), epoch, seq, attempt (8 each), the count of ids
 * (4), the count of topics (4), the ids, the topics (80 each: name, zeroes up to 64; epoch, seq). The check is over all that follows it: a file that was half written is no state. */
#define STATE_MAGIC "PTRLST\0\1"
#define STATE_HEAD 48
#define STATE_TOPIC 80
#define STATE_CHECKED 16 /* where the checked part begins */

static void put(uint8_t *out, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *in, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

static uint64_t check_of(const uint8_t *packed, size_t len)
{
    return hash_bytes(bytes_of(packed + STATE_CHECKED, len - STATE_CHECKED), 0);
}

size_t petrel_state_pack(const struct petrel_state *state, uint8_t *out)
{
    size_t ids = state->recent_count * sizeof state->recent[0];
    memcpy(out, STATE_MAGIC, 8);
    put(out + 16, state->epoch, 8);
    put(out + 24, state->seq, 8);
    put(out + 32, state->attempt, 8);
    put(out + 40, state->recent_count, 4);
    put(out + 44, state->topics_count, 4);
    memcpy(out + STATE_HEAD, state->recent, ids);
    size_t len = STATE_HEAD + ids;
    for (uint32_t i = 0; i < state->topics_count; i++, len += STATE_TOPIC) {
        memcpy(out + len, state->topics[i].name, PETREL_TOPIC_NAME);
        put(out + len + PETREL_TOPIC_NAME, state->topics[i].epoch, 8);
        put(out + len + PETREL_TOPIC_NAME + 8, state->topics[i].seq, 8);
    }
    put(out + 8, check_of(out, len), 8);
    return len;
}

static int unpack_topics(const uint8_t *bytes, struct petrel_state *out)
{
    for (uint32_t i = 0; i < out->topics_count; i++, bytes += STATE_TOPIC) {
        struct petrel_topic *topic = &out->topics[i];
        memcpy(topic->name, bytes, PETREL_TOPIC_NAME);
        topic->epoch = get(bytes + PETREL_TOPIC_NAME, 8);
        topic->seq = get(bytes + PETREL_TOPIC_NAME + 8, 8);
        if (topic->name[0] == '\0' || topic->epoch == 0)
            return -1;
    }
    return 0;
}

int petrel_state_unpack(const uint8_t *bytes, size_t len, struct petrel_state *state)
{
    if (len < STATE_HEAD || len > PETREL_STATE_BYTES || memcmp(bytes, STATE_MAGIC, 8) != 0 ||
        get(bytes + 8, 8) != check_of(bytes, len))
        return -1;
    uint64_t count = get(bytes + 40, 4);
    uint64_t topics = get(bytes + 44, 4);
    if (count > PETREL_RECENT_IDS || topics > PETREL_TOPICS ||
        len != STATE_HEAD + count * sizeof state->recent[0] + topics * STATE_TOPIC)
        return -1;
    struct petrel_state read = {
        .epoch = get(bytes + 16, 8),
        .seq = get(bytes + 24, 8),
        .attempt = get(bytes + 32, 8),
        .recent_count = (uint32_t)count,
        .topics_count = (uint32_t)topics,
    };
    if (read.epoch == 0 && read.seq != 0)
        return -1; /* a seq means nothing without its epoch */
    memcpy(read.recent, bytes + STATE_HEAD, count * sizeof read.recent[0]);
    if (unpack_topics(bytes + STATE_HEAD + count * sizeof read.recent[0], &read) != 0)
        return -1;
    *state = read;
    return 0;
}
