#include "driver/redis.h"

#include "base/err.h"
#include "driver/redis_cluster.h"
#include "driver/redis_conn.h"

#include <stdlib.h>

#define TIMEOUT_MS 1000
#define DEADLINE_MS 5000
#define REPLICATED_MS 10000
#define MAX_INFLIGHT 65536
/* Before a request is tried again: where the node only asks for a moment, and where it, or any, has to come back first. */
#define PARK_SOON_MS 16
#define PARK_LATER_MS 80
/* Redirections are followed at once, but not in circles. */
#define REDIRECTS_AT_ONCE 8
/* A master that the others have lost knows it itself after cluster-node-timeout, 15 s by default. */
#define DOUBTED_MS 20000

static void tell_failed(struct loop_task *task)
{
    struct redis *redis = container_of(task, struct redis, fail_task);
    object_check(redis, REDIS_CLIENT_MAGIC);
    for (struct list *node; (node = list_pop_front(&redis->failed)) != NULL;) {
        struct redis_request *request = container_of(node, struct redis_request, node);
        redis->inflight--;
        request->done(request);
    }
}

void redis_fail(struct redis *redis, struct redis_request *request, int status)
{
    request->status = status;
    request->reply = NULL;
    list_push_back(&redis->failed, &request->node);
    loop_defer(redis->loop, &redis->fail_task);
}

void redis_answer(struct redis *redis, struct redis_request *request, const struct redis_value *reply)
{
    request->status = 0;
    request->reply = reply;
    redis->inflight--;
    request->done(request);
}

static void on_parking(struct timer *timer)
{
    struct redis_parking *parking = container_of(timer, struct redis_parking, timer);
    struct redis *redis = parking->redis;
    uint64_t now_ms = loop_now_ms(redis->loop);
    /* What is parked again is due later, so this ends. */
    while (!list_empty(&parking->requests)) {
        struct redis_request *request = container_of(parking->requests.next, struct redis_request, node);
        if (request->due_ms > now_ms) {
            timer_start(redis->loop, timer, request->due_ms - now_ms, on_parking);
            return;
        }
        list_remove(&request->node);
        redis_route(redis, request);
    }
}

void redis_park(struct redis *redis, struct redis_request *request, enum redis_park where)
{
    struct redis_parking *parking = &redis->parkings[where];
    request->due_ms = loop_now_ms(redis->loop) + parking->delay_ms;
    list_push_back(&parking->requests, &request->node);
    if (!timer_running(&parking->timer))
        timer_start(redis->loop, &parking->timer, parking->delay_ms, on_parking);
    metrics_add(redis->metrics, METRIC_REDIS_RETRIES, 1);
}

void redis_route(struct redis *redis, struct redis_request *request)
{
    if (redis->closing || loop_now_ms(redis->loop) >= request->deadline_ms) {
        redis_fail(redis, request, redis->closing ? PETREL_E_CLOSING : PETREL_E_BUSY);
        return;
    }
    struct redis_node *node = redis_cluster_node_of(redis, request->key);
    bool countable = !request->replicated || !redis->config.cluster || (node != NULL && node->replicas >= 0);
    struct redis_conn *conn = NULL;
    if (node != NULL && countable)
        conn = redis_cluster_conn(redis, &node->lanes[request->replicated ? REDIS_LANE_REPLICATED : REDIS_LANE_PLAIN]);
    if (conn != NULL) {
        redis_conn_submit(conn, request);
        return;
    }
    redis_cluster_refresh(redis, NULL);
    redis_park(redis, request, node == NULL ? REDIS_PARK_SOON : REDIS_PARK_LATER);
}

static void follow(struct redis *redis, struct redis_node *from, struct redis_request *request,
                   enum redis_verdict verdict, const struct redis_value *reply)
{
    uint32_t slot;
    struct redis_address address;
    struct redis_node *to = NULL;
    if (redis->config.cluster && redis_verdict_redirect(reply->text, from->address.host, &slot, &address) == 0)
        to = redis_cluster_node_at(redis, &address);
    bool at_once = to != NULL && request->tries % REDIRECTS_AT_ONCE != 0;
    if (to != NULL && verdict == REDIS_VERDICT_MOVED)
        redis_cluster_moved(redis, slot, to);
    else if (to == NULL || to->replicas < 0)
        redis_cluster_refresh(redis, NULL);
    if (!at_once || (request->replicated && to->replicas < 0)) {
        redis_park(redis, request, REDIS_PARK_SOON);
        return;
    }
    struct redis_conn *conn = NULL;
    if (verdict == REDIS_VERDICT_ASK)
        conn = redis_cluster_conn(redis, &to->lanes[request->replicated ? REDIS_LANE_REPLICATED : REDIS_LANE_PLAIN]);
    if (conn == NULL) {
        redis_route(redis, request);
        return;
    }
    request->asking = true;
    redis_conn_submit(conn, request);
}

