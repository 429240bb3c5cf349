/* The texts in lua/ as one library of functions: what all operations share, then each operation in a block of its own. */
#include "store/store_redis_lua.h"
#include "store/topics_redis_private.h"

/* In the order in which they use each other. */
static const struct bytes *const shared[] = {&store_redis_lua_owner, &store_redis_lua_topic,
                                             &store_redis_lua_subscription, &store_redis_lua_topic_operation};

static const struct {
    const char *name;
    const struct bytes *text;
} operations[TOPICS_REDIS_OPS] = {
    [TOPICS_APPEND] = {"append", &store_redis_lua_topic_append},
    [TOPICS_FETCH] = {"fetch", &store_redis_lua_topic_fetch},
    [TOPICS_INTEREST] = {"interest", &store_redis_lua_topic_interest},
    [TOPICS_SUBSCRIBE] = {"subscribe", &store_redis_lua_topic_subscribe},
    [TOPICS_UNSUBSCRIBE] = {"unsubscribe", &store_redis_lua_topic_unsubscribe},
    [TOPICS_SUBSCRIPTIONS] = {"subscriptions", &store_redis_lua_topic_subscriptions},
};

void topics_redis_script_add(struct redis *redis, const struct redis_script *scripts[TOPICS_REDIS_OPS])
{
    struct bytebuf text = {0};
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++)
        bytes_append(&text, shared[i]->ptr, shared[i]->len);
    for (size_t op = 0; op < TOPICS_REDIS_OPS; op++) {
        bytes_append_str(&text, "do\n");
        bytes_append(&text, operations[op].text->ptr, operations[op].text->len);
        bytes_append_str(&text, "end\n");
    }
    const struct redis_text *library = redis_library_add(redis, "petrel_topics", bytes_view(&text));
    bytes_reset(&text);
    for (size_t op = 0; op < TOPICS_REDIS_OPS; op++)
        scripts[op] = redis_function_add(redis, library, operations[op].name);
}
