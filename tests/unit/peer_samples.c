#include "unit/peer_samples.h"

#include "base/err.h"
#include "base/object.h"
#include "wire/peer_check.h"

static const struct route ROUTE = {.incarnation = 1700000000123, .node = 2, .loop = 1, .slot = 300, .generation = 9};
static const struct position AT = {0x0001000067a1b2c3, 300};
static const struct id ID = {{0x01, 0x94, 0x6b, 0x2e, 0x8c, 0x00, 0x70, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 0x2a}};

static struct peer_target target(void)
{
    return (struct peer_target){bytes_str("demo"), bytes_str("ana"), bytes_str("phone-1")};
}

static struct peer_send send_sample(struct buf *message)
{
    struct peer_send send = {.target = target(),
                             .id = ID,
                             .message = message,
                             .collapse_key = bytes_str("score"),
                             .priority = PEER_PRIORITY_HIGH,
                             .durability = PEER_DURABILITY_REPLICATED,
                             .sent_ms = 1738000000000,
                             .expires_ms = 1738000060000,
                             .require_device = true,
                             .has_key = true,
                             .body_hash = 77,
                             .key_expires_ms = 1738086400000};
    memset(send.key, 0x5a, sizeof send.key);
    return send;
}

static void put_beliefs(struct bytebuf *entries)
{
    struct peer_check check = {target(), AT, ROUTE, 5, 8};
    peer_check_put(entries, &check);
    check.route.slot++;
    check.position.seq++;
    peer_check_put(entries, &check);
}

static void fill_call(struct peer_msg *msg, enum peer_type type, struct buf *message, const struct bytebuf *entries)
{
    *msg = (struct peer_msg){.type = type};
    if (type == PEER_BIND)
        msg->bind = (struct peer_bind){target(), 5, 1738000000000, AT, ROUTE, 64, 65536, true};
    else if (type == PEER_UNBIND)
        msg->unbind = (struct peer_unbind){target(), ROUTE};
    else if (type == PEER_FETCH)
        msg->fetch = (struct peer_fetch){target(), AT, 250, 64, 65536};
    else if (type == PEER_ACK)
        msg->ack = (struct peer_ack){target(), AT};
    else if (type == PEER_CHECK)
        msg->check = (struct peer_checks){ROUTE, 2, bytes_view(entries)};
    else if (type == PEER_SEND)
        msg->send = send_sample(message);
    else if (type == PEER_RECALL)
        msg->recall = (struct peer_message_ref){target(), ID};
    else if (type == PEER_STATE)
        msg->state = (struct peer_message_ref){target(), ID};
    else if (type == PEER_ENROL)
        msg->enrol = target();
    else if (type == PEER_USER)
        msg->user = target();
    else if (type == PEER_REMOVE)
        msg->remove = (struct peer_remove){target(), 1738000000000};
    else if (type == PEER_DRAIN)
        msg->drain = (struct peer_drain){PEER_DRAIN_MOVE, 250, 1000};
    else if (type == PEER_TOPIC_INTEREST)
        msg->topic_interest =
            (struct peer_topic_interest){bytes_str("demo"), bytes_str("news"), 2, 1700000000123, 60000};
    else if (type == PEER_TOPIC_FETCH)
        msg->topic_fetch = (struct peer_topic_fetch){bytes_str("demo"), bytes_str("news"), AT, 64, 65536};
    else if (type == PEER_TOPIC_SEND)
        msg->topic_send = (struct peer_topic_send){.app = bytes_str("demo"),
                                                   .topic = bytes_str("news"),
                                                   .condition = bytes_str("when"),
                                                   .id = ID,
                                                   .message = message,
                                                   .durability = PEER_DURABILITY_REPLICATED,
                                                   .expires_ms = 1738000060000,
                                                   .has_key = true,
                                                   .body_hash = 77,
                                                   .key_expires_ms = 1738086400000};
    else if (type == PEER_SUBSCRIBE || type == PEER_UNSUBSCRIBE)
        msg->subscribe = (struct peer_subscribe){target(), bytes_str("news"), AT, ROUTE};
    else if (type == PEER_SUBSCRIPTIONS)
        msg->subscriptions = target();
    else
        msg->sessions = (struct peer_sessions){bytes_str("demo"), bytes_str("ana"), 3, 100};
}