void redis_refused(struct redis *redis, struct redis_node *node, struct redis_request *request,
                   enum redis_verdict verdict, const struct redis_value *reply)
{
    request->written = false;
    request->asking = false;
    switch (verdict) {
    case REDIS_VERDICT_MOVED:
    case REDIS_VERDICT_ASK:
        follow(redis, node, request, verdict, reply);
        break;
    case REDIS_VERDICT_SOON:
        redis_park(redis, request, REDIS_PARK_SOON);
        break;
    case REDIS_VERDICT_LATER:
        redis_cluster_refresh(redis, NULL);
        redis_park(redis, request, REDIS_PARK_LATER);
        break;
    case REDIS_VERDICT_FULL:
        redis_fail(redis, request, PETREL_E_FULL);
        break;
    case REDIS_VERDICT_ANSWER:
    case REDIS_VERDICT_NOSCRIPT:
        object_panic(__FILE__, __LINE__, "judged by the connection");
    }
}

void redis_dropped(struct redis *redis, struct redis_request *request, int status)
{
    bool may_have_acted = request->written && !request->readonly;
    request->written = false;
    request->asking = false;
    if (redis->closing)
        redis_fail(redis, request, PETREL_E_CLOSING);
    else if (may_have_acted)
        redis_fail(redis, request, status == PETREL_E_TIMEOUT ? PETREL_E_TIMEOUT : PETREL_E_UNAVAILABLE);
    else
        redis_park(redis, request, REDIS_PARK_SOON);
}

uint32_t redis_slot(struct bytes key)
{
    return redis_slots_of(key);
}

static void tell_changed(struct loop_task *task)
{
    struct redis *redis = container_of(task, struct redis, watch_task);
    bool is_lost = redis->is_lost;
    redis->is_lost = false;
    if (redis->on_change != NULL && !redis->closing)
        redis->on_change(redis->on_change_ctx, is_lost);
}

void redis_changed(struct redis *redis, bool is_lost)
{
    redis->is_lost = redis->is_lost || is_lost;
    if (!redis->closing)
        loop_defer(redis->loop, &redis->watch_task);
}

