/* peer_codec_impl.h: what the files of the peer codec share. Private to this room. */
#ifndef PETREL_WIRE_PEER_CODEC_IMPL_H
#define PETREL_WIRE_PEER_CODEC_IMPL_H

#include "wire/arena.h"
#include "wire/peer_codec.h"

#define PEER_CODEC_MAGIC OBJECT_MAGIC('P', 'C', 'O', 'D')
#define PEER_CODEC_NUMBER_BYTES 4U
#define PEER_CODEC_STATUS_BYTES 4U
#define PEER_CODEC_RECORD_TAG 0x0a  /* field 1, of a length: a record of SessionList or Apps */
#define PEER_CODEC_VERDICTS 8U      /* in one number of Checked: an entry times this, and its verdict */
#define PEER_CODEC_TRAILER_TAG 0x10 /* field 2, a varint: next_slot or version */

struct peer_codec {
    uint32_t magic;
    struct arena arena;
    union {
        struct peer_bound bound;
        struct peer_page page;
        struct peer_checked checked;
        struct peer_stated stated;
        struct peer_user user;
        struct peer_topic_page topic_page;
        struct peer_subscriptions subscriptions;
    } scratch; /* what a decoded reply points to */
};

/* Append a frame of that body, 0, or PETREL_E_TOO_LARGE with nothing appended. number NULL: of a tell. */
int peer_codec_encode_frame(struct bytebuf *out, uint8_t type, const uint32_t *number, const ProtobufCMessage *body);
/* The same for a reply; body NULL: a status says it all. */
int peer_codec_reply_frame(struct bytebuf *out, uint32_t number, enum peer_type type, int status,
                           const ProtobufCMessage *body);

/* The messages of peer_topic.h, as the functions of peer_codec.h without `topic` in their names. */
int peer_codec_topic_encode_call(struct bytebuf *out, uint32_t number, const struct peer_msg *msg);
int peer_codec_topic_encode_tell(struct bytebuf *out, const struct peer_msg *msg);
int peer_codec_topic_decode(struct peer_codec *codec, enum peer_type type, struct bytes body, struct peer_msg *out);
int peer_codec_topic_reply_encode(struct bytebuf *out, uint32_t number, enum peer_type type,
                                  const struct peer_reply *reply);
int peer_codec_topic_reply_decode(struct peer_codec *codec, enum peer_type type, struct bytes body,
                                  struct peer_reply *out);

/* 0 or PETREL_E_PROTOCOL; body is what follows the number and the status of a reply that is 0. */
int peer_codec_answer(struct peer_codec *codec, enum peer_type type, struct bytes body, struct peer_reply *out);

/* Unpack into the codec's arena; NULL: no such message. */
void *peer_codec_unpack(struct peer_codec *codec, const ProtobufCMessageDescriptor *type, struct bytes body);
/* Split the body of a SessionList or Apps: its records, how many, and its number. 0 or PETREL_E_PROTOCOL. */
int peer_codec_split_list(struct bytes body, struct bytes *records, uint32_t *count, uint64_t *number);

#endif
