#include "driver/redis_health.h"

#include "base/log.h"

static void set_down(struct redis *redis, bool down)
{
    if (redis->down == down)
        return;
    redis->down = down;
    if (!redis->config.unwatched)
        metrics_add(redis->metrics, METRIC_STORE_DOWN, down ? 1 : -1);
}

static bool is_any_served(const struct redis_map *map)
{
    for (size_t i = 0; i < map->nodes_count; i++) {
        for (int kind = 0; map->nodes[i] != NULL && kind < REDIS_LANES; kind++) {
            if (map->nodes[i]->lanes[kind].served)
                return true;
        }
    }
    return false;
}

void redis_health_failed(struct redis *redis, struct redis_lane *lane)
{
    lane->served = false;
    if (!is_any_served(&redis->map))
        set_down(redis, true);
}

void redis_health_served(struct redis *redis, struct redis_lane *lane)
{
    lane->served = true;
    set_down(redis, false);
}

/* The value after "name:" in INFO; absent when it is not there. */
static struct bytes field(struct bytes info, const char *name)
{
    const uint8_t *at = info.len > 0 ? memmem(info.ptr, info.len, name, strlen(name)) : NULL;
    if (at == NULL)
        return (struct bytes){NULL, 0};
    at += strlen(name);
    size_t rest = info.len - (size_t)(at - info.ptr);
    const uint8_t *end = memchr(at, '\r', rest);
    return bytes_of(at, end != NULL ? (size_t)(end - at) : rest);
}

static void set_unsafe(struct redis *redis, struct redis_node *node, bool is_unsafe)
{
    if (node->is_unsafe == is_unsafe)
        return;
    node->is_unsafe = is_unsafe;
    if (!redis->config.unwatched)
        metrics_add(redis->metrics, METRIC_REDIS_UNSAFE, is_unsafe ? 1 : -1);
}

void redis_health_info(struct redis *redis, struct redis_node *node, const struct redis_value *reply)
{
    if (reply->type != REDIS_STRING)
        return;
    struct bytes aof = field(reply->text, "\naof_enabled:");
    struct bytes policy = field(reply->text, "\nmaxmemory_policy:");
    bool forgets = aof.ptr != NULL && bytes_equal_str(aof, "0");
    bool evicts = policy.ptr != NULL && !bytes_equal_str(policy, "noeviction");
    if ((forgets || evicts) && !node->is_unsafe && !redis->config.unwatched)
        log_at(LOG_WARN, "redis", "a server may forget what it was told", LOG_STR("server", node->address.host),
               LOG_NUM("port", node->address.port),
               LOG_STR("why", forgets ? "appendonly is no" : "maxmemory-policy is not noeviction"));
    set_unsafe(redis, node, forgets || evicts);
}

void redis_health_forget(struct redis *redis, struct redis_node *node)
{
    set_unsafe(redis, node, false);
}

void redis_health_end(struct redis *redis)
{
    set_down(redis, false);
}
