/* Which texts make which script, and what Redis is told of it (its flags, Redis 7). */
#include "store/store_redis_lua.h"
#include "store/store_redis_private.h"

#define PARTS_MAX 5

struct recipe {
    /* allow-oom: what frees memory, or lets a known device go on, runs when Redis is at its limit; else it is refused whole, before
     * it has written anything. no-writes: it also runs when nothing can be written at all. */
    const char *flags;
    const struct bytes *parts[PARTS_MAX]; /* ending in NULL */
};

static const struct recipe recipes[STORE_REDIS_OPS] = {
    [STORE_BIND] = {"allow-oom",
                    {&store_redis_lua_record, &store_redis_lua_log, &store_redis_lua_devices, &store_redis_lua_page,
                     &store_redis_lua_bind}},
    [STORE_UNBIND] = {"allow-oom", {&store_redis_lua_record, &store_redis_lua_unbind}},
    [STORE_ENROL] = {"",
                     {&store_redis_lua_record, &store_redis_lua_log, &store_redis_lua_devices, &store_redis_lua_enrol}},
    [STORE_REMOVE] = {"allow-oom",
                      {&store_redis_lua_record, &store_redis_lua_log, &store_redis_lua_devices,
                       &store_redis_lua_remove}},
    [STORE_APPEND] = {"", {&store_redis_lua_record, &store_redis_lua_log, &store_redis_lua_append}},
    [STORE_FETCH] = {"allow-oom",
                     {&store_redis_lua_record, &store_redis_lua_log, &store_redis_lua_page, &store_redis_lua_fetch}},
    [STORE_ACK] = {"allow-oom",
                   {&store_redis_lua_record, &store_redis_lua_log, &store_redis_lua_page, &store_redis_lua_ack}},
    [STORE_CHECK] = {"no-writes", {&store_redis_lua_record, &store_redis_lua_check}},
    [STORE_RECALL] = {"allow-oom",
                      {&store_redis_lua_record, &store_redis_lua_log, &store_redis_lua_state, &store_redis_lua_recall}},
    [STORE_MESSAGE_STATE] = {"no-writes",
                             {&store_redis_lua_record, &store_redis_lua_log, &store_redis_lua_state,
                              &store_redis_lua_message_state}},
    [STORE_USER] = {"no-writes",
                    {&store_redis_lua_record, &store_redis_lua_log, &store_redis_lua_state, &store_redis_lua_user}},
};

void store_redis_script_add(struct redis *redis, const struct redis_script *scripts[STORE_REDIS_OPS])
{
    for (size_t op = 0; op < STORE_REDIS_OPS; op++) {
        struct bytebuf text = {0};
        bytes_printf(&text, "#!lua flags=%s\n", recipes[op].flags);
        for (size_t i = 0; i < PARTS_MAX && recipes[op].parts[i] != NULL; i++)
            bytes_append(&text, recipes[op].parts[i]->ptr, recipes[op].parts[i]->len);
        scripts[op] = redis_script_add(redis, bytes_view(&text));
        bytes_reset(&text);
    }
}