static void fill_page(struct peer_page *page, struct buf *message)
{
    page->epoch = AT.epoch;
    page->upto = 302;
    page->head = 310;
    page->gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 290, .to = 299, .floor = 299, .lost_at_most = 9};
    page->count = 2;
    page->entries[0] = (struct peer_entry){301, message, 1738000060000};
    page->entries[1] = (struct peer_entry){302, message, 1738000070000};
}

static void fill_device(struct peer_device *device)
{
    *device = (struct peer_device){.device = "phone-1", .acked = 299, .route = ROUTE, .bound_ms = 1738000000000};
}

static void fill_topic_page(struct peer_topic_page *page, struct buf *message)
{
    page->verdict = SESSION_GAPPED;
    page->position = AT;
    page->upto = 302;
    page->head = 310;
    page->gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 290, .to = 299, .floor = 299, .lost_at_most = 9};
    page->count = 2;
    page->entries[0] = (struct peer_topic_entry){301, 1738000060000, message, bytes_str("when")};
    page->entries[1] = (struct peer_topic_entry){302, 1738000070000, message, {NULL, 0}};
}

static void put_reply(struct bytebuf *out, enum peer_type type, struct buf *message)
{
    struct peer_bound bound = {.verdict = SESSION_GAPPED, .position = AT, .replaced = ROUTE, .unnoted = true};
    struct peer_page page = {.epoch = 0};
    struct peer_stated stated = {.state = PEER_STATE_PENDING, .position = AT, .expires_ms = 1738000060000, .count = 1};
    struct peer_user user = {.head = AT, .floor = 290, .pending = 2, .pending_bytes = 240, .count = 1};
    struct peer_topic_page topic_page = {.head = 0};
    struct peer_subscriptions set = {.version = 8, .count = 1, .all = {{bytes_str("news"), AT}}};
    const struct peer_checked checked = {3, {{3, PEER_BEHIND}, {3, PEER_CHANGED}, {200, PEER_UNROUTED}}};
    struct peer_reply reply = {.status = 0};
    struct buf *records = buf_copy(bytes_str("\x0a\x03one\x0a\x03two"));
    fill_page(&bound.page, message);
    fill_page(&page, message);
    fill_topic_page(&topic_page, message);
    fill_device(&stated.devices[0]);
    fill_device(&user.devices[0]);
    if (type == PEER_BIND)
        reply.bound = &bound;
    else if (type == PEER_FETCH)
        reply.fetched = &page;
    else if (type == PEER_CHECK)
        reply.checked = &checked;
    else if (type == PEER_SEND)
        reply.sent = (struct peer_sent){AT, true, ID};
    else if (type == PEER_STATE)
        reply.stated = &stated;
    else if (type == PEER_USER)
        reply.user = &user;
    else if (type == PEER_REMOVE)
        reply.removed.route = ROUTE;
    else if (type == PEER_SESSIONS)
        reply.sessions = (struct peer_session_list){records, 2, 42};
    else if (type == PEER_DRAIN)
        reply.drained = (struct peer_drained){true, 5000, 3000, 120, 1880};
    else if (type == PEER_TOPIC_INTEREST)
        reply.topic_head = AT;
    else if (type == PEER_TOPIC_FETCH)
        reply.topic_page = &topic_page;
    else if (type == PEER_TOPIC_SEND)
        reply.sent = (struct peer_sent){AT, true, ID};
    else if (type == PEER_SUBSCRIBE || type == PEER_UNSUBSCRIBE)
        reply.subscribed = (struct peer_subscribed){AT, 8, 7};
    else if (type == PEER_SUBSCRIPTIONS)
        reply.subscriptions = &set;
    else if (type == PEER_RECALL)
        reply.status = PETREL_E_ALREADY_DELIVERED;
    const int rc = peer_codec_encode_reply(out, PEER_SAMPLES_NUMBER, type, &reply);
    petrel_assert(rc == 0);
    buf_unref(records);
}

static struct buf *topic_record(struct buf *message)
{
    const struct peer_topic_news news = {.app = bytes_str("demo"),
                                         .topic = bytes_str("news"),
                                         .position = AT,
                                         .prev = 299,
                                         .expires_ms = 1738000060000,
                                         .condition = bytes_str("when"),
                                         .nodes = 3,
                                         .message = buf_bytes(message)};
    return peer_codec_topic_pack(&news);
}

