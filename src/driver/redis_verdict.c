#include "driver/redis_verdict.h"

#include "base/err.h"

#include <stdio.h>

struct prefix {
    const char *word;
    enum redis_verdict verdict;
};

static const struct prefix prefixes[] = {
    {"MOVED", REDIS_VERDICT_MOVED},      {"ASK", REDIS_VERDICT_ASK},        {"NOSCRIPT", REDIS_VERDICT_NOSCRIPT},
    {"TRYAGAIN", REDIS_VERDICT_SOON},    {"BUSY", REDIS_VERDICT_SOON},      {"CLUSTERDOWN", REDIS_VERDICT_LATER},
    {"LOADING", REDIS_VERDICT_LATER},    {"READONLY", REDIS_VERDICT_LATER}, {"MASTERDOWN", REDIS_VERDICT_LATER},
    {"NOREPLICAS", REDIS_VERDICT_LATER}, {"OOM", REDIS_VERDICT_FULL},       {"MISCONF", REDIS_VERDICT_FULL},
};

enum redis_verdict redis_verdict_of(const struct redis_value *reply)
{
    if (reply->type != REDIS_ERROR)
        return REDIS_VERDICT_ANSWER;
    if (bytes_equal_str(reply->text, "ERR Function not found"))
        return REDIS_VERDICT_NOSCRIPT;
    const uint8_t *space = memchr(reply->text.ptr, ' ', reply->text.len);
    struct bytes word = bytes_of(reply->text.ptr, space != NULL ? (size_t)(space - reply->text.ptr) : reply->text.len);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (bytes_equal_str(word, prefixes[i].word))
            return prefixes[i].verdict;
    }
    return REDIS_VERDICT_ANSWER;
}

/* The text before the first of a character, which is taken off the input with it; absent when there is none. */
static struct bytes take_until(struct bytes *in, char end)
{
    const uint8_t *at = memchr(in->ptr, end, in->len);
    if (at == NULL)
        return (struct bytes){NULL, 0};
    struct bytes head = bytes_of(in->ptr, (size_t)(at - in->ptr));
    *in = bytes_of(at + 1, in->len - head.len - 1);
    return head;
}

static int read_number(struct bytes text, uint32_t max, uint32_t *out)
{
    uint32_t value = 0;
    if (text.len == 0 || text.len > 5)
        return PETREL_E_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return PETREL_E_INVALID;
        value = value * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *out = value;
    return value <= max ? 0 : PETREL_E_INVALID;
}

int redis_verdict_redirect(struct bytes text, const char *said_by, uint32_t *slot, struct redis_address *to)
{
    uint32_t port;
    if (take_until(&text, ' ').ptr == NULL)
        return PETREL_E_INVALID;
    struct bytes number = take_until(&text, ' ');
    const uint8_t *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL; /* IPv6 has more of them */
    if (number.ptr == NULL || colon == NULL || read_number(number, REDIS_SLOTS - 1, slot) != 0)
        return PETREL_E_INVALID;
    struct bytes host = bytes_of(text.ptr, (size_t)(colon - text.ptr));
    struct bytes rest = bytes_of(colon + 1, text.len - host.len - 1);
    if (read_number(rest, UINT16_MAX, &port) != 0)
        return PETREL_E_INVALID;
    return redis_slots_address(host.len > 0 ? host : bytes_str(said_by), port, to);
}
