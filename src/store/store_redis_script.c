/* The texts in lua/ as one library of functions: what all operations share, then each operation in a block of its own. */
#include "store/store_redis_lua.h"
#include "store/store_redis_private.h"

/* In the order in which they use each other. */
static const struct bytes *const shared[] = {&store_redis_lua_owner,    &store_redis_lua_record, &store_redis_lua_log,
                                             &store_redis_lua_devices,  &store_redis_lua_page,   &store_redis_lua_state,
                                             &store_redis_lua_operation};

static const struct {
    const char *name;
    const struct bytes *text;
} operations[STORE_REDIS_OPS] = {
    [STORE_BIND] = {"bind", &store_redis_lua_bind},
    [STORE_UNBIND] = {"unbind", &store_redis_lua_unbind},
    [STORE_ENROL] = {"enrol", &store_redis_lua_enrol},
    [STORE_REMOVE] = {"remove", &store_redis_lua_remove},
    [STORE_APPEND] = {"append", &store_redis_lua_append},
    [STORE_FETCH] = {"fetch", &store_redis_lua_fetch},
    [STORE_ACK] = {"ack", &store_redis_lua_ack},
    [STORE_CHECK] = {"check", &store_redis_lua_check},
    [STORE_RECALL] = {"recall", &store_redis_lua_recall},
    [STORE_MESSAGE_STATE] = {"message_state", &store_redis_lua_message_state},
    [STORE_USER] = {"user", &store_redis_lua_user},
};

void store_redis_script_add(struct redis *redis, const struct redis_script *scripts[STORE_REDIS_OPS])
{
    struct bytebuf text = {0};
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++)
        bytes_append(&text, shared[i]->ptr, shared[i]->len);
    for (size_t op = 0; op < STORE_REDIS_OPS; op++) {
        bytes_append_str(&text, "do\n");
        bytes_append(&text, operations[op].text->ptr, operations[op].text->len);
        bytes_append_str(&text, "end\n");
    }
    const struct redis_text *library = redis_library_add(redis, "petrel", bytes_view(&text));
    bytes_reset(&text);
    for (size_t op = 0; op < STORE_REDIS_OPS; op++)
        scripts[op] = redis_function_add(redis, library, operations[op].name);
}
