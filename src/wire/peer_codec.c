#include "wire/peer_codec.h"

#include "base/err.h"
#include "base/object.h"
#include "wire/peer_codec_impl.h"

#include <stdlib.h>

#define HELLO_VERSION_TAG 0x08

struct peer_codec *peer_codec_new(void)
{
    struct peer_codec *codec = object_zalloc(sizeof *codec);
    codec->magic = PEER_CODEC_MAGIC;
    return codec;
}

void peer_codec_free(struct peer_codec **codec)
{
    if (*codec == NULL)
        return;
    object_check(*codec, PEER_CODEC_MAGIC);
    arena_reset(&(*codec)->arena);
    (*codec)->magic = 0;
    free(*codec);
    *codec = NULL;
}

bool peer_codec_is_call(uint8_t type)
{
    return (type >= PEER_BIND && type <= PEER_SUBSCRIPTIONS) || (type >= PEER_SEND && type <= PEER_TOPIC_SEND) ||
           type == PEER_SESSIONS || type == PEER_DRAIN;
}

bool peer_codec_is_reply(uint8_t type)
{
    return type >= PEER_CODEC_REPLY && peer_codec_is_call((uint8_t)(type - PEER_CODEC_REPLY));
}

bool peer_codec_is_tell(uint8_t type)
{
    return (type >= PEER_DELIVER && type <= PEER_APPS) || type == PEER_TOPIC_DELIVER || type == PEER_RESUBSCRIBED;
}

void *peer_codec_unpack(struct peer_codec *codec, const ProtobufCMessageDescriptor *type, struct bytes body)
{
    object_check(codec, PEER_CODEC_MAGIC);
    arena_begin(&codec->arena, body.len);
    ProtobufCAllocator allocator = arena_allocator(&codec->arena);
    return protobuf_c_message_unpack(type, &allocator, body.len, body.ptr);
}

int peer_codec_split_list(struct bytes body, struct bytes *records, uint32_t *count, uint64_t *number)
{
    const uint8_t *start = body.ptr;
    uint8_t tag = 0;
    *count = 0;
    *number = 0;
    *records = (struct bytes){NULL, 0};
    while (body.len > 0 && body.ptr[0] == PEER_CODEC_RECORD_TAG) {
        struct bytes record;
        body = bytes_of(body.ptr + 1, body.len - 1);
        if (bytes_get_blob(&body, &record) != 0)
            return PETREL_E_PROTOCOL;
        (*count)++;
        *records = bytes_of(start, (size_t)(body.ptr - start));
    }
    if (body.len == 0)
        return 0;
    if (bytes_get_u8(&body, &tag) != 0 || tag != PEER_CODEC_TRAILER_TAG || bytes_get_varint(&body, number) != 0 ||
        body.len > 0)
        return PETREL_E_PROTOCOL;
    return 0;
}

/* Field 1 comes first, whatever the version is. */
uint32_t peer_codec_version(struct bytes body)
{
    uint8_t tag;
    uint64_t version;
    if (bytes_get_u8(&body, &tag) != 0 || tag != HELLO_VERSION_TAG || bytes_get_varint(&body, &version) != 0 ||
        version > UINT32_MAX)
        return 0;
    return (uint32_t)version;
}

/* ---- what a decoded struct holds ---- */

void peer_codec_release_msg(struct peer_msg *msg)
{
    if (msg->type == PEER_SEND) {
        buf_unref(msg->send.message);
        msg->send.message = NULL;
    } else if (msg->type == PEER_DELIVER) {
        buf_unref(msg->deliver.message);
        msg->deliver.message = NULL;
    } else if (msg->type == PEER_APPS) {
        buf_unref(msg->apps.records);
        msg->apps.records = NULL;
    } else if (msg->type == PEER_TOPIC_SEND) {
        buf_unref(msg->topic_send.message);
        msg->topic_send.message = NULL;
    } else if (msg->type == PEER_TOPIC_DELIVER) {
        buf_unref(msg->topic_deliver.record);
        msg->topic_deliver.record = NULL;
    }
}

