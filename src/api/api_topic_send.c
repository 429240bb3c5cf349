#include "api/api_topic_send.h"

#include "api/api_send.h"
#include "base/err.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>

/* No user is called so, which keeps ids and idempotency keys of topics apart from those of users. */
#define NO_USER ((struct bytes){NULL, 0})

static int read_topic(struct api_send *send, struct bytes app, struct bytes topic)
{
    if (topic.len > PEER_TOPIC_NAME_MAX || !route_valid_device(topic))
        return api_error_set(&send->error, API_ERROR_INVALID, "to.topic", "must be 1 to %d of A-Z a-z 0-9 . _ : -",
                             PEER_TOPIC_NAME_MAX);
    api_address_set_target(&send->target, app, NO_USER, topic);
    send->topic.parts = 1;
    return 0;
}

static int read_condition(struct api_send *send, struct bytes app, struct bytes text)
{
    struct condition *condition = &send->topic.condition;
    const char *why = NULL;
    char name[24];
    const int rc = condition_parse(text, condition, &why);
    if (rc != 0)
        return api_error_set(&send->error, rc == PETREL_E_TOO_LARGE ? API_ERROR_TOO_LARGE : API_ERROR_INVALID,
                             "to.condition", "%s", why != NULL ? why : "is one that no device can meet");
    (void)snprintf(name, sizeof name, "?%016" PRIx64, hash_bytes(text, 0));
    api_address_set_target(&send->target, app, NO_USER, bytes_str(name));
    send->topic.parts = condition->terms_count;
    return 0;
}

int api_topic_send_read(struct api_send *send, struct bytes app, struct bytes topic, struct bytes condition)
{
    send->topic.is = true;
    return topic.ptr != NULL ? read_topic(send, app, topic) : read_condition(send, app, condition);
}

/* The next part's term, the present one or a later one. */
static void find_part(struct condition *condition)
{
    while (condition->term + 1 < condition->terms_count && !condition_ends_part(condition, condition->term))
        condition->term++;
}

/* The log and the terms of the condition's present part. */
static void fill_part(struct api_send *send)
{
    struct api_topic_send *topic = &send->topic;
    struct peer_topic_send *out = &send->call.in.topic_send;
    const struct condition *condition = &topic->condition;
    const char *log = send->target.device;
    if (condition->terms_count > 0) {
        log = condition_topic(condition, condition->term);
        log = log != NULL ? log : PEER_TOPIC_ALL;
    }
    topic->packed.len = 0;
    condition_pack(condition, &topic->packed);
    out->topic = bytes_str(log);
    out->condition = bytes_view(&topic->packed);
}

void api_topic_send_begin(struct api_send *send, uint32_t rate)
{
    const struct peer_send in = send->call.in.send;
    send->topic.id = in.id;
    send->topic.duplicate = true;
    send->topic.condition.rate = rate;
    send->call.in = (struct peer_msg){.type = PEER_TOPIC_SEND};
    send->call.in.topic_send = (struct peer_topic_send){
        .app = bytes_str(send->target.app),
        .id = in.id,
        .message = in.message,
        .durability = in.durability,
        .expires_ms = in.expires_ms,
        .has_key = in.has_key,
        .body_hash = in.body_hash,
        .key_expires_ms = in.key_expires_ms,
    };
    find_part(&send->topic.condition);
    fill_part(send);
}

bool api_topic_send_next(struct api_send *send)
{
    struct api_topic_send *topic = &send->topic;
    topic->duplicate = topic->duplicate && send->call.reply.sent.duplicate;
    if (topic->condition.term + 1 >= topic->parts)
        return false;
    topic->condition.term++;
    find_part(&topic->condition);
    fill_part(send);
    return true;
}

void api_topic_send_reset(struct api_topic_send *topic)
{
    bytes_reset(&topic->packed);
}
