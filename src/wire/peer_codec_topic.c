/* peer_codec_topic.c: calls and tells about topics. */
#include "base/err.h"
#include "base/object.h"
#include "peer.pb-c.h"
#include "wire/peer_codec_impl.h"
#include "wire/text.h"

static Petrel__Peer__Position position_of(struct position at)
{
    Petrel__Peer__Position body = PETREL__PEER__POSITION__INIT;
    body.epoch = at.epoch;
    body.seq = at.seq;
    return body;
}

static struct position read_position(const Petrel__Peer__Position *body)
{
    return body != NULL ? (struct position){body->epoch, body->seq} : (struct position){0, 0};
}

static Petrel__Peer__Route route_of(const struct route *route)
{
    Petrel__Peer__Route body = PETREL__PEER__ROUTE__INIT;
    body.incarnation = route->incarnation;
    body.node = route->node;
    body.loop = route->loop;
    body.slot = route->slot;
    body.generation = route->generation;
    return body;
}

static int read_route(const Petrel__Peer__Route *body, struct route *out)
{
    if (body->loop > UINT16_MAX || body->generation == 0)
        return PETREL_E_PROTOCOL;
    *out = (struct route){.incarnation = body->incarnation,
                          .node = body->node,
                          .loop = (uint16_t)body->loop,
                          .slot = body->slot,
                          .generation = body->generation};
    return 0;
}

/* ---- encoding ---- */

static int put_interest(struct bytebuf *out, const uint32_t *number, const struct peer_topic_interest *interest)
{
    Petrel__Peer__TopicInterest body = PETREL__PEER__TOPIC_INTEREST__INIT;
    body.app = text_lend(interest->app);
    body.topic = text_lend(interest->topic);
    body.node = interest->node;
    body.incarnation = interest->incarnation;
    body.lease_ms = interest->lease_ms;
    return peer_codec_encode_frame(out, PEER_TOPIC_INTEREST, number, &body.base);
}

static int put_fetch(struct bytebuf *out, const uint32_t *number, const struct peer_topic_fetch *fetch)
{
    Petrel__Peer__Position position = position_of(fetch->position);
    Petrel__Peer__TopicFetch body = PETREL__PEER__TOPIC_FETCH__INIT;
    body.app = text_lend(fetch->app);
    body.topic = text_lend(fetch->topic);
    body.position = position_is_none(fetch->position) ? NULL : &position;
    body.max_entries = fetch->max_entries;
    body.max_bytes = fetch->max_bytes;
    return peer_codec_encode_frame(out, PEER_TOPIC_FETCH, number, &body.base);
}

static int put_send(struct bytebuf *out, const uint32_t *number, const struct peer_topic_send *send)
{
    Petrel__Peer__TopicSend body = PETREL__PEER__TOPIC_SEND__INIT;
    body.app = text_lend(send->app);
    body.topic = text_lend(send->topic);
    body.id = text_lend(bytes_of(send->id.bytes, sizeof send->id.bytes));
    body.message = text_lend(buf_bytes(send->message));
    body.condition = text_lend(send->condition);
    body.durability = send->durability;
    body.expires_ms = send->expires_ms;
    body.has_key = send->has_key;
    body.body_hash = send->body_hash;
    body.key_expires_ms = send->key_expires_ms;
    return peer_codec_encode_frame(out, PEER_TOPIC_SEND, number, &body.base);
}

static int put_subscribe(struct bytebuf *out, const uint32_t *number, enum peer_type type,
                         const struct peer_subscribe *subscribe)
{
    Petrel__Peer__Position position = position_of(subscribe->position);
    Petrel__Peer__Route asked_by = route_of(&subscribe->asked_by);
    Petrel__Peer__Subscribe body = PETREL__PEER__SUBSCRIBE__INIT;
    body.app = text_lend(subscribe->target.app);
    body.user = text_lend(subscribe->target.user);
    body.device = text_lend(subscribe->target.device);
    body.topic = text_lend(subscribe->topic);
    body.position = position_is_none(subscribe->position) ? NULL : &position;
    body.asked_by = subscribe->asked_by.generation != 0 ? &asked_by : NULL;
    return peer_codec_encode_frame(out, (uint8_t)type, number, &body.base);
}

static int put_subscriptions(struct bytebuf *out, const uint32_t *number, const struct peer_target *target)
{
    Petrel__Peer__Target body = PETREL__PEER__TARGET__INIT;
    body.app = text_lend(target->app);
    body.user = text_lend(target->user);
    body.device = text_lend(target->device);
    return peer_codec_encode_frame(out, PEER_SUBSCRIPTIONS, number, &body.base);
}

