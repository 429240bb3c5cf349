#include "driver/redis_cluster.h"

#include "base/err.h"
#include "base/log.h"
#include "driver/redis_conn.h"
#include "driver/redis_health.h"

#include <stdlib.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
/* Between two questions for the map: when something is wrong, and when nothing is. Only the second tells of new replicas. */
#define REFRESH_MIN_MS 100
#define REFRESH_IDLE_MS 20000

static uint64_t jittered(struct redis *redis, uint64_t ms)
{
    return ms / 2 + rng_below(loop_rng(redis->loop), ms / 2 + 1);
}

void redis_cluster_lane_failed(struct redis *redis, struct redis_lane *lane)
{
    uint32_t doublings = lane->failures < 6 ? lane->failures : 6;
    uint64_t rest_ms = (uint64_t)BACKOFF_MIN_MS << doublings;
    lane->failures++;
    redis_health_failed(redis, lane);
    lane->retry_ms = loop_now_ms(redis->loop) + jittered(redis, rest_ms < BACKOFF_MAX_MS ? rest_ms : BACKOFF_MAX_MS);
}

static bool may_connect(const struct redis *redis, const struct redis_lane *lane)
{
    return lane->conn != NULL || lane->failures == 0 || loop_now_ms(redis->loop) >= lane->retry_ms;
}

struct redis_conn *redis_cluster_conn(struct redis *redis, struct redis_lane *lane)
{
    if (lane->conn == NULL && may_connect(redis, lane))
        (void)redis_conn_open(redis, lane);
    return lane->conn;
}

