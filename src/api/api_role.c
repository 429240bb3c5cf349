#include "api/api_role.h"

#include "api/api_exchange.h"
#include "api/api_refresh.h"
#include "base/err.h"

#include <stdlib.h>

#define DAY_S 86400ULL
#define HELD_BYTES_MIN (256ULL << 20)

struct api_config api_role_defaults(void)
{
    return (struct api_config){
        .socket = "",
        .operators.gid = LISTENER_NO_GROUP,
        .max_connections = 4096,
        .max_strangers_per_address = 256,
        .max_body_bytes = 4U << 20,
        .max_message_bytes = 16384,
        .max_batch_lines = 1000,
        .max_pipeline = 64,
        .http2_streams = 128,
        .request_timeout_ms = 15000,
        .idle_timeout_ms = 75000,
        .ttl_default_s = 28 * DAY_S,
        .rate_burst_ms = 1000,
        .ttl_max_s = 28 * DAY_S,
        .topics_ttl_max_s = 28 * DAY_S,
        .token_ttl_s = 30 * DAY_S,
        .heartbeat_hint_s = 300,
    };
}

static void free_role(struct api_role *role)
{
    free((char *)(uintptr_t)role->config.host);
    free((char *)(uintptr_t)role->config.socket);
    free((char *)(uintptr_t)role->config.node_name);
    free((char *)(uintptr_t)role->config.version);
    snapshot_unref(role->snapshot);
    tls_server_unref(role->tls);
    lookup_pacer_free(&role->pacer);
    map_reset(&role->strangers);
    api_exchange_slabs_reset(role);
    bytes_reset(&role->segments);
    bytes_reset(&role->message);
    bytes_reset(&role->response);
    role->magic = 0;
    free(role);
}

static void on_finish(struct loop_task *task)
{
    struct api_role *role = container_of(task, struct api_role, finish);
    object_check(role, API_ROLE_MAGIC);
    petrel_assert(role->held == 0 && role->strangers.count == 0);
    void (*done)(void *ctx) = role->done;
    void *ctx = role->done_ctx;
    free_role(role);
    done(ctx);
}

void api_role_settle(struct api_role *role)
{
    if (role->closing && !role->finished && role->conns_count == 0 && role->exchanges_count == 0 &&
        !role->refresh.under_way) {
        role->finished = true;
        loop_defer(role->loop, &role->finish);
    }
}

static uint64_t default_held_bytes(const struct api_config *config)
{
    const uint64_t two_bodies = 2 * (uint64_t)config->max_body_bytes;
    return two_bodies > HELD_BYTES_MIN ? two_bodies : HELD_BYTES_MIN;
}

size_t api_role_object_max(const struct api_role *role)
{
    const size_t of_message = 4 * (size_t)role->config.max_message_bytes;
    return of_message > API_OBJECT_BYTES_MIN ? of_message : API_OBJECT_BYTES_MIN;
}

int api_role_check_object(const struct api_role *role, struct bytes body, struct api_error *error)
{
    if (body.len <= api_role_object_max(role))
        return 0;
    return api_error_set(error, API_ERROR_TOO_LARGE, NULL, "the body is %zu bytes, the limit for one object is %zu",
                         body.len, api_role_object_max(role));
}

int api_role_new(struct api_role **out, struct loop *loop, struct link *link, struct registry *registry,
                 struct discovery *discovery, const struct metrics *metrics, struct metrics_shard *shard,
                 const struct api_host *host, const struct api_config *config)
{
    if (config->kind == API_ADMIN && (config->admin_token == NULL || config->admin_token[0] == '\0'))
        return PETREL_E_INVALID; /* an empty token would open the door to everyone */
    struct api_role *role = object_zalloc(sizeof *role);
    role->magic = API_ROLE_MAGIC;
    api_exchange_slabs_init(role);
    role->loop = loop;
    role->link = link;
    role->registry = registry;
    role->discovery = discovery;
    role->metrics = metrics;
    role->shard = shard;
    role->host = *host;
    role->config = *config;
    role->config.host = object_strdup(config->host);
    role->config.socket = object_strdup(config->socket);
    role->config.node_name = object_strdup(config->node_name);
    role->config.version = object_strdup(config->version);
    role->config.admin_token = NULL; /* its digest will do */
    if (role->config.max_held_bytes == 0)
        role->config.max_held_bytes = default_held_bytes(config);
    if (config->kind == API_ADMIN)
        digest_sha256(bytes_str(config->admin_token), role->admin_digest);
    role->pacer = lookup_pacer_new();
    list_init(&role->conns);
    map_init(&role->strangers, api_conn_stranger_key, rng_u64(loop_rng(loop)));
    api_refresh_init(role);
    role->finish.run = on_finish;
    *out = role;
    return 0;
}

void api_role_set_snapshot(struct api_role *role, struct snapshot *snapshot)
{
    object_check(role, API_ROLE_MAGIC);
    struct snapshot *old = role->snapshot;
    role->snapshot = snapshot_ref(snapshot);
    role->snapshots++;
    snapshot_unref(old);
}

void api_role_set_tls(struct api_role *role, struct tls_server *tls)
{
    object_check(role, API_ROLE_MAGIC);
    tls_server_unref(role->tls);
    role->tls = tls != NULL ? tls_server_ref(tls) : NULL;
}

int api_role_listen(struct api_role *role, uint16_t *port)
{
    object_check(role, API_ROLE_MAGIC);
    *port = 0;
    if (role->config.host[0] == '\0')
        return 0;
    const struct listener_config config = {.host = role->config.host, .port = role->config.port};
    int rc = listener_open(&role->listener, role->loop, &config, api_conn_accept, role);
    if (rc != 0)
        return rc;
    *port = listener_port(role->listener);
    return 0;
}

int api_role_listen_local(struct api_role *role)
{
    object_check(role, API_ROLE_MAGIC);
    const struct listener_local local = {.path = role->config.socket, .group = role->config.operators.gid};
    if (role->config.socket[0] == '\0')
        return 0;
    return listener_open_local(&role->local, role->loop, &local, api_conn_accept, role);
}

void api_role_close(struct api_role **inside, void (*done)(void *ctx), void *ctx)
{
    struct api_role *role = *inside;
    *inside = NULL;
    object_check(role, API_ROLE_MAGIC);
    petrel_assert(!role->closing);
    role->closing = true;
    role->done = done;
    role->done_ctx = ctx;
    listener_close(&role->listener);
    listener_close(&role->local);
    struct list *node, *tmp;
    LIST_FOREACH(node, tmp, &role->conns)
    api_conn_finish(container_of(node, struct api_conn, node));
    api_role_settle(role);
}
