/* peer_codec_topic_reply.c: answers about topics. */
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

/* ---- encoding ---- */

struct page_parts {
    Petrel__Peer__TopicPage body;
    Petrel__Peer__Position position;
    Petrel__Peer__Gap gap;
    Petrel__Peer__TopicEntry entries[PEER_PAGE_MAX];
    Petrel__Peer__TopicEntry *pointers[PEER_PAGE_MAX];
};

static void fill_gap(struct page_parts *parts, const struct peer_gap *gap)
{
    if (gap->reason == SESSION_GAP_NONE)
        return;
    parts->gap = (Petrel__Peer__Gap)PETREL__PEER__GAP__INIT;
    parts->gap.reason = gap->reason;
    parts->gap.from = gap->from;
    parts->gap.to = gap->to;
    parts->gap.floor = gap->floor;
    parts->gap.lost_at_most = gap->lost_at_most;
    parts->body.gap = &parts->gap;
}

static int put_page(struct bytebuf *out, uint32_t number, const struct peer_topic_page *page)
{
    struct page_parts parts;
    petrel_assert(page->count <= PEER_PAGE_MAX);
    parts.body = (Petrel__Peer__TopicPage)PETREL__PEER__TOPIC_PAGE__INIT;
    parts.position = position_of(page->position);
    parts.body.verdict = page->verdict;
    parts.body.position = &parts.position;
    parts.body.upto = page->upto;
    parts.body.head = page->head;
    fill_gap(&parts, &page->gap);
    for (uint32_t i = 0; i < page->count; i++) {
        parts.entries[i] = (Petrel__Peer__TopicEntry)PETREL__PEER__TOPIC_ENTRY__INIT;
        parts.entries[i].seq = page->entries[i].seq;
        parts.entries[i].expires_ms = page->entries[i].expires_ms;
        parts.entries[i].message = text_lend(buf_bytes(page->entries[i].message));
        parts.entries[i].condition = text_lend(page->entries[i].condition);
        parts.pointers[i] = &parts.entries[i];
    }
    parts.body.n_entries = page->count;
    parts.body.entries = parts.pointers;
    return peer_codec_reply_frame(out, number, PEER_TOPIC_FETCH, 0, &parts.body.base);
}

static int put_head(struct bytebuf *out, uint32_t number, struct position head)
{
    Petrel__Peer__Position position = position_of(head);
    Petrel__Peer__TopicHead body = PETREL__PEER__TOPIC_HEAD__INIT;
    body.position = &position;
    return peer_codec_reply_frame(out, number, PEER_TOPIC_INTEREST, 0, &body.base);
}

static int put_sent(struct bytebuf *out, uint32_t number, const struct peer_sent *sent)
{
    Petrel__Peer__Position position = position_of(sent->position);
    Petrel__Peer__Sent body = PETREL__PEER__SENT__INIT;
    body.position = &position;
    body.duplicate = sent->duplicate;
    body.id = text_lend(bytes_of(sent->id.bytes, sizeof sent->id.bytes));
    return peer_codec_reply_frame(out, number, PEER_TOPIC_SEND, 0, &body.base);
}

static int put_subscribed(struct bytebuf *out, uint32_t number, enum peer_type type,
                          const struct peer_subscribed *subscribed)
{
    Petrel__Peer__Position position = position_of(subscribed->position);
    Petrel__Peer__Subscribed body = PETREL__PEER__SUBSCRIBED__INIT;
    body.position = position_is_none(subscribed->position) ? NULL : &position;
    body.version = subscribed->version;
    body.prev = subscribed->prev;
    return peer_codec_reply_frame(out, number, type, 0, &body.base);
}

static int put_subscriptions(struct bytebuf *out, uint32_t number, const struct peer_subscriptions *set)
{
    Petrel__Peer__Position positions[PEER_TOPICS_MAX];
    Petrel__Peer__Subscription rows[PEER_TOPICS_MAX];
    Petrel__Peer__Subscription *pointers[PEER_TOPICS_MAX];
    Petrel__Peer__Subscriptions body = PETREL__PEER__SUBSCRIPTIONS__INIT;
    petrel_assert(set->count <= PEER_TOPICS_MAX);
    for (uint32_t i = 0; i < set->count; i++) {
        positions[i] = position_of(set->all[i].position);
        rows[i] = (Petrel__Peer__Subscription)PETREL__PEER__SUBSCRIPTION__INIT;
        rows[i].topic = text_lend(set->all[i].topic);
        rows[i].position = &positions[i];
        pointers[i] = &rows[i];
    }
    body.version = set->version;
    body.n_topics = set->count;
    body.topics = pointers;
    return peer_codec_reply_frame(out, number, PEER_SUBSCRIPTIONS, 0, &body.base);
}

int peer_codec_topic_reply_encode(struct bytebuf *out, uint32_t number, enum peer_type type,
                                  const struct peer_reply *reply)
{
    switch (type) {
    case PEER_TOPIC_INTEREST:
        return put_head(out, number, reply->topic_head);
    case PEER_TOPIC_FETCH:
        return put_page(out, number, reply->topic_page);
    case PEER_TOPIC_SEND:
        return put_sent(out, number, &reply->sent);
    case PEER_SUBSCRIBE:
    case PEER_UNSUBSCRIBE:
        return put_subscribed(out, number, type, &reply->subscribed);
    case PEER_SUBSCRIPTIONS:
        return put_subscriptions(out, number, reply->subscriptions);
    default:
        return peer_codec_reply_frame(out, number, type, 0, NULL);
    }
}

