/* limit_frames.h: the ready-made bytes of petrel-limit: what a CONNECTED and a PUSH look like, with a few bytes to fill in. */
#ifndef PETREL_BENCH_LIMIT_FRAMES_H
#define PETREL_BENCH_LIMIT_FRAMES_H

#include "wire/session.h"

struct limit_frames;

struct limit_frames *limit_frames_new(void);
void limit_frames_free(struct limit_frames **frames);
struct bytes limit_frames_connected(const struct limit_frames *frames);
/* The PONG for a PING; its length. */
size_t limit_frames_pong(const struct frame *ping, uint8_t *out, size_t size);
/* The number in petrel-bench's `client` of a CONNECT, "bench-<number>". */
bool limit_frames_user(struct bytes connect, uint32_t *user);

/* The body of a request that is there as a whole. text is NUL-terminated. */
bool limit_frames_request(const char *text, size_t len, struct bytes *body);

struct limit_target {
    bool all;
    uint32_t user;
};

/* A PUSH frame, shared by reference. Any thread. */
struct limit_push;
/* For the body of a POST by petrel-bench; NULL: it is none. */
struct limit_push *limit_frames_push(struct limit_frames *frames, struct bytes body, struct limit_target *target);
/* Give it the next number, once, before it is written anywhere. */
void limit_push_number(struct limit_frames *frames, struct limit_push *push);
/* A copy of other bytes that are to be written. */
struct limit_push *limit_push_of(struct bytes data);
struct bytes limit_push_bytes(const struct limit_push *push);
void limit_push_ref(struct limit_push *push);
void limit_push_unref(struct limit_push *push);

#endif