static void put_tell(struct bytebuf *out, enum peer_type type, struct buf *message)
{
    struct buf *records = buf_copy(bytes_str("\x0a\x06\x0a\x04"
                                             "demo"));
    struct peer_msg msg = {.type = type};
    if (type == PEER_DELIVER)
        msg.deliver = (struct peer_deliver){ROUTE, AT, 299, message, true};
    else if (type == PEER_EVICT)
        msg.evict = (struct peer_evict){ROUTE, SESSION_CODE_KICKED};
    else if (type == PEER_RESUBSCRIBED)
        msg.resubscribed.route = ROUTE;
    else if (type == PEER_TOPIC_DELIVER)
        msg.topic_deliver.record = topic_record(message);
    else
        msg.apps = (struct peer_apps){12, records};
    const int rc = peer_codec_encode_tell(out, &msg);
    petrel_assert(rc == 0);
    if (type == PEER_TOPIC_DELIVER)
        buf_unref(msg.topic_deliver.record);
    buf_unref(records);
}

void peer_samples_encode(struct bytebuf *out, enum peer_samples_kind kind, enum peer_type type)
{
    struct buf *message = buf_copy(bytes_str("hi"));
    if (kind == PEER_SAMPLES_CALL) {
        struct peer_msg msg;
        struct bytebuf entries = {0};
        put_beliefs(&entries);
        fill_call(&msg, type, message, &entries);
        const int rc = peer_codec_encode_call(out, PEER_SAMPLES_NUMBER, &msg);
        petrel_assert(rc == 0);
        bytes_reset(&entries);
    } else if (kind == PEER_SAMPLES_REPLY) {
        put_reply(out, type, message);
    } else {
        put_tell(out, type, message);
    }
    buf_unref(message);
}

struct peer_hello peer_samples_hello(void)
{
    struct peer_hello hello = {.version = PEER_PROTOCOL_VERSION,
                               .node = 2,
                               .loop = 1,
                               .incarnation = ROUTE.incarnation,
                               .name = bytes_str("s1"),
                               .window = 1024,
                               .serial = 3};
    memset(hello.nonce, 0xa5, sizeof hello.nonce);
    return hello;
}

static int recode_reply(struct peer_codec *codec, const struct frame *frame, struct bytebuf *out)
{
    uint32_t number;
    struct peer_reply reply;
    const enum peer_type type = (enum peer_type)(frame->type - PEER_CODEC_REPLY);
    const int rc = peer_codec_decode_reply(codec, frame, &number, &reply);
    if (rc != 0)
        return rc;
    const int put = peer_codec_encode_reply(out, number, type, &reply);
    petrel_assert(put == 0);
    if (type == PEER_SESSIONS && reply.status == 0)
        buf_unref(reply.sessions.records);
    peer_codec_release_reply(type, &reply);
    return 0;
}

static int recode_msg(struct peer_codec *codec, const struct frame *frame, struct bytebuf *out)
{
    uint32_t number = 0;
    struct peer_msg msg;
    const bool call = peer_codec_is_call(frame->type);
    const int rc =
        call ? peer_codec_decode_call(codec, frame, &number, &msg) : peer_codec_decode_tell(codec, frame, &msg);
    if (rc != 0)
        return rc;
    const int put = call ? peer_codec_encode_call(out, number, &msg) : peer_codec_encode_tell(out, &msg);
    petrel_assert(put == 0);
    peer_codec_release_msg(&msg);
    return 0;
}

int peer_samples_recode(struct peer_codec *codec, const struct frame *frame, struct bytebuf *out)
{
    struct peer_hello hello;
    uint8_t mac[DIGEST_SHA256_BYTES];
    int rc = PETREL_E_PROTOCOL;
    if (peer_codec_is_reply(frame->type))
        return recode_reply(codec, frame, out);
    if (peer_codec_is_call(frame->type) || peer_codec_is_tell(frame->type))
        return recode_msg(codec, frame, out);
    if (frame->type == PEER_HELLO && (rc = peer_codec_decode_hello(codec, frame->body, &hello)) == 0)
        peer_codec_encode_hello(out, &hello);
    else if (frame->type == PEER_PROOF && (rc = peer_codec_decode_proof(codec, frame->body, mac)) == 0)
        peer_codec_encode_proof(out, mac);
    return rc;
}
