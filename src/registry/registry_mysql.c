#include "registry/registry_mysql.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "base/rng.h"
#include "registry/registry_base.h"
#include "registry/registry_mysql_tables.h"
#include "registry/snapshot_file.h"

#include <stdio.h>
#include <stdlib.h>

#define SLICE_MAX 64   /* requests in a transaction: other nodes' writes wait as long as it takes */
#define REFRESH_MS 200 /* strangers who guess keys make every node ask this often, and no oftener */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define SOURCE_MAX 512

struct registry_mysql {
    struct registry_base base;

    /* The worker's thread only, from here on. */
    struct registry_mysql_config config; /* its texts are copies */
    bool away;                           /* the last thing tried failed for want of the server; for the log */
    uint64_t poll_at_ms;
    uint64_t connect_at_ms; /* without a connection: not before this */
    uint32_t backoff_ms;    /* the next wait between two attempts to connect */
    struct rng rng;
};

static struct registry_mysql *self_of(struct registry_base *base)
{
    return container_of(base, struct registry_mysql, base);
}

/* ---- the connection ---- */

/* Not before a wait that doubles, and is of random length so that all nodes do not come back at once. The first is none. */
static void wait_to_connect(struct registry_mysql *self)
{
    const uint32_t most = self->backoff_ms;
    self->connect_at_ms = registry_base_now_ms() + (most == 0 ? 0 : most / 2 + rng_below(&self->rng, most / 2 + 1));
    self->backoff_ms = most == 0 ? BACKOFF_MIN_MS : most < BACKOFF_MAX_MS / 2 ? most * 2 : BACKOFF_MAX_MS;
}

static void tell_away(struct registry_mysql *self, bool away)
{
    if (away && !self->away)
        log_event(LOG_WARN, "registry", "MySQL is away; the last snapshot stays, changes are refused");
    if (!away && self->away)
        log_event(LOG_INFO, "registry", "MySQL is back");
    self->away = away;
    metrics_set(self->config.metrics, METRIC_REGISTRY_DOWN, away);
}

static void drop_connection(struct registry_base *base)
{
    base->tables->ops->close(base->tables);
    base->tables = NULL;
}

static void settle(struct registry_base *base, int status)
{
    struct registry_mysql *self = self_of(base);
    if (status == 0) {
        tell_away(self, false);
        self->backoff_ms = 0;
    } else if (base->tables != NULL && !base->tables->ops->usable(base->tables)) {
        drop_connection(base);
        tell_away(self, true);
        wait_to_connect(self);
    }
}

static int connect_now(struct registry_base *base)
{
    struct registry_mysql *self = self_of(base);
    const int err = registry_mysql_tables_open(&base->tables, &self->config.server);
    if (err != 0) {
        tell_away(self, true);
        wait_to_connect(self);
    }
    self->poll_at_ms = 0; /* something may have changed meanwhile */
    return err;
}

static int connect_if_due(struct registry_base *base)
{
    if (base->tables != NULL)
        return 0;
    const bool due = registry_base_now_ms() >= self_of(base)->connect_at_ms;
    return due && connect_now(base) == 0 ? 0 : PETREL_E_UNAVAILABLE;
}

/* ---- the copy ---- */

/* What a copy must be of: a node that was sent to another database does not serve the last one's keys. */
static void name_source(const struct registry_mysql *self, char source[SOURCE_MAX])
{
    const struct mysqldb_config *server = &self->config.server;
    snprintf(source, SOURCE_MAX, "%s:%u/%s", server->socket != NULL ? server->socket : server->host,
             server->socket != NULL ? 0U : (unsigned)server->port, server->database);
}

static void on_snapshot(struct registry_base *base, struct snapshot *snapshot)
{
    struct registry_mysql *self = self_of(base);
    char source[SOURCE_MAX];
    name_source(self, source);
    self->config.on_snapshot(self->config.ctx, snapshot);
    if (self->config.copy_path != NULL)
        (void)snapshot_file_write(self->config.copy_path, source, snapshot); /* it has logged why not */
}

/* Served until the database is back, whose own is published then, whatever version it has. */
static void serve_copy(struct registry_mysql *self)
{
    struct snapshot *snapshot = NULL;
    char source[SOURCE_MAX];
    name_source(self, source);
    if (self->config.copy_path == NULL || snapshot_file_read(self->config.copy_path, source, &snapshot) != 0) {
        log_event(LOG_WARN, "registry",
                  "there is no snapshot of an earlier run: requests are refused until MySQL is back");
        return;
    }
    log_at(LOG_WARN, "registry", "the snapshot of an earlier run is served",
           LOG_NUM("version", snapshot_version(snapshot)));
    self->base.version = snapshot_version(snapshot);
    self->config.on_snapshot(self->config.ctx, snapshot);
    snapshot_unref(snapshot);
}

