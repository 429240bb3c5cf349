/* topics_rig_redis.h: the servers behind topics on Redis: which one owns the tests' topic, and what it says of a key. Test's thread. */
#ifndef PETREL_TESTS_CONTRACT_TOPICS_RIG_REDIS_H
#define PETREL_TESTS_CONTRACT_TOPICS_RIG_REDIS_H

#include "contract/store_rig_redis.h"
#include "contract/topics_rig.h"

#define TOPICS_RIG_REDIS_TOPIC "news"
#define TOPICS_RIG_REDIS_KEY_MAX 64

/* The server that holds the topic; NULL: none does now. */
struct redis_server *topics_rig_redis_owner(const struct topics_rig *rig);
/* One of the topic's two keys: "t" its log, "i" what is known of it. */
void topics_rig_redis_key(char key[TOPICS_RIG_REDIS_KEY_MAX], const char *kind);
/* The key of a device's subscriptions. */
void topics_rig_redis_set_key(char key[TOPICS_RIG_REDIS_KEY_MAX], const char *device);
/* A command on that key: the number it answers. */
long topics_rig_redis_number(const struct redis_server *server, const char *command, const char *key);
void topics_rig_redis_order(const struct redis_server *server, const char *command);

#endif