static void release_page(const struct peer_page *page)
{
    for (uint32_t i = 0; i < page->count; i++)
        buf_unref(page->entries[i].message);
}

void peer_codec_release_reply(enum peer_type type, struct peer_reply *reply)
{
    if (reply->status != 0)
        return;
    if (type == PEER_BIND)
        release_page(&reply->bound->page);
    else if (type == PEER_FETCH)
        release_page(reply->fetched);
    else if (type == PEER_TOPIC_FETCH)
        for (uint32_t i = 0; i < reply->topic_page->count; i++)
            buf_unref(reply->topic_page->entries[i].message);
}

static size_t target_texts(struct peer_target *target, struct bytes *texts[PEER_CODEC_TEXTS_MAX])
{
    texts[0] = &target->app;
    texts[1] = &target->user;
    texts[2] = &target->device;
    return 3;
}

size_t peer_codec_texts(struct peer_msg *call, struct bytes *texts[PEER_CODEC_TEXTS_MAX])
{
    switch (call->type) {
    case PEER_BIND:
        return target_texts(&call->bind.target, texts);
    case PEER_UNBIND:
        return target_texts(&call->unbind.target, texts);
    case PEER_FETCH:
        return target_texts(&call->fetch.target, texts);
    case PEER_ACK:
        return target_texts(&call->ack.target, texts);
    case PEER_CHECK:
        texts[0] = &call->check.entries;
        return 1;
    case PEER_SEND:
        texts[3] = &call->send.collapse_key;
        return target_texts(&call->send.target, texts) + 1;
    case PEER_RECALL:
        return target_texts(&call->recall.target, texts);
    case PEER_STATE:
        return target_texts(&call->state.target, texts);
    case PEER_ENROL:
        return target_texts(&call->enrol, texts);
    case PEER_REMOVE:
        return target_texts(&call->remove.target, texts);
    case PEER_USER:
        return target_texts(&call->user, texts);
    case PEER_SESSIONS:
        texts[0] = &call->sessions.app;
        texts[1] = &call->sessions.user;
        return 2;
    case PEER_TOPIC_INTEREST:
        texts[0] = &call->topic_interest.app;
        texts[1] = &call->topic_interest.topic;
        return 2;
    case PEER_TOPIC_FETCH:
        texts[0] = &call->topic_fetch.app;
        texts[1] = &call->topic_fetch.topic;
        return 2;
    case PEER_TOPIC_SEND:
        texts[0] = &call->topic_send.app;
        texts[1] = &call->topic_send.topic;
        texts[2] = &call->topic_send.condition;
        return 3;
    case PEER_SUBSCRIBE:
    case PEER_UNSUBSCRIBE:
        texts[3] = &call->subscribe.topic;
        return target_texts(&call->subscribe.target, texts) + 1;
    case PEER_SUBSCRIPTIONS:
        return target_texts(&call->subscriptions, texts);
    default:
        return 0;
    }
}

/* ---- the proof ---- */

static void put_sized(struct bytebuf *out, struct bytes part)
{
    const uint8_t len[4] = {(uint8_t)(part.len >> 24), (uint8_t)(part.len >> 16), (uint8_t)(part.len >> 8),
                            (uint8_t)part.len};
    bytes_append(out, len, sizeof len);
    bytes_append(out, part.ptr, part.len);
}

void peer_codec_mac(struct bytes secret, bool caller, struct bytes callers_hello, struct bytes called_hello,
                    uint8_t mac[DIGEST_SHA256_BYTES])
{
    petrel_assert(callers_hello.len <= PEER_CODEC_GREETING_MAX && called_hello.len <= PEER_CODEC_GREETING_MAX);
    struct bytebuf in = {0};
    bytes_append_str(&in, caller ? "petrel caller" : "petrel called");
    put_sized(&in, callers_hello);
    put_sized(&in, called_hello);
    digest_hmac_sha256(secret, bytes_view(&in), mac);
    bytes_reset(&in);
}
