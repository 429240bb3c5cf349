#include "contract/topics_rig_redis.h"

#include "base/hash.h"
#include "base/object.h"

#include <stdio.h>
#include <stdlib.h>

struct redis_server *topics_rig_redis_owner(const struct topics_rig *rig)
{
    struct store_rig_redis *redis = topics_rig_redis(rig);
    return redis->cluster ? redis_server_cluster_owner(&redis->nodes, store_rig_redis_slot(TOPICS_RIG_REDIS_TOPIC))
                          : &redis->single;
}

void topics_rig_redis_key(char key[TOPICS_RIG_REDIS_KEY_MAX], const char *kind)
{
    const uint32_t bucket = hash_bucket(bytes_str("app"), bytes_str(TOPICS_RIG_REDIS_TOPIC));
    (void)snprintf(key, TOPICS_RIG_REDIS_KEY_MAX, "{b%u}%s:app:%s", bucket, kind, TOPICS_RIG_REDIS_TOPIC);
}

void topics_rig_redis_set_key(char key[TOPICS_RIG_REDIS_KEY_MAX], const char *device)
{
    const uint32_t bucket = hash_bucket(bytes_str("app"), bytes_str("u"));
    (void)snprintf(key, TOPICS_RIG_REDIS_KEY_MAX, "{b%u}s:app:1:u:%s", bucket, device);
}

long topics_rig_redis_number(const struct redis_server *server, const char *command, const char *key)
{
    char *reply = object_alloc(REDIS_SERVER_REPLY_MAX);
    assert_true(redis_server_command(server, reply, "%s %s", command, key));
    long number = strtol(reply, NULL, 10);
    free(reply);
    return number;
}

void topics_rig_redis_order(const struct redis_server *server, const char *command)
{
    char *reply = object_alloc(REDIS_SERVER_REPLY_MAX);
    assert_true(redis_server_command(server, reply, "%s", command));
    free(reply);
}
