/* api_sweep.h: DRAIN, asked of all loops of some nodes at once, and what they answered together. Private to this room.
 *
 * A sweep is its exchange's state. A node that is hung holds the answer up for as long as its link takes to find out; one without a
 * link to this node fails at once. */
#ifndef PETREL_API_API_SWEEP_H
#define PETREL_API_API_SWEEP_H

#include "api/api_exchange.h"

struct api_sweep_loop {
    struct link_call call;
    struct api_sweep *sweep;
    struct api_sweep_node *of;
    uint16_t index;
    bool skip;  /* it is not asked this time */
    bool known; /* it has answered, so drained counts */
    struct peer_drained drained;
};

struct api_sweep_node {
    struct discovery_node node; /* as the view has it */
    struct api_sweep_loop *loops;
    uint16_t loops_count; /* 0: it holds no sessions, or does not tell where */
    uint16_t answered;    /* of those, in the last round */
    int status;           /* why the others did not; 0 */
    struct peer_drained sum;
    uint64_t share; /* for whoever computes with it */
    uint64_t surplus;
};

typedef void api_sweep_done_fn(struct api_sweep *sweep);

struct api_sweep {
    struct api_exchange *exchange;
    uint64_t as_of_ms; /* of the view */
    size_t count;
    struct api_sweep_node *nodes; /* by name */
    uint32_t rate;                /* for whoever asks */
    size_t waiting;
    api_sweep_done_fn *done;
};

/* The nodes of the present view. */
struct api_sweep *api_sweep_new(struct api_exchange *exchange);
/* NULL: there is none of that name. */
struct api_sweep_node *api_sweep_find(struct api_sweep *sweep, struct bytes name);
/* Leave all nodes but this one out. */
struct api_sweep_node *api_sweep_only(struct api_sweep *sweep, struct api_sweep_node *node);
/* Whether all of the node was counted, just now. */
bool api_sweep_counted(const struct api_sweep_node *node);

/* A part of whole for each of the node's loops: at least 1 each, otherwise whole in total. */
uint32_t api_sweep_part(const struct api_sweep_node *node, uint32_t whole, uint16_t index);

/* Ask every loop that is not skipped what its call.in.drain says; then done, which answers or begins another round. May run before
 * this returns. */
void api_sweep_ask(struct api_sweep *sweep, api_sweep_done_fn *done);
/* The same with LOOK for all. */
void api_sweep_look(struct api_sweep *sweep, api_sweep_done_fn *done);

#endif
