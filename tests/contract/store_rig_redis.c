#include "contract/store_rig_redis.h"

#include "base/hash.h"
#include "store/store_redis.h"

#include <stdio.h>
#include <stdlib.h>

#define MASTERS 3

static struct store_rig_redis *start(bool cluster)
{
    static const char *const args[] = {"--repl-diskless-sync-delay", "0", NULL};
    struct store_rig_redis *redis = object_zalloc(sizeof *redis);
    redis->cluster = cluster;
    bool started = cluster ? redis_server_cluster_start(&redis->nodes, MASTERS, args)
                           : redis_server_start(&redis->single, false, args);
    petrel_assert(started);
    return redis;
}

void *store_rig_redis_start(void)
{
    return start(false);
}

void *store_rig_redis_start_cluster(void)
{
    return start(true);
}

void store_rig_redis_clear(void *servers)
{
    struct store_rig_redis *redis = servers;
    char *reply = object_alloc(REDIS_SERVER_REPLY_MAX);
    for (size_t i = 0; i < (redis->cluster ? redis->nodes.count : 1); i++) {
        struct redis_server *server = redis->cluster ? &redis->nodes.nodes[i] : &redis->single;
        if (server->pid != 0 && redis_server_is_master(server))
            assert_true(redis_server_command(server, reply, "FLUSHALL"));
    }
    free(reply);
}

void store_rig_redis_stop(void *servers)
{
    struct store_rig_redis *redis = servers;
    if (redis->cluster)
        redis_server_cluster_free(&redis->nodes);
    else
        redis_server_free(&redis->single);
    free(redis);
}

/* A server that comes back keeps what its file has, and owns its logs anew. */
static void restart(struct store_rig_redis *redis)
{
    for (size_t i = 0; i < (redis->cluster ? redis->nodes.count : 1); i++) {
        struct redis_server *server = redis->cluster ? &redis->nodes.nodes[i] : &redis->single;
        if (!redis_server_is_master(server))
            continue;
        redis_server_kill(server);
        petrel_assert(redis_server_restart(server));
    }
    petrel_assert(!redis->cluster || redis_server_cluster_wait_ok(&redis->nodes));
}

int store_rig_redis_open(struct store_rig *rig)
{
    struct store_rig_redis *redis = store_rig_redis_of(rig);
    struct store_redis_config config = {
        .redis = {.cluster = redis->cluster,
                  .deadline_ms = 20000,
                  .username = rig->options.username,
                  .password = rig->options.password},
        .clock = &rig->clock.clock,
        .limits = rig->options.limits,
        .loops = rig->options.loops,
        .metrics = rig->metrics,
    };
    if (rig->options.restored)
        restart(redis);
    for (size_t i = 0; i < (redis->cluster ? redis->nodes.count : 1); i++) {
        struct redis_seed *seed = &config.redis.seeds[config.redis.seeds_count++];
        snprintf(seed->host, sizeof seed->host, "127.0.0.1");
        seed->port = redis->cluster ? redis->nodes.nodes[i].port : redis->single.port;
    }
    return store_redis_open(&rig->store, &config);
}

uint32_t store_rig_redis_slot(const char *user)
{
    char key[32];
    int len = snprintf(key, sizeof key, "{b%u}", hash_bucket(store_rig_target(user, NULL).app, bytes_str(user)));
    return redis_slot(bytes_of(key, (size_t)len));
}

struct redis_server *store_rig_redis_owner(const struct store_rig *rig, const char *user)
{
    struct store_rig_redis *redis = store_rig_redis_of(rig);
    return redis->cluster ? redis_server_cluster_owner(&redis->nodes, store_rig_redis_slot(user)) : &redis->single;
}
