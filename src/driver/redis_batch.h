/* redis_batch.h: the answers to replicated requests that wait until the replicas have what was written.
 *
 * A batch is what was written before one WAIT. The next is written when that WAIT has been answered. */
#ifndef PETREL_DRIVER_REDIS_BATCH_H
#define PETREL_DRIVER_REDIS_BATCH_H

#include "driver/redis_codec.h"
#include "driver/redis_private.h"

struct redis_batch {
    bool open;         /* its WAIT is under way */
    bool is_short;     /* the last one was not confirmed by all */
    uint32_t replicas; /* that have to confirm */
    struct list held;  /* requests with their answers */
};

void redis_batch_init(struct redis_batch *batch);
/* Keep an answer that redis_codec_next() has just given. */
void redis_batch_hold(struct redis_batch *batch, struct redis_request *request, struct redis_codec *codec,
                      const struct redis_value *reply);
/* The node's WAIT was answered: so are the requests, or what became of them is unknown. */
void redis_batch_end(struct redis *redis, const struct redis_node *node, struct redis_batch *batch,
                     const struct redis_value *waited);
/* The connection is gone before it was. */
void redis_batch_drop(struct redis *redis, struct redis_batch *batch, int status);

#endif
