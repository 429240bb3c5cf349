/* redis_asked.h: what was asked on a connection and not answered yet, in its order: the first reply is the first one's. */
#ifndef PETREL_DRIVER_REDIS_ASKED_H
#define PETREL_DRIVER_REDIS_ASKED_H

#include "driver/redis_private.h"

#define REDIS_ASKED_REQUESTS_MAX 1024 /* on their way to a node at a time; the rest can still be sent elsewhere */

enum redis_question {
    REDIS_ASKED_REQUEST,
    REDIS_ASKED_AUTH,
    REDIS_ASKED_ROLE,
    REDIS_ASKED_ASKING,
    REDIS_ASKED_TEXT, /* to take a script or library */
    REDIS_ASKED_WAIT,
    REDIS_ASKED_VIEW,
    REDIS_ASKED_INFO,
};

struct redis_asked {
    enum redis_question question;
    uint64_t number; /* counts what was written on the connection */
    uint64_t due_ms;
    struct redis_request *request;
    const struct redis_text *text;
};

/* Grown by need: there are many connections, and most are calm. Begins zeroed. */
struct redis_asked_ring {
    size_t head;
    size_t count;
    size_t size;
    struct redis_asked *all;
};

/* After the last one. */
void redis_asked_put(struct redis_asked_ring *ring, struct redis_asked asked);
/* The first one, which goes. There is one. */
struct redis_asked redis_asked_take(struct redis_asked_ring *ring);
/* The i-th, i below count. */
const struct redis_asked *redis_asked_at(const struct redis_asked_ring *ring, size_t i);
/* Empty, without memory. */
void redis_asked_reset(struct redis_asked_ring *ring);

#endif