void redis_watch(struct redis *redis, redis_change_fn *on_change, void *ctx)
{
    object_check(redis, REDIS_CLIENT_MAGIC);
    redis->on_change = on_change;
    redis->on_change_ctx = ctx;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

int redis_check(const struct redis_config *config)
{
    if (config->seeds_count == 0 || config->seeds_count > (config->cluster ? REDIS_SEEDS_MAX : 1))
        return PETREL_E_INVALID;
    for (size_t i = 0; i < config->seeds_count; i++) {
        const struct redis_seed *seed = &config->seeds[i];
        struct redis_address ignored;
        struct bytes host = bytes_of(seed->host, strnlen(seed->host, sizeof seed->host));
        if (redis_slots_address(host, seed->port, &ignored) != 0)
            return PETREL_E_INVALID;
    }
    return 0;
}

static void tear_down(struct loop_task *task);

int redis_new(struct redis **out, struct loop *loop, const struct redis_config *config, struct metrics_shard *metrics)
{
    static const uint32_t delays_ms[REDIS_PARKS] = {PARK_SOON_MS, PARK_LATER_MS};
    if (redis_check(config) != 0)
        return PETREL_E_INVALID;
    struct redis *redis = object_zalloc(sizeof *redis);
    redis->magic = REDIS_CLIENT_MAGIC;
    redis->loop = loop;
    redis->metrics = metrics;
    redis->config = *config;
    redis->config.timeout_ms = or_default(config->timeout_ms, TIMEOUT_MS);
    redis->config.deadline_ms = or_default(config->deadline_ms, DEADLINE_MS);
    redis->config.replicated_ms = or_default(config->replicated_ms, REPLICATED_MS);
    redis->config.max_inflight = or_default(config->max_inflight, MAX_INFLIGHT);
    redis->config.username = config->username != NULL ? object_strdup(config->username) : NULL;
    redis->config.password = config->password != NULL ? object_strdup(config->password) : NULL;
    redis->config.tls = config->tls != NULL ? tls_client_ref(config->tls) : NULL;
    redis->config.tls_name = config->tls_name != NULL ? object_strdup(config->tls_name) : NULL;
    list_init(&redis->failed);
    for (int i = 0; i < REDIS_PARKS; i++) {
        redis->parkings[i].redis = redis;
        redis->parkings[i].delay_ms = delays_ms[i];
        list_init(&redis->parkings[i].requests);
    }
    redis->fail_task.run = tell_failed;
    redis->watch_task.run = tell_changed;
    redis->close_task.run = tear_down;
    redis_cluster_init(redis);
    *out = redis;
    return 0;
}

static const struct redis_text *add_text(struct redis *redis, struct redis_text *text)
{
    object_check(redis, REDIS_CLIENT_MAGIC);
    petrel_assert(redis->texts_count < REDIS_SCRIPTS_MAX);
    redis->texts[redis->texts_count++] = text;
    return text;
}

static const struct redis_script *add_script(struct redis *redis, struct redis_script *script)
{
    petrel_assert(redis->scripts_count < REDIS_SCRIPTS_MAX);
    redis->scripts[redis->scripts_count++] = script;
    return script;
}

const struct redis_script *redis_script_add(struct redis *redis, struct bytes text)
{
    return add_script(redis, redis_script_new(add_text(redis, redis_script_text(redis->texts_count, text)), NULL));
}

const struct redis_text *redis_library_add(struct redis *redis, const char *prefix, struct bytes text)
{
    return add_text(redis, redis_script_library(redis->texts_count, prefix, text));
}

const struct redis_script *redis_function_add(struct redis *redis, const struct redis_text *library, const char *name)
{
    return add_script(redis, redis_script_new(library, name));
}

int redis_ask(struct redis *redis, struct redis_request *request)
{
    object_check(redis, REDIS_CLIENT_MAGIC);
    if (redis->closing)
        return PETREL_E_CLOSING;
    if (redis->inflight >= redis->config.max_inflight)
        return PETREL_E_BUSY;
    size_t bytes = request->key.len;
    petrel_assert(request->argc <= REDIS_ARGS_MAX && (request->argc > 0 || request->script != NULL));
    for (size_t i = 0; i < request->argc; i++)
        bytes += request->argv[i].len;
    petrel_assert(bytes <= REDIS_REQUEST_BYTES_MAX);
    redis->inflight++;
    list_init(&request->node);
    request->state = NULL;
    request->reply = NULL;
    request->tries = 0;
    request->written = false;
    request->asking = false;
    request->deadline_ms =
        loop_now_ms(redis->loop) + (request->replicated ? redis->config.replicated_ms : redis->config.deadline_ms);
    redis_route(redis, request);
    return 0;
}

uint64_t redis_refresh(struct redis *redis, struct bytes key)
{
    object_check(redis, REDIS_CLIENT_MAGIC);
    struct redis_map *map = &redis->map;
    if (!redis->config.cluster || redis->closing)
        return map->views;
    /* One that is under way may be with the eyes of that node. */
    const uint64_t look = map->views + (map->refreshing ? 2 : 1);
    struct redis_node *doubted = redis_cluster_node_of(redis, key);
    if (doubted != NULL)
        doubted->doubted_until_ms = loop_now_ms(redis->loop) + DOUBTED_MS;
    redis_cluster_refresh(redis, NULL);
    return look;
}

bool redis_is_refreshed(const struct redis *redis, uint64_t look)
{
    return redis->map.views >= look;
}

static void free_client(struct redis *redis)
{
    void (*closed)(void *ctx) = redis->closed;
    void *ctx = redis->closed_ctx;
    loop_undefer(&redis->watch_task);
    redis_cluster_free(redis);
    for (size_t i = 0; i < redis->scripts_count; i++)
        free(redis->scripts[i]);
    for (size_t i = 0; i < redis->texts_count; i++)
        free(redis->texts[i]);
    free((void *)(uintptr_t)redis->config.username);
    if (redis->config.password != NULL)
        explicit_bzero((void *)(uintptr_t)redis->config.password, strlen(redis->config.password));
    free((void *)(uintptr_t)redis->config.password);
    tls_client_unref(redis->config.tls);
    free((void *)(uintptr_t)redis->config.tls_name);
    redis->magic = 0;
    free(redis);
    closed(ctx);
}

/* The end has one exit: when the last connection is gone and the last request has been told. */
static void finish_close(struct redis *redis)
{
    petrel_assert(redis->inflight == 0);
    free_client(redis);
}

static void tear_down(struct loop_task *task)
{
    struct redis *redis = container_of(task, struct redis, close_task);
    object_check(redis, REDIS_CLIENT_MAGIC);
    redis_cluster_close(redis);
    for (int i = 0; i < REDIS_PARKS; i++) {
        timer_stop(&redis->parkings[i].timer);
        for (struct list *node; (node = list_pop_front(&redis->parkings[i].requests)) != NULL;)
            redis_fail(redis, container_of(node, struct redis_request, node), PETREL_E_CLOSING);
    }
    loop_undefer(&redis->fail_task);
    tell_failed(&redis->fail_task);
    redis_conn_gone(redis);
}

void redis_conn_gone(struct redis *redis)
{
    object_check(redis, REDIS_CLIENT_MAGIC);
    petrel_assert(redis->conns > 0);
    redis->conns--;
    if (redis->conns == 0 && redis->closing)
        finish_close(redis);
}

void redis_close(struct redis **inside, void (*done)(void *ctx), void *ctx)
{
    struct redis *redis = *inside;
    object_check(redis, REDIS_CLIENT_MAGIC);
    petrel_assert(!redis->closing);
    redis->closing = true;
    redis->conns++; /* tear_down() counts as one, so that the end comes after it */
    redis->closed = done;
    redis->closed_ctx = ctx;
    loop_defer(redis->loop, &redis->close_task);
    *inside = NULL;
}
