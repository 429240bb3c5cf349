/* store_redis_lua.h: the texts in lua/, made part of the program by the build. To add one: its name here and in CMakeLists.txt. */
#ifndef PETREL_STORE_STORE_REDIS_LUA_H
#define PETREL_STORE_STORE_REDIS_LUA_H

#include "base/bytes.h"

/* What the operations on users share; owner also those on topics. */
extern const struct bytes store_redis_lua_record, store_redis_lua_log, store_redis_lua_devices, store_redis_lua_page,
    store_redis_lua_state, store_redis_lua_operation;
/* The operations. */
extern const struct bytes store_redis_lua_bind, store_redis_lua_unbind, store_redis_lua_enrol, store_redis_lua_remove,
    store_redis_lua_append, store_redis_lua_fetch, store_redis_lua_ack, store_redis_lua_check, store_redis_lua_recall,
    store_redis_lua_message_state, store_redis_lua_user;
/* What the operations on topics share beside it, and they. */
extern const struct bytes store_redis_lua_owner, store_redis_lua_topic, store_redis_lua_subscription,
    store_redis_lua_topic_operation, store_redis_lua_topic_append, store_redis_lua_topic_fetch,
    store_redis_lua_topic_interest, store_redis_lua_topic_subscribe, store_redis_lua_topic_unsubscribe,
    store_redis_lua_topic_subscriptions;

#endif
