/* The node itself, for operators: status, configuration, backup. */
#include "api/api_admin_nodes.h"
#include "api/api_audit.h"
#include "api/api_json.h"
#include "api/api_routes.h"
#include "base/err.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <limits.h>

/* ---- status ---- */

static void put_counts(struct bytebuf *out, const struct metrics *metrics)
{
    static const struct {
        const char *name;
        enum metric metric;
    } counts[] = {
        {"sessions", METRIC_SESSIONS},
        {"connections", METRIC_CONNECTIONS},
        {"overloaded", METRIC_OVERLOADED},
        {"admission_held", METRIC_ADMISSION_HELD},
        {"memory_bytes", METRIC_MEMORY_BYTES},
        {"memory_short", METRIC_MEMORY_SHORT},
        {"sends", METRIC_SENDS},
        {"sends_refused", METRIC_SENDS_REFUSED},
        {"pushes", METRIC_PUSHES},
        {"acks", METRIC_ACKS},
        {"store_commits", METRIC_STORE_COMMITS},
        {"store_journal_bytes", METRIC_STORE_JOURNAL_BYTES},
        {"store_full", METRIC_STORE_FULL},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        bytes_printf(out, ",\"%s\":%" PRId64, counts[i].name, metrics_get(metrics, counts[i].metric));
}

static void put_state(struct bytebuf *out, const char *name, const char *state)
{
    if (state != NULL)
        bytes_printf(out, ",\"%s\":\"%s\"", name, state);
}

static void put_health(struct bytebuf *out, const struct api_health *health)
{
    api_admin_nodes_put_roles(out, health->roles);
    put_state(out, "state", health->state);
    bytes_printf(out, ",\"ready\":%s", health->ready ? "true" : "false");
    if (!health->ready) {
        bytes_append_str(out, ",\"reason\":");
        api_json_put_text(out, bytes_str(health->why));
    }
    put_state(out, "store", health->store);
    put_state(out, "registry", health->registry);
    put_state(out, "discovery", health->discovery);
    bytes_printf(out, ",\"links\":{\"wanted\":%u,\"up\":%u,\"callers\":%u}", health->links, health->links_up,
                 health->callers);
    api_health_put_warnings(out, health);
}

void api_admin_node_status(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    const struct api_role *role = exchange->role;
    const struct api_config *config = &role->config;
    struct bytebuf *out = &exchange->body;
    struct api_health health;
    api_health_ask(role, &health);
    const uint64_t now_ms = loop_wall_ms(role->loop);
    bytes_printf(out, "{\"node\":%u,\"name\":", config->node);
    api_json_put_text(out, bytes_str(config->node_name));
    bytes_append_str(out, ",\"version\":");
    api_json_put_text(out, bytes_str(config->version));
    api_json_put_time(out, "started_at", config->started_ms);
    bytes_printf(out, ",\"uptime_s\":%" PRIu64 ",\"loops\":%zu",
                 now_ms > config->started_ms ? (now_ms - config->started_ms) / 1000 : 0, config->loops);
    if (role->snapshot != NULL)
        bytes_printf(out, ",\"apps\":%zu", snapshot_apps_count(role->snapshot));
    put_health(out, &health);
    put_counts(out, role->metrics);
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

void api_admin_node_config(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    const struct api_host *host = &exchange->role->host;
    host->render_config(host->ctx, &exchange->body);
    api_exchange_answer(exchange, 200);
}

/* ---- backup ---- */

struct backup {
    char directory[PATH_MAX];
};

struct backup_body {
    struct bytes directory;
};

static const struct api_json_field backup_fields[] = {
    {"directory", API_JSON_TEXT, offsetof(struct backup_body, directory), 0, PATH_MAX - 1},
};

static int read_backup(const struct api_exchange *exchange, struct bytes text, struct backup *backup,
                       struct api_error *error)
{
    struct backup_body body = {{0}};
    if (api_role_check_object(exchange->role, text, error) != 0)
        return PETREL_E_INVALID;
    json_t *object = api_json_parse(text, error);
    if (object == NULL)
        return PETREL_E_INVALID;
    int rc = api_json_read(object, "", backup_fields, 1, &body, error);
    if (rc == 0 && (body.directory.len == 0 || body.directory.ptr[0] != '/' || !utf8_printable(body.directory)))
        rc = api_error_set(error, API_ERROR_INVALID, "directory", "must be an absolute path on the server's machine");
    if (rc == 0)
        memcpy(backup->directory, body.directory.ptr, body.directory.len);
    json_decref(object);
    return rc;
}

/* Where the server is not asked for a thing of its own, the general texts would say too little. */
static void refuse_backup(struct api_exchange *exchange, int status)
{
    struct api_error error;
    api_error_from(&error, status, false, "directory");
    if (status == PETREL_E_NOT_FOUND)
        (void)api_error_set(&error, API_ERROR_NOT_FOUND, "directory",
                            "the directory to make it in does not exist on the server's machine");
    else if (status == PETREL_E_FORBIDDEN)
        (void)api_error_set(&error, API_ERROR_FAILED_PRECONDITION, "directory",
                            "the server's user may not make it there");
    else if (status == PETREL_E_UNSUPPORTED)
        (void)api_error_set(&error, API_ERROR_FAILED_PRECONDITION, NULL,
                            "this node keeps nothing itself: back up its Redis and MySQL by their own means");
    else if (status == PETREL_E_IO)
        (void)api_error_set(&error, API_ERROR_INTERNAL, "directory",
                            "it could not be written; the server's log has why");
    api_exchange_fail(exchange, &error);
}

static void on_backed_up(void *arg, int status)
{
    struct api_exchange *exchange = arg;
    object_check(exchange, API_EXCHANGE_MAGIC);
    const struct backup *backup = exchange->state;
    log_at(status == 0 ? LOG_INFO : LOG_WARN, "api", "backup", LOG_STR("directory", backup->directory),
           LOG_STR("status", err_name(status)));
    if (status != 0) {
        refuse_backup(exchange, status);
        return;
    }
    bytes_append_str(&exchange->body, "{\"directory\":");
    api_json_put_text(&exchange->body, bytes_str(backup->directory));
    bytes_append_str(&exchange->body, "}");
    api_exchange_answer(exchange, 200);
}

void api_admin_node_backup(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct backup *backup = api_exchange_state(exchange, sizeof *backup, NULL);
    if (read_backup(exchange, request->http->body, backup, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    api_audit_target(exchange, backup->directory);
    const struct api_host *host = &exchange->role->host;
    const int rc = host->backup(host->ctx, exchange->role->loop, backup->directory, on_backed_up, exchange);
    if (rc != 0)
        on_backed_up(exchange, rc);
}
