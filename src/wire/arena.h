/* arena.h: the bounded memory that a body is unpacked into, so that decoding neither calls malloc nor grows by a peer's word.
 * Private to this room. One owner thread. */
#ifndef PETREL_WIRE_ARENA_H
#define PETREL_WIRE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/* What unpacking a body may take beyond its own length: the structs, and the library's notes on fields, about 40 bytes each.
 * Some 300 fields fit; no message of ours has 30. */
#define ARENA_SLACK 16384

/* {0} is ready for arena_begin(). */
struct arena {
    uint8_t *ptr;
    size_t used;
    size_t cap;
};

/* Forget what was allocated, and have room to unpack body_len bytes; memory is kept from one time to the next. */
void arena_begin(struct arena *arena, size_t body_len);
/* An allocator of protobuf-c's on this arena: gives NULL when the room is used up, and frees nothing. */
ProtobufCAllocator arena_allocator(struct arena *arena);
/* Free the memory; the arena is {0} again. */
void arena_reset(struct arena *arena);

#endif
