#include "api/api_exchange.h"

#include "api/api_audit.h"
#include "api/api_routes.h"

#include <stdlib.h>

#define JSON_TYPE "application/json"
/* How often the memory that the busiest moment needed is let go of. */
#define TRIM_MS 2000

void api_exchange_slabs_init(struct api_role *role)
{
    slab_init(&role->exchanges, sizeof(struct api_exchange), role);
    slab_init(&role->states, API_EXCHANGE_STATE_MAX, role);
}

void api_exchange_slabs_reset(struct api_role *role)
{
    slab_reset(&role->exchanges);
    slab_reset(&role->states);
}

struct http_response api_exchange_response(const struct api_exchange *exchange, bool keep_alive)
{
    return (struct http_response){
        .status = exchange->status,
        .content_type = exchange->content_type,
        .body = bytes_view(&exchange->body),
        .retry_after_s = exchange->retry_after_s,
        .allow = exchange->allow[0] != '\0' ? exchange->allow : NULL,
        .keep_alive = keep_alive,
        .head_only = exchange->head_only,
    };
}

static void trim(struct api_role *role)
{
    const uint64_t now_ms = loop_now_ms(role->loop);
    if (now_ms - role->trimmed_ms < TRIM_MS)
        return;
    role->trimmed_ms = now_ms;
    slab_trim(&role->exchanges);
    slab_trim(&role->states);
}

struct api_exchange *api_exchange_new(struct api_conn *conn, const struct http_request *request, uint32_t stream)
{
    struct api_role *role = conn->role;
    struct api_exchange *exchange = slab_take(&role->exchanges);
    exchange->magic = API_EXCHANGE_MAGIC;
    exchange->role = role;
    exchange->conn = conn;
    exchange->stream = stream;
    exchange->head_only = request != NULL && request->method == HTTP_METHOD_HEAD;
    list_push_back(&conn->exchanges, &exchange->node);
    conn->exchanges_count++;
    role->exchanges_count++;
    trim(role);
    return exchange;
}

void api_exchange_orphan(struct api_exchange *exchange)
{
    object_check(exchange, API_EXCHANGE_MAGIC);
    list_remove(&exchange->node);
    exchange->conn->exchanges_count--;
    exchange->conn = NULL;
    if (exchange->answered)
        api_exchange_free(exchange);
}

void api_exchange_free(struct api_exchange *exchange)
{
    object_check(exchange, API_EXCHANGE_MAGIC);
    petrel_assert(exchange->answered);
    if (exchange->conn != NULL) {
        list_remove(&exchange->node);
        exchange->conn->exchanges_count--;
    }
    if (exchange->drop_state != NULL)
        exchange->drop_state(exchange->state);
    if (exchange->state_is_large)
        free(exchange->state);
    else if (exchange->state != NULL)
        slab_give(exchange->state);
    api_audit_free(exchange->audit);
    bytes_reset(&exchange->body);
    struct api_role *role = exchange->role;
    role->exchanges_count--;
    exchange->magic = 0;
    slab_give(exchange);
    api_role_settle(role);
}

void *api_exchange_state(struct api_exchange *exchange, size_t size, void (*drop)(void *state))
{
    petrel_assert(exchange->state == NULL);
    exchange->state_is_large = size > API_EXCHANGE_STATE_MAX;
    exchange->state = exchange->state_is_large ? object_zalloc(size) : slab_take(&exchange->role->states);
    exchange->drop_state = drop;
    return exchange->state;
}

static void count(const struct api_exchange *exchange)
{
    struct metrics_shard *shard = exchange->role->shard;
    metrics_add(shard, METRIC_HTTP_REQUESTS, 1);
    if (exchange->status >= 500)
        metrics_add(shard, METRIC_HTTP_ERRORS_5XX, 1);
    else if (exchange->status >= 400)
        metrics_add(shard, METRIC_HTTP_ERRORS_4XX, 1);
    log_at(LOG_DEBUG, "api", "answered", LOG_STR("route", exchange->route != NULL ? exchange->route->pattern : NULL),
           LOG_NUM("status", exchange->status));
}

void api_exchange_answer_as(struct api_exchange *exchange, unsigned status, const char *content_type)
{
    object_check(exchange, API_EXCHANGE_MAGIC);
    petrel_assert(!exchange->answered);
    exchange->status = status;
    exchange->content_type = content_type;
    if (!api_audit_hold(exchange))
        api_exchange_release(exchange);
}

void api_exchange_release(struct api_exchange *exchange)
{
    object_check(exchange, API_EXCHANGE_MAGIC);
    exchange->answered = true;
    count(exchange);
    if (exchange->conn != NULL)
        api_conn_answered(exchange->conn, exchange);
    else
        api_exchange_free(exchange);
}

void api_exchange_answer(struct api_exchange *exchange, unsigned status)
{
    bytes_append(&exchange->body, "\n", 1); /* for people with curl */
    api_exchange_answer_as(exchange, status, JSON_TYPE);
}

void api_exchange_fail(struct api_exchange *exchange, const struct api_error *error)
{
    exchange->body.len = 0;
    exchange->error = error->kind;
    exchange->retry_after_s = api_error_retry_s(error);
    api_error_render(error, 0, &exchange->body);
    api_exchange_answer(exchange, api_error_http(error->kind));
}

void api_exchange_refuse(struct api_exchange *exchange, enum api_error_kind kind, const char *field)
{
    struct api_error error;
    (void)api_error_set(&error, kind, field, NULL);
    api_exchange_fail(exchange, &error);
}

void api_exchange_fail_err(struct api_exchange *exchange, int err, bool wrote, const char *field)
{
    struct api_error error;
    api_error_from(&error, err, wrote, field);
    api_exchange_fail(exchange, &error);
}

void api_exchange_ask(struct api_exchange *exchange, link_done_fn *done)
{
    int rc = link_ask(exchange->role->link, &exchange->call, done);
    if (rc != 0)
        api_exchange_fail_err(exchange, rc, false, NULL);
}

struct api_exchange *api_exchange_of_call(struct link_call *call)
{
    struct api_exchange *exchange = container_of(call, struct api_exchange, call);
    object_check(exchange, API_EXCHANGE_MAGIC);
    return exchange;
}

void api_exchange_registry(struct api_exchange *exchange, int (*op)(struct registry *, struct registry_request *),
                           registry_done_fn *done)
{
    exchange->registry.home = exchange->role->loop;
    exchange->registry.done = done;
    int rc = op(exchange->role->registry, &exchange->registry);
    if (rc != 0)
        api_exchange_fail_err(exchange, rc, false, NULL);
}

struct api_exchange *api_exchange_of_registry(struct registry_request *request)
{
    struct api_exchange *exchange = container_of(request, struct api_exchange, registry);
    object_check(exchange, API_EXCHANGE_MAGIC);
    return exchange;
}
