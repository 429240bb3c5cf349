/* redis_verdict.h: what an error reply says about a request, and about the map. */
#ifndef PETREL_DRIVER_REDIS_VERDICT_H
#define PETREL_DRIVER_REDIS_VERDICT_H

#include "driver/redis_slots.h"

enum redis_verdict {
    REDIS_VERDICT_ANSWER, /* no error, or one of the request's own: the caller's to judge */
    /* All others: the request did not act. */
    REDIS_VERDICT_MOVED,    /* the slot is another node's */
    REDIS_VERDICT_ASK,      /* the key is another node's, this time */
    REDIS_VERDICT_NOSCRIPT, /* the node does not have the script, or the library of the function */
    REDIS_VERDICT_SOON,     /* TRYAGAIN, BUSY: in a moment */
    REDIS_VERDICT_LATER,    /* the node can't serve now; perhaps another can */
    REDIS_VERDICT_FULL,     /* no memory or no disk */
};

enum redis_verdict redis_verdict_of(const struct redis_value *reply);

/* Read "MOVED 3999 127.0.0.1:6381" (or ASK). An empty host is the host of who said so. 0 or PETREL_E_INVALID. */
int redis_verdict_redirect(struct bytes text, const char *said_by, uint32_t *slot, struct redis_address *to);

#endif