int peer_codec_topic_encode_call(struct bytebuf *out, uint32_t number, const struct peer_msg *msg)
{
    switch (msg->type) {
    case PEER_TOPIC_INTEREST:
        return put_interest(out, &number, &msg->topic_interest);
    case PEER_TOPIC_FETCH:
        return put_fetch(out, &number, &msg->topic_fetch);
    case PEER_TOPIC_SEND:
        return put_send(out, &number, &msg->topic_send);
    case PEER_SUBSCRIBE:
    case PEER_UNSUBSCRIBE:
        return put_subscribe(out, &number, msg->type, &msg->subscribe);
    case PEER_SUBSCRIPTIONS:
        return put_subscriptions(out, &number, &msg->subscriptions);
    default:
        object_panic(__FILE__, __LINE__, "no call");
    }
}

struct buf *peer_codec_topic_pack(const struct peer_topic_news *news)
{
    Petrel__Peer__Position position = position_of(news->position);
    Petrel__Peer__TopicDeliver body = PETREL__PEER__TOPIC_DELIVER__INIT;
    body.app = text_lend(news->app);
    body.topic = text_lend(news->topic);
    body.position = &position;
    body.prev = news->prev;
    body.expires_ms = news->expires_ms;
    body.condition = text_lend(news->condition);
    body.nodes = news->nodes;
    body.message = text_lend(news->message);
    struct buf *record = buf_new(protobuf_c_message_get_packed_size(&body.base));
    protobuf_c_message_pack(&body.base, record->data);
    return record;
}

/* The record is packed already. */
static int put_deliver(struct bytebuf *out, const struct peer_topic_deliver *deliver)
{
    const struct bytes record = buf_bytes(deliver->record);
    if (record.len > FRAME_BODY_MAX)
        return PETREL_E_TOO_LARGE;
    frame_header(bytes_reserve(out, FRAME_HEADER_BYTES + record.len), PEER_TOPIC_DELIVER, (uint32_t)record.len);
    out->len += FRAME_HEADER_BYTES;
    bytes_append(out, record.ptr, record.len);
    return 0;
}

int peer_codec_topic_encode_tell(struct bytebuf *out, const struct peer_msg *msg)
{
    if (msg->type == PEER_TOPIC_DELIVER)
        return put_deliver(out, &msg->topic_deliver);
    petrel_assert(msg->type == PEER_RESUBSCRIBED);
    Petrel__Peer__Route route = route_of(&msg->resubscribed.route);
    Petrel__Peer__Resubscribed body = PETREL__PEER__RESUBSCRIBED__INIT;
    body.route = &route;
    return peer_codec_encode_frame(out, PEER_RESUBSCRIBED, NULL, &body.base);
}

/* ---- decoding: a topic's name is the role's to judge; here it is a text ---- */

static bool names_topic(struct bytes app, struct bytes topic)
{
    return app.len > 0 && topic.len > 0 && text_is_printable(app, ROUTE_APP_MAX) &&
           text_is_printable(topic, PEER_TOPIC_NAME_MAX);
}

static bool names_device(const struct peer_target *target)
{
    return target->app.len > 0 && target->user.len > 0 && text_is_printable(target->app, ROUTE_APP_MAX) &&
           text_is_printable(target->user, ROUTE_USER_MAX) && text_is_printable(target->device, ROUTE_DEVICE_MAX);
}

static int read_interest(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__TopicInterest *body = unpacked;
    out->topic_interest = (struct peer_topic_interest){.app = text_borrow(body->app),
                                                       .topic = text_borrow(body->topic),
                                                       .node = body->node,
                                                       .incarnation = body->incarnation,
                                                       .lease_ms = body->lease_ms};
    return names_topic(out->topic_interest.app, out->topic_interest.topic) ? 0 : PETREL_E_PROTOCOL;
}

static int read_fetch(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__TopicFetch *body = unpacked;
    out->topic_fetch = (struct peer_topic_fetch){.app = text_borrow(body->app),
                                                 .topic = text_borrow(body->topic),
                                                 .position = read_position(body->position),
                                                 .max_entries = body->max_entries,
                                                 .max_bytes = body->max_bytes};
    const bool valid = names_topic(out->topic_fetch.app, out->topic_fetch.topic) && body->max_entries <= PEER_PAGE_MAX;
    return valid ? 0 : PETREL_E_PROTOCOL;
}