/* ---- decoding ---- */

static int read_gap(const Petrel__Peer__Gap *body, struct peer_gap *out)
{
    *out = (struct peer_gap){.reason = SESSION_GAP_NONE};
    if (body == NULL)
        return 0;
    if (body->reason == SESSION_GAP_NONE || body->reason > SESSION_GAP_TRIMMED)
        return PETREL_E_PROTOCOL;
    *out = (struct peer_gap){.reason = (enum session_gap_reason)body->reason,
                             .from = body->from,
                             .to = body->to,
                             .floor = body->floor,
                             .lost_at_most = body->lost_at_most};
    return 0;
}

static bool page_well_formed(const Petrel__Peer__TopicPage *body)
{
    if (body->n_entries > PEER_PAGE_MAX || body->verdict < SESSION_NEW || body->verdict > SESSION_GAPPED ||
        body->position == NULL || body->position->epoch == 0)
        return false;
    for (size_t i = 0; i < body->n_entries; i++) {
        const Petrel__Peer__TopicEntry *entry = body->entries[i];
        if (entry->message.len == 0 || entry->condition.len > PEER_TOPIC_CONDITION_MAX ||
            (i > 0 && entry->seq <= body->entries[i - 1]->seq))
            return false;
    }
    return true;
}

static int answer_page(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    const Petrel__Peer__TopicPage *body = unpacked;
    struct peer_topic_page *page = &codec->scratch.topic_page;
    if (!page_well_formed(body) || read_gap(body->gap, &page->gap) != 0)
        return PETREL_E_PROTOCOL;
    page->verdict = (enum session_verdict)body->verdict;
    page->position = read_position(body->position);
    page->upto = body->upto;
    page->head = body->head;
    page->count = (uint32_t)body->n_entries;
    for (uint32_t i = 0; i < page->count; i++) {
        const Petrel__Peer__TopicEntry *entry = body->entries[i];
        page->entries[i] = (struct peer_topic_entry){.seq = entry->seq,
                                                     .expires_ms = entry->expires_ms,
                                                     .message = buf_copy(text_borrow(entry->message)),
                                                     .condition = text_borrow(entry->condition)};
    }
    out->topic_page = page;
    return 0;
}

static int answer_head(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    (void)codec;
    const Petrel__Peer__TopicHead *body = unpacked;
    out->topic_head = read_position(body->position);
    return position_is_none(out->topic_head) ? PETREL_E_PROTOCOL : 0;
}

static int answer_sent(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    (void)codec;
    const Petrel__Peer__Sent *body = unpacked;
    if (body->id.len != sizeof out->sent.id.bytes)
        return PETREL_E_PROTOCOL;
    memcpy(out->sent.id.bytes, body->id.data, sizeof out->sent.id.bytes);
    out->sent.position = read_position(body->position);
    out->sent.duplicate = body->duplicate != 0;
    return 0;
}

static int answer_subscribed(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    (void)codec;
    const Petrel__Peer__Subscribed *body = unpacked;
    out->subscribed = (struct peer_subscribed){read_position(body->position), body->version, body->prev};
    return 0;
}

static int answer_subscriptions(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    const Petrel__Peer__Subscriptions *body = unpacked;
    struct peer_subscriptions *set = &codec->scratch.subscriptions;
    if (body->n_topics > PEER_TOPICS_MAX)
        return PETREL_E_PROTOCOL;
    set->version = body->version;
    set->count = (uint32_t)body->n_topics;
    for (uint32_t i = 0; i < set->count; i++) {
        set->all[i] =
            (struct peer_subscription){text_borrow(body->topics[i]->topic), read_position(body->topics[i]->position)};
        if (set->all[i].topic.len == 0 || !text_is_printable(set->all[i].topic, PEER_TOPIC_NAME_MAX) ||
            position_is_none(set->all[i].position))
            return PETREL_E_PROTOCOL;
    }
    out->subscriptions = set;
    return 0;
}

struct row {
    enum peer_type type;
    const ProtobufCMessageDescriptor *body;
    int (*read)(struct peer_codec *codec, const void *unpacked, struct peer_reply *out);
};

static const struct row ROWS[] = {
    {PEER_TOPIC_INTEREST, &petrel__peer__topic_head__descriptor, answer_head},
    {PEER_TOPIC_FETCH, &petrel__peer__topic_page__descriptor, answer_page},
    {PEER_TOPIC_SEND, &petrel__peer__sent__descriptor, answer_sent},
    {PEER_SUBSCRIBE, &petrel__peer__subscribed__descriptor, answer_subscribed},
    {PEER_UNSUBSCRIBE, &petrel__peer__subscribed__descriptor, answer_subscribed},
    {PEER_SUBSCRIPTIONS, &petrel__peer__subscriptions__descriptor, answer_subscriptions},
};

int peer_codec_topic_reply_decode(struct peer_codec *codec, enum peer_type type, struct bytes body,
                                  struct peer_reply *out)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (ROWS[i].type != type)
            continue;
        const void *unpacked = peer_codec_unpack(codec, ROWS[i].body, body);
        return unpacked != NULL ? ROWS[i].read(codec, unpacked, out) : PETREL_E_PROTOCOL;
    }
    return body.len == 0 ? 0 : PETREL_E_PROTOCOL;
}
