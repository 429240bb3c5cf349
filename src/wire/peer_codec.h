/* peer_codec.h: the peer protocol's frames: peer.h's messages as bytes. proto/README.md section 14 is the specification.
 *
 * call    frame of the call's type; its body begins with the call's number (4 bytes, big endian)
 * reply   frame of the call's type + PEER_CODEC_REPLY; its body begins with the call's number and its status (4 bytes each)
 * tell    frame of the tell's type, whose body is the message alone
 * hello, proof, ping, dirty   are between the connections themselves
 *
 * Encoding appends whole frames to a bytebuf that the caller keeps and reuses. Decoding borrows from the frame's codec until its
 * next decode, and makes bufs where the structs hold bufs: peer_codec_release_*() gives them back. Sans-I/O; any thread, with one
 * codec each. */
#ifndef PETREL_WIRE_PEER_CODEC_H
#define PETREL_WIRE_PEER_CODEC_H

#include "wire/digest.h"
#include "wire/frame.h"
#include "wire/peer.h"

#define PEER_CODEC_REPLY 128U /* a reply's type is its call's and this */
#define PEER_CODEC_NONCE 32
#define PEER_CODEC_NAME_MAX 64
#define PEER_CODEC_WINDOW_MAX 65536U
#define PEER_CODEC_GREETING_MAX 1024U /* the largest body before both sides have proved themselves */
#define PEER_CODEC_TEXTS_MAX 4        /* texts that a call borrows */

/* Each side's first frame. */
struct peer_hello {
    uint32_t version;
    uint32_t node;
    uint16_t loop;
    uint64_t incarnation;
    struct bytes name;
    uint32_t window; /* calls its sender takes at a time, 1 .. PEER_CODEC_WINDOW_MAX */
    uint64_t serial; /* of the connection among those its maker has made; 0 from who was called */
    uint8_t nonce[PEER_CODEC_NONCE];
};

/* The arena that unpacking uses, and the structs that replies point to. One per loop. */
struct peer_codec;
struct peer_codec *peer_codec_new(void);
void peer_codec_free(struct peer_codec **codec);

/* What `type` is, in a frame that came. */
bool peer_codec_is_call(uint8_t type);
bool peer_codec_is_reply(uint8_t type);
bool peer_codec_is_tell(uint8_t type);

/* Append the whole frame. Limits are the caller's to keep; a message that exceeds what a frame can say is
 * PETREL_E_TOO_LARGE with nothing appended, else 0. */
int peer_codec_encode_call(struct bytebuf *out, uint32_t number, const struct peer_msg *msg);
/* Of a call of this type. */
int peer_codec_encode_reply(struct bytebuf *out, uint32_t number, enum peer_type type, const struct peer_reply *reply);
int peer_codec_encode_tell(struct bytebuf *out, const struct peer_msg *msg);
void peer_codec_encode_hello(struct bytebuf *out, const struct peer_hello *hello);
void peer_codec_encode_proof(struct bytebuf *out, const uint8_t mac[DIGEST_SHA256_BYTES]);
/* PING or DIRTY: without a body. */
void peer_codec_encode_bare(struct bytebuf *out, enum peer_type type);

/* 0; PETREL_E_PROTOCOL: the body is no such message, a text is over its limit or has control characters, a number is out of its
 * range, a part is missing that the message means nothing without. The frame's type is such a one (asserted). */
int peer_codec_decode_call(struct peer_codec *codec, const struct frame *frame, uint32_t *number, struct peer_msg *out);
int peer_codec_decode_reply(struct peer_codec *codec, const struct frame *frame, uint32_t *number,
                            struct peer_reply *out);
int peer_codec_decode_tell(struct peer_codec *codec, const struct frame *frame, struct peer_msg *out);
int peer_codec_decode_hello(struct peer_codec *codec, struct bytes body, struct peer_hello *out);
int peer_codec_decode_proof(struct peer_codec *codec, struct bytes body, uint8_t mac[DIGEST_SHA256_BYTES]);
/* The same as a decoded hello's version, when nothing else of it can be understood: other versions have other fields. 0: none. */
uint32_t peer_codec_version(struct bytes body);

/* What a TOPIC_DELIVER says: packed into a buf, one reference; and taken apart, borrowing from the record and the codec. 0 or
 * PETREL_E_PROTOCOL. */
struct buf *peer_codec_topic_pack(const struct peer_topic_news *news);
int peer_codec_topic_unpack(struct peer_codec *codec, struct bytes record, struct peer_topic_news *out);

/* Give back the bufs of a decoded message or reply; but the records of SESSIONS are the caller's, as peer.h says. */
void peer_codec_release_msg(struct peer_msg *msg);
void peer_codec_release_reply(enum peer_type type, struct peer_reply *reply);

/* The texts that a call borrows: pointers to them into texts, and how many, so that a holder can copy them. */
size_t peer_codec_texts(struct peer_msg *call, struct bytes *texts[PEER_CODEC_TEXTS_MAX]);

/* What proves that a side knows the secret: HMAC-SHA-256 over who proves it and the bodies of both hellos. */
void peer_codec_mac(struct bytes secret, bool caller, struct bytes callers_hello, struct bytes called_hello,
                    uint8_t mac[DIGEST_SHA256_BYTES]);

#endif
