/* store_rig_redis.h: the Redis store under test, with real servers behind it: one, or a cluster of 3 masters and 3 replicas. */
#ifndef PETREL_TESTS_CONTRACT_STORE_RIG_REDIS_H
#define PETREL_TESTS_CONTRACT_STORE_RIG_REDIS_H

#include "contract/store_rig.h"
#include "lib/redis_server.h"

struct store_rig_redis {
    bool cluster;
    struct redis_server single;
    struct redis_server_cluster nodes;
};

void *store_rig_redis_start(void);
void *store_rig_redis_start_cluster(void);
void store_rig_redis_clear(void *servers);
void store_rig_redis_stop(void *servers);
/* options.restored: the server is killed and started again first. */
int store_rig_redis_open(struct store_rig *rig);

/* Its servers. */
static inline struct store_rig_redis *store_rig_redis_of(const struct store_rig *rig)
{
    return rig->subject->servers;
}
/* The master that holds a user. */
struct redis_server *store_rig_redis_owner(const struct store_rig *rig, const char *user);
/* The slot that holds a user. */
uint32_t store_rig_redis_slot(const char *user);

#endif
