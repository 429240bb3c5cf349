/* limit_out.h: what a socket of petrel-limit did not take at once: kept in order and written when it takes more. All zero is empty. */
#ifndef PETREL_BENCH_LIMIT_OUT_H
#define PETREL_BENCH_LIMIT_OUT_H

#include "limit_frames.h"
#include "limit_wire.h"

struct limit_out_rest;

struct limit_out {
    struct limit_out_rest *first;
    struct limit_out_rest *last;
};

/* Write now, or as soon as what waits before it is written. false: the connection is broken. */
bool limit_out_write(struct limit_out *out, struct limit_wire wire, struct bytes data);
/* The same for a frame that is shared: it is kept by reference. */
bool limit_out_push(struct limit_out *out, struct limit_wire wire, struct limit_push *push);
/* The socket takes more. false: the connection is broken. */
bool limit_out_flush(struct limit_out *out, struct limit_wire wire);
static inline bool limit_out_waits(const struct limit_out *out)
{
    return out->first != NULL;
}
void limit_out_reset(struct limit_out *out);

#endif