static int read_send(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__TopicSend *body = unpacked;
    struct peer_topic_send *send = &out->topic_send;
    *send = (struct peer_topic_send){.app = text_borrow(body->app),
                                     .topic = text_borrow(body->topic),
                                     .condition = text_borrow(body->condition),
                                     .durability = (enum peer_durability)body->durability,
                                     .expires_ms = body->expires_ms,
                                     .has_key = body->has_key != 0,
                                     .body_hash = body->body_hash,
                                     .key_expires_ms = body->key_expires_ms};
    if (!names_topic(send->app, send->topic) || body->durability > PEER_DURABILITY_REPLICATED ||
        body->message.len == 0 || body->id.len != sizeof send->id.bytes ||
        body->condition.len > PEER_TOPIC_CONDITION_MAX)
        return PETREL_E_PROTOCOL;
    memcpy(send->id.bytes, body->id.data, sizeof send->id.bytes);
    send->message = buf_copy(text_borrow(body->message));
    return 0;
}

static int read_subscribe(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Subscribe *body = unpacked;
    struct peer_subscribe *subscribe = &out->subscribe;
    subscribe->target =
        (struct peer_target){text_borrow(body->app), text_borrow(body->user), text_borrow(body->device)};
    subscribe->topic = text_borrow(body->topic);
    subscribe->position = read_position(body->position);
    if (!names_device(&subscribe->target) || !names_topic(subscribe->target.app, subscribe->topic))
        return PETREL_E_PROTOCOL;
    return body->asked_by != NULL ? read_route(body->asked_by, &subscribe->asked_by) : 0;
}

static int read_subscriptions(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Target *body = unpacked;
    out->subscriptions =
        (struct peer_target){text_borrow(body->app), text_borrow(body->user), text_borrow(body->device)};
    return names_device(&out->subscriptions) ? 0 : PETREL_E_PROTOCOL;
}

static int read_resubscribed(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Resubscribed *body = unpacked;
    return body->route != NULL ? read_route(body->route, &out->resubscribed.route) : PETREL_E_PROTOCOL;
}

struct row {
    enum peer_type type;
    const ProtobufCMessageDescriptor *body;
    int (*read)(const void *unpacked, struct peer_msg *out);
};

static const struct row ROWS[] = {
    {PEER_TOPIC_INTEREST, &petrel__peer__topic_interest__descriptor, read_interest},
    {PEER_TOPIC_FETCH, &petrel__peer__topic_fetch__descriptor, read_fetch},
    {PEER_TOPIC_SEND, &petrel__peer__topic_send__descriptor, read_send},
    {PEER_SUBSCRIBE, &petrel__peer__subscribe__descriptor, read_subscribe},
    {PEER_UNSUBSCRIBE, &petrel__peer__subscribe__descriptor, read_subscribe},
    {PEER_SUBSCRIPTIONS, &petrel__peer__target__descriptor, read_subscriptions},
    {PEER_RESUBSCRIBED, &petrel__peer__resubscribed__descriptor, read_resubscribed},
};

int peer_codec_topic_unpack(struct peer_codec *codec, struct bytes record, struct peer_topic_news *out)
{
    const Petrel__Peer__TopicDeliver *body = peer_codec_unpack(codec, &petrel__peer__topic_deliver__descriptor, record);
    if (body == NULL)
        return PETREL_E_PROTOCOL;
    *out = (struct peer_topic_news){.app = text_borrow(body->app),
                                    .topic = text_borrow(body->topic),
                                    .position = read_position(body->position),
                                    .prev = body->prev,
                                    .expires_ms = body->expires_ms,
                                    .condition = text_borrow(body->condition),
                                    .nodes = body->nodes,
                                    .message = text_borrow(body->message)};
    const bool valid = names_topic(out->app, out->topic) && !position_is_none(out->position) &&
                       out->prev < out->position.seq && out->message.len > 0 &&
                       out->condition.len <= PEER_TOPIC_CONDITION_MAX;
    return valid ? 0 : PETREL_E_PROTOCOL;
}

int peer_codec_topic_decode(struct peer_codec *codec, enum peer_type type, struct bytes body, struct peer_msg *out)
{
    *out = (struct peer_msg){.type = type};
    if (type == PEER_TOPIC_DELIVER) {
        struct peer_topic_news news;
        if (peer_codec_topic_unpack(codec, body, &news) != 0)
            return PETREL_E_PROTOCOL;
        out->topic_deliver.record = buf_copy(body);
        return 0;
    }
    size_t i = 0;
    while (i < sizeof ROWS / sizeof ROWS[0] && ROWS[i].type != type)
        i++;
    petrel_assert(i < sizeof ROWS / sizeof ROWS[0]);
    const void *unpacked = peer_codec_unpack(codec, ROWS[i].body, body);
    return unpacked != NULL ? ROWS[i].read(unpacked, out) : PETREL_E_PROTOCOL;
}
