/* session_codec.h: what is inside a codec. Private to this room. */
#ifndef PETREL_WIRE_SESSION_CODEC_H
#define PETREL_WIRE_SESSION_CODEC_H

#include "wire/arena.h"
#include "wire/session.h"

struct session_codec {
    uint32_t magic; /* SCOD */
    struct arena arena;
    struct session_topic_position topics[SESSION_TOPICS_MAX]; /* of the last CONNECT */
};

/* session_decode_topic.c: bodies with topics in them. 0 or PETREL_E_PROTOCOL. */
int session_decode_topic_name(ProtobufCBinaryData data, struct bytes *out);
int session_decode_topic_subscribed(const void *unpacked, struct session_frame *out);

#define SESSION_CODEC_MAGIC OBJECT_MAGIC('S', 'C', 'O', 'D')

#endif
