/* redis_slots.h: which key is in which slot, and what CLUSTER SHARDS says about who has it. */
#ifndef PETREL_DRIVER_REDIS_SLOTS_H
#define PETREL_DRIVER_REDIS_SLOTS_H

#include "driver/redis.h"

#define REDIS_SLOTS 16384
#define REDIS_NODES_MAX 1024 /* of one cluster, replicas included; more are not believed */

struct redis_address {
    char host[64]; /* numeric */
    uint16_t port;
};

struct redis_view_node {
    struct redis_address address;
    uint16_t shard;
    bool master; /* at most one of a shard */
};

struct redis_view_range {
    uint16_t first;
    uint16_t last;
    uint16_t shard;
};

/* A cluster as one of its nodes sees it. */
struct redis_view {
    size_t nodes_count;
    size_t ranges_count;
    struct redis_view_node nodes[REDIS_NODES_MAX];
    struct redis_view_range ranges[REDIS_SLOTS];
    uint32_t
        replicas[REDIS_NODES_MAX]; /* by shard; those that have failed count as well: they may come back as masters */
};

/* redis_slot(). */
uint32_t redis_slots_of(struct bytes key);

/* 0; PETREL_E_INVALID: host is no numeric address, or port none. */
int redis_slots_address(struct bytes host, uint32_t port, struct redis_address *out);

/* Read the reply of CLUSTER SHARDS that the node at `asked` gave, with the ports for TLS or those without. 0 and a view that has at least one slot, to be freed with free();
 * PETREL_E_INVALID: it is of another form, larger than may be, or knows no slots. */
int redis_slots_read(const struct redis_value *reply, const char *asked, bool tls, struct redis_view **out);

#endif
