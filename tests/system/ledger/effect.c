#include "system/ledger/effect.h"

#include "system/ledger/topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool read_number(const char *text, const char *member, uint32_t *out)
{
    const char *at = strstr(text, member);
    return at != NULL && sscanf(at + strlen(member), "\":%" SCNu32, out) == 1;
}

struct effect effect_of(const struct petrel_message *message, uint32_t senders)
{
    char text[128];
    struct effect effect = {0};
    const int log = topics_find(message->topic);
    effect.log = log >= 0 ? (uint32_t)log : TOPICS_INBOX;
    snprintf(text, sizeof text, "%.*s", (int)message->body_len, (const char *)message->body);
    effect.garbage = log < 0 || !message->is_json || !read_number(text, "\"sender", &effect.sender) ||
                     !read_number(text, "\"message", &effect.message) || effect.sender >= senders;
    memcpy(effect.id.bytes, message->id, sizeof effect.id.bytes);
    return effect;
}
