/* redis_codec.h: commands to bytes, bytes to replies. hiredis reads the protocol; where replies lie and how large they may be is ours. */
#ifndef PETREL_DRIVER_REDIS_CODEC_H
#define PETREL_DRIVER_REDIS_CODEC_H

#include "driver/redis.h"
#include "loop/stream.h"

struct redis_codec; /* the replies of one connection, in their order */
struct redis_chunk;

/* The memory of one reply. {0} is none. */
struct redis_arena {
    struct redis_chunk *newest;
    size_t bytes; /* taken in all */
};

struct redis_codec *redis_codec_new(void);
void redis_codec_free(struct redis_codec **codec);

/* 0; PETREL_E_PROTOCOL when an earlier call found that this is not the protocol. */
int redis_codec_feed(struct redis_codec *codec, struct bytes data);
/* The next whole reply, borrowed until the next call: 1. 0: not there yet. PETREL_E_PROTOCOL: not the protocol;
 * PETREL_E_TOO_LARGE: a reply beyond REDIS_REPLY_BYTES_MAX. After an error the connection is of no use. */
int redis_codec_next(struct redis_codec *codec, const struct redis_value **reply);
/* Take over the memory of the reply that redis_codec_next() has just returned. */
struct redis_arena redis_codec_keep(struct redis_codec *codec);
void redis_codec_drop(struct redis_arena *arena);

/* Queue one command. */
void redis_codec_write(struct stream *stream, size_t argc, const struct bytes *argv);

#endif