/* ---- on the worker's thread ---- */

/* What no wait mends is an error; else the node starts without its database. */
static int start(struct registry_base *base)
{
    int err = connect_now(base);
    if (err == PETREL_E_FORBIDDEN || err == PETREL_E_NOT_FOUND || err == PETREL_E_UNSUPPORTED)
        return err;
    if (err == 0) {
        err = registry_base_publish(base);
        settle(base, err);
    }
    if (err != 0)
        serve_copy(self_of(base));
    return 0;
}

/* A primary that takes no writes any more has a successor, perhaps at the same address. */
static int find_primary(struct registry_base *base)
{
    if (!registry_mysql_tables_read_only(base->tables))
        return 0;
    drop_connection(base);
    return connect_if_due(base);
}

static void poll_if_due(struct registry_base *base)
{
    struct registry_mysql *self = self_of(base);
    if (registry_base_now_ms() < self->poll_at_ms && !base->unpublished)
        return;
    if (find_primary(base) == 0)
        (void)registry_base_poll(base);
    self->poll_at_ms = registry_base_now_ms() + self->config.poll_ms;
}

static uint32_t tend(struct registry_base *base)
{
    struct registry_mysql *self = self_of(base);
    if (connect_if_due(base) == 0)
        poll_if_due(base);
    if (base->tables != NULL && base->tables->purging) {
        const int rc = tables_purge(base->tables);
        settle(base, rc < 0 ? rc : 0);
    }
    if (base->tables == NULL)
        return registry_base_until(self->connect_at_ms);
    return base->tables->purging ? 0 : registry_base_until(self->poll_at_ms);
}

static void stop(struct registry_base *base)
{
    (void)base;
}

/* ---- opening and closing ---- */

static void free_text(const char *text)
{
    free((char *)(uintptr_t)text);
}

static void registry_free(struct registry_base *base)
{
    struct registry_mysql *self = self_of(base);
    struct mysqldb_config *config = &self->config.server;
    if (config->password != NULL)
        explicit_bzero((char *)(uintptr_t)config->password, strlen(config->password));
    free_text(config->socket);
    free_text(config->host);
    free_text(config->user);
    free_text(config->password);
    free_text(config->database);
    free_text(config->tls_ca);
    free_text(config->tls_cert);
    free_text(config->tls_key);
    free_text(self->config.copy_path);
    free(self);
}

static char *copy_of(const char *text)
{
    return text != NULL ? object_strdup(text) : NULL;
}

static void copy_config(struct registry_mysql *self, const struct registry_mysql_config *config)
{
    self->config = *config;
    self->config.copy_path = copy_of(config->copy_path);
    if (self->config.poll_ms == 0)
        self->config.poll_ms = REGISTRY_MYSQL_POLL_MS;
    struct mysqldb_config *copy = &self->config.server;
    copy->socket = copy_of(copy->socket);
    copy->host = copy_of(copy->host);
    copy->user = copy_of(copy->user);
    copy->password = copy_of(copy->password);
    copy->database = copy_of(copy->database);
    copy->tls_ca = copy_of(copy->tls_ca);
    copy->tls_cert = copy_of(copy->tls_cert);
    copy->tls_key = copy_of(copy->tls_key);
    if (copy->connect_timeout_ms == 0)
        copy->connect_timeout_ms = REGISTRY_MYSQL_CONNECT_TIMEOUT_MS;
    if (copy->timeout_ms == 0)
        copy->timeout_ms = REGISTRY_MYSQL_TIMEOUT_MS;
}

int registry_mysql_open(struct registry **out, const struct registry_mysql_config *config)
{
    static const struct registry_base_ops ops = {
        .name = "mysql",
        .slice_max = SLICE_MAX,
        .refresh_ms = REFRESH_MS,
        .start = start,
        .connect = connect_if_due,
        .settle = settle,
        .tend = tend,
        .stop = stop,
        .free = registry_free,
    };
    petrel_assert(config->server.database != NULL && (config->server.socket != NULL || config->server.host != NULL));
    struct registry_mysql *self = object_zalloc(sizeof *self);
    self->base.ops = &ops;
    self->base.clock = config->clock;
    self->base.on_snapshot = on_snapshot;
    rng_seed_system(&self->rng);
    copy_config(self, config);
    const int err = registry_base_open(&self->base);
    *out = err == 0 ? &self->base.registry : NULL;
    return err;
}
