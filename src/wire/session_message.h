/* session_message.h: what a sender said, as a struct and as the bytes that are stored, and sent inside a PUSH. Encoded once,
 * by who accepts it; the store and the session role hand the bytes on as they are. See session.h for the codec. */
#ifndef PETREL_WIRE_SESSION_MESSAGE_H
#define PETREL_WIRE_SESSION_MESSAGE_H

#include "base/buf.h"
#include "base/id.h"
#include "base/route.h"

struct session_message {
    struct id id;
    bool is_json; /* body is `data` (JSON text), else `payload` */
    struct bytes body;
    uint64_t sent_ms;
    uint64_t expires_ms;
    struct bytes collapse_key;
    bool high;
    bool late;
};

struct session_codec;

/* The shared part of a push as a buf of its own, one reference. */
struct buf *session_encode_message(const struct session_message *message);
/* 0 or PETREL_E_PROTOCOL; borrows from the codec until its next decode. */
int session_decode_message(struct session_codec *codec, struct bytes in, struct session_message *out);

#endif