static bool same_address(const struct redis_address *a, const struct redis_address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

struct redis_node *redis_cluster_node_at(struct redis *redis, const struct redis_address *address)
{
    struct redis_map *map = &redis->map;
    size_t place = map->nodes_count;
    for (size_t i = 0; i < map->nodes_count; i++) {
        if (map->nodes[i] == NULL)
            place = i;
        else if (same_address(&map->nodes[i]->address, address))
            return map->nodes[i];
    }
    if (place == REDIS_NODES_MAX)
        return NULL;
    struct redis_node *node = object_zalloc(sizeof *node);
    node->address = *address;
    node->index = (uint16_t)place;
    node->replicas = -1;
    for (int kind = 0; kind < REDIS_LANES; kind++)
        node->lanes[kind] = (struct redis_lane){.node = node, .kind = (enum redis_lane_kind)kind};
    map->nodes[place] = node;
    map->nodes_count += place == map->nodes_count;
    return node;
}

struct redis_node *redis_cluster_node_of(struct redis *redis, struct bytes key)
{
    const struct redis_map *map = &redis->map;
    if (!redis->config.cluster)
        return map->nodes[0];
    uint16_t index = map->slots[redis_slots_of(key)];
    return index != REDIS_NODE_NONE ? map->nodes[index] : NULL;
}

/* Whether another node had it. */
static bool assign(struct redis_map *map, uint32_t slot, const struct redis_node *node)
{
    uint16_t before = map->slots[slot];
    map->slots[slot] = node->index;
    return before != REDIS_NODE_NONE && before != node->index;
}

void redis_cluster_moved(struct redis *redis, uint32_t slot, struct redis_node *to)
{
    if (assign(&redis->map, slot, to))
        redis_changed(redis, false);
    redis_cluster_refresh(redis, to);
}

/* Whom to ask: the hint, else the next in turn, of those that are well before those that have failed or are doubted. */
static struct redis_node *choose_source(struct redis *redis)
{
    struct redis_map *map = &redis->map;
    struct redis_node *hint = map->refresh_hint;
    const uint64_t now_ms = loop_now_ms(redis->loop);
    struct redis_node *second = NULL;
    map->refresh_hint = NULL;
    if (hint != NULL && may_connect(redis, &hint->lanes[REDIS_LANE_PLAIN]))
        return hint;
    for (size_t i = 0; i < map->nodes_count; i++) {
        map->cursor = (map->cursor + 1) % map->nodes_count;
        struct redis_node *node = map->nodes[map->cursor];
        if (node == NULL || !may_connect(redis, &node->lanes[REDIS_LANE_PLAIN]))
            continue;
        if (node->lanes[REDIS_LANE_PLAIN].failures == 0 && now_ms >= node->doubted_until_ms)
            return node;
        second = second != NULL ? second : node;
    }
    return second;
}

static void on_refresh_timer(struct timer *timer);

/* The next look at the map, unless an earlier one is set. */
static void refresh_after(struct redis *redis, uint64_t ms)
{
    struct timer *timer = &redis->map.refresh_timer;
    uint64_t due_ms = loop_now_ms(redis->loop) + ms;
    if (!timer_running(timer) || timer->due_ms > due_ms)
        timer_start(redis->loop, timer, ms, on_refresh_timer);
}

static void refresh(struct redis *redis)
{
    struct redis_map *map = &redis->map;
    struct redis_node *source = choose_source(redis);
    struct redis_conn *conn = source != NULL ? redis_cluster_conn(redis, &source->lanes[REDIS_LANE_PLAIN]) : NULL;
    map->refreshed_ms = loop_now_ms(redis->loop);
    if (conn == NULL) {
        refresh_after(redis, REFRESH_MIN_MS);
        return;
    }
    map->refreshing = true;
    map->refresh_again = false;
    redis_conn_ask_view(conn);
}

static void on_refresh_timer(struct timer *timer)
{
    struct redis_map *map = container_of(timer, struct redis_map, refresh_timer);
    struct redis *redis = container_of(map, struct redis, map);
    if (!map->refreshing && !redis->closing)
        refresh(redis);
}

void redis_cluster_refresh(struct redis *redis, struct redis_node *hint)
{
    struct redis_map *map = &redis->map;
    if (redis->closing)
        return;
    if (hint != NULL)
        map->refresh_hint = hint;
    if (map->refreshing) {
        map->refresh_again = true;
        return;
    }
    uint64_t next_ms = map->refreshed_ms + REFRESH_MIN_MS;
    uint64_t now_ms = loop_now_ms(redis->loop);
    /* By the timer also when it may be at once: the caller may be in the middle of a connection's end. */
    refresh_after(redis, next_ms > now_ms && map->refreshed_ms != 0 ? next_ms - now_ms : 0);
}

void redis_cluster_look_on(struct redis *redis)
{
    struct redis_map *map = &redis->map;
    if (!map->refreshing && !timer_running(&map->refresh_timer) && !redis->closing)
        refresh_after(redis, jittered(redis, REFRESH_IDLE_MS));
}

void redis_cluster_no_view(struct redis *redis)
{
    redis->map.refreshing = false;
    if (!redis->closing)
        refresh_after(redis, REFRESH_MIN_MS);
}

static void forget(struct redis *redis, struct redis_node *node)
{
    struct redis_map *map = &redis->map;
    for (size_t slot = 0; slot < REDIS_SLOTS; slot++) {
        if (map->slots[slot] == node->index)
            map->slots[slot] = REDIS_NODE_NONE;
    }
    if (map->refresh_hint == node)
        map->refresh_hint = NULL;
    map->nodes[node->index] = NULL;
    redis_health_forget(redis, node);
    free(node);
}

/* Nodes that have left the cluster go as soon as nothing waits for them: now, or with a later view. */
static void forget_unknown(struct redis *redis, const struct redis_node *from)
{
    struct redis_map *map = &redis->map;
    for (size_t i = 0; i < map->nodes_count; i++) {
        struct redis_node *node = map->nodes[i];
        if (node == NULL || node->known || node->seed || node == from)
            continue;
        bool busy = false;
        for (int kind = 0; kind < REDIS_LANES; kind++) {
            struct redis_conn *conn = node->lanes[kind].conn;
            if (conn != NULL && redis_conn_is_idle(conn))
                redis_conn_close(conn, PETREL_E_UNAVAILABLE);
            busy = busy || node->lanes[kind].conn != NULL;
        }
        if (!busy)
            forget(redis, node);
    }
}

/* Whether some slot has another master than before; deposed: from one that has none any more. Slots that an operator moves lose nothing. */
static bool apply(struct redis *redis, const struct redis_view *view, bool *deposed)
{
    struct redis_map *map = &redis->map;
    struct redis_node *masters[REDIS_NODES_MAX] = {NULL};
    bool changed = false;
    for (size_t i = 0; i < map->nodes_count; i++) {
        if (map->nodes[i] == NULL)
            continue;
        map->nodes[i]->known = false;
        map->nodes[i]->has_slots = false;
    }
    for (size_t i = 0; i < view->nodes_count; i++) {
        const struct redis_view_node *seen = &view->nodes[i];
        struct redis_node *node = redis_cluster_node_at(redis, &seen->address);
        if (node == NULL)
            continue;
        node->known = true;
        if (seen->master) {
            masters[seen->shard] = node;
            node->replicas = (int)view->replicas[seen->shard];
        }
    }
    for (size_t i = 0; i < view->ranges_count; i++) {
        if (masters[view->ranges[i].shard] != NULL)
            masters[view->ranges[i].shard]->has_slots = true;
    }
    for (size_t i = 0; i < view->ranges_count; i++) {
        const struct redis_view_range *range = &view->ranges[i];
        const struct redis_node *master = masters[range->shard];
        for (uint32_t slot = range->first; master != NULL && slot <= range->last; slot++) {
            const uint16_t before = map->slots[slot];
            if (!assign(map, slot, master))
                continue;
            changed = true;
            *deposed = *deposed || !map->nodes[before]->has_slots;
        }
    }
    return changed;
}

/* A single server was asked whether it serves: one that loads says that it does not. */
static void on_ping(struct redis *redis, const struct redis_value *reply)
{
    struct redis_map *map = &redis->map;
    map->refreshing = false;
    bool again = reply->type == REDIS_ERROR || map->refresh_again;
    refresh_after(redis, again ? REFRESH_MIN_MS : jittered(redis, REFRESH_IDLE_MS));
}

void redis_cluster_view(struct redis *redis, struct redis_node *from, const struct redis_value *reply)
{
    if (!redis->config.cluster) {
        on_ping(redis, reply);
        return;
    }
    struct redis_map *map = &redis->map;
    struct redis_view *view = NULL;
    int err = redis_slots_read(reply, from->address.host, redis->config.tls != NULL, &view);
    map->refreshing = false;
    if (err != 0) {
        log_at(LOG_WARN, "redis", "a server gives no view of a cluster", LOG_STR("server", from->address.host),
               LOG_NUM("port", from->address.port),
               LOG_STR("error", reply->type == REDIS_ERROR ? (const char *)reply->text.ptr : err_name(err)));
        refresh_after(redis, REFRESH_MIN_MS);
        return;
    }
    map->views++;
    bool deposed = false;
    bool changed = apply(redis, view, &deposed);
    free(view);
    forget_unknown(redis, from);
    metrics_add(redis->metrics, METRIC_REDIS_REFRESHES, 1);
    if (changed)
        redis_changed(redis, deposed);
    refresh_after(redis, map->refresh_again ? REFRESH_MIN_MS : jittered(redis, REFRESH_IDLE_MS));
}

void redis_cluster_init(struct redis *redis)
{
    struct redis_map *map = &redis->map;
    for (size_t slot = 0; slot < REDIS_SLOTS; slot++)
        map->slots[slot] = REDIS_NODE_NONE;
    for (size_t i = 0; i < redis->config.seeds_count; i++) {
        const struct redis_seed *seed = &redis->config.seeds[i];
        struct redis_address address = {.port = seed->port};
        memcpy(address.host, seed->host, sizeof address.host);
        redis_cluster_node_at(redis, &address)->seed = true;
    }
    /* Clients that start together do not all ask the same. */
    map->cursor = (size_t)rng_below(loop_rng(redis->loop), map->nodes_count);
}

void redis_cluster_close(struct redis *redis)
{
    struct redis_map *map = &redis->map;
    timer_stop(&map->refresh_timer);
    for (size_t i = 0; i < map->nodes_count; i++) {
        for (int kind = 0; map->nodes[i] != NULL && kind < REDIS_LANES; kind++) {
            if (map->nodes[i]->lanes[kind].conn != NULL)
                redis_conn_close(map->nodes[i]->lanes[kind].conn, PETREL_E_CLOSING);
        }
    }
}

void redis_cluster_free(struct redis *redis)
{
    for (size_t i = 0; i < redis->map.nodes_count; i++) {
        if (redis->map.nodes[i] != NULL)
            redis_health_forget(redis, redis->map.nodes[i]);
        free(redis->map.nodes[i]);
    }
    redis->map.nodes_count = 0;
    redis_health_end(redis);
}
