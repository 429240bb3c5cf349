/* peer_codec_impl.h: what the files of the peer codec share. Private to this room. */
#ifndef PETREL_WIRE_PEER_CODEC_IMPL_H
#define PETREL_WIRE_PEER_CODEC_IMPL_H

#include "wire/arena.h"
#include "wire/peer_codec.h"

#define PEER_CODEC_MAGIC OBJECT_MAGIC('P', 'C', 'O', 'D')
#define PEER_CODEC_NUMBER_BYTES 4U
#define PEER_CODEC_STATUS_BYTES 4U
#define PEER_CODEC_RECORD_TAG 0x0a  /* field 1, of a length: a record of SessionList or Apps */
#define PEER_CODEC_TRAILER_TAG 0x10 /* field 2, a varint: next_slot or version */

struct peer_codec {
    uint32_t magic;
    struct arena arena;
    union {
        struct peer_bound bound;
        struct peer_page page;
        struct peer_stated stated;
        struct peer_user user;
    } scratch; /* what a decoded reply points to */
};

/* 0 or PETREL_E_PROTOCOL; body is what follows the number and the status of a reply that is 0. */
int peer_codec_answer(struct peer_codec *codec, enum peer_type type, struct bytes body, struct peer_reply *out);

/* Unpack into the codec's arena; NULL: no such message. */
void *peer_codec_unpack(struct peer_codec *codec, const ProtobufCMessageDescriptor *type, struct bytes body);
/* Split the body of a SessionList or Apps: its records, how many, and its number. 0 or PETREL_E_PROTOCOL. */
int peer_codec_split_list(struct bytes body, struct bytes *records, uint32_t *count, uint64_t *number);

#endif
