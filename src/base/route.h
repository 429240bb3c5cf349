/* route.h: the words that rooms, wires and stores share: position, route, names.
 *
 * position  (epoch, seq) in a log. Epochs are ordered; {0, 0} means "none" (a device that never held one).
 * route     where a session lives: (node, incarnation, loop, slot, generation). Compared as a whole, always: a route that
 *           differs in any part is another session. Incarnation is the start of the node's process, in ms since 1970.
 * attempt   grows with each connect of an installation; saved by it beside its position. */
#ifndef PETREL_BASE_ROUTE_H
#define PETREL_BASE_ROUTE_H

#include "base/bytes.h"

#define ROUTE_APP_MAX 64     /* bytes: [a-z0-9][a-z0-9_-]* */
#define ROUTE_USER_MAX 128   /* bytes: printable UTF-8 without control characters */
#define ROUTE_DEVICE_MAX 64  /* bytes: [A-Za-z0-9._:-]+ */
#define ROUTE_DEVICES_MAX 16 /* devices of one user, so routes of one user */
#define ROUTE_COLLAPSE_MAX 64

struct position {
    uint64_t epoch; /* cell epoch << 48 | config epoch << 32 | start second of the store */
    uint64_t seq;
};

static inline bool position_is_none(struct position at)
{
    return at.epoch == 0;
}

struct route {
    uint64_t incarnation;
    uint32_t node; /* number of the node, given by discovery; 1 in a single process */
    uint16_t loop;
    uint16_t reserved; /* zero */
    uint32_t slot;
    uint32_t generation; /* never 0 in a live route */
};

static inline bool route_equal(const struct route *a, const struct route *b)
{
    return a->incarnation == b->incarnation && a->node == b->node && a->loop == b->loop && a->slot == b->slot &&
           a->generation == b->generation;
}

/* Whether text is a valid name of its kind. Any thread. */
bool route_valid_app(struct bytes text);
bool route_valid_user(struct bytes text);
bool route_valid_device(struct bytes text);
bool route_valid_collapse_key(struct bytes text); /* 1-64 printable UTF-8 bytes */

#endif
