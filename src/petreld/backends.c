#include "petreld/backends.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "discovery/discovery_single.h"
#include "discovery/discovery_zookeeper.h"
#include "petreld/node_number.h"
#include "petreld/secret_file.h"
#include "registry/registry_mysql.h"
#include "registry/registry_sqlite.h"
#include "store/store_redis.h"
#include "store/store_sqlite.h"
#include "store/topics_redis.h"
#include "store/topics_sqlite.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define BACKENDS_STORE_FILE "store.db"
#define BACKENDS_TOPICS_FILE "topics.db"
#define BACKENDS_REGISTRY_FILE "registry.db"
#define BACKENDS_NODES_COPY "nodes.copy"       /* as ZooKeeper told of them last */
#define BACKENDS_REGISTRY_COPY "registry.copy" /* of a registry elsewhere: its last snapshot */
#define SECRET_MAX 256
#define CLAIM_WAIT_MS 20000 /* for ZooKeeper, by a node that has no number yet, */
#define CLAIM_KEPT_MS 3000  /* and by one that has */

static struct store_limits limits_of(const struct config *config)
{
    struct store_limits limits = store_limits_default();
    limits.cap_entries = (uint32_t)config->inbox_cap_entries;
    limits.cap_bytes = (uint32_t)config->inbox_cap_bytes;
    limits.cap_collapse = (uint32_t)config->inbox_collapse_keys;
    limits.recent_ids = (uint32_t)config->inbox_recent_ids;
    limits.recent_ms = config->inbox_recent;
    limits.lapse_ms = config->inbox_lapse;
    limits.fate_ms = config->inbox_fate;
    return limits;
}

static struct topics_limits topics_limits_of(const struct config *config)
{
    return (struct topics_limits){
        .cap_entries = (uint32_t)config->topics_cap_entries,
        .cap_bytes = (uint32_t)config->topics_cap_bytes,
        .per_device = (uint32_t)config->topics_per_device,
        .recent_ids = (uint32_t)config->topics_recent_ids,
        .recent_ms = config->topics_recent,
        .keep_ms = config->topics_keep,
        .lapse_ms = config->topics_lapse,
    };
}

static int open_store_sqlite(struct backends *backends, const struct backends_env *env)
{
    char path[PATH_MAX];
    datadir_path(env->dir, BACKENDS_STORE_FILE, path, sizeof path);
    struct store_sqlite_config config = {
        .path = path,
        .clock = env->clock,
        .limits = limits_of(env->config),
        .metrics = env->metrics,
        .checkpoint_bytes = env->config->store_checkpoint,
        .memory_bytes = env->config->store_memory,
        .min_free_bytes = env->config->store_min_free > 0 ? env->config->store_min_free : 1, /* 0: its default */
        .restored = env->restored,
    };
    return store_sqlite_open(&backends->store, &config);
}

static int open_topics_sqlite(struct backends *backends, const struct backends_env *env)
{
    char path[PATH_MAX];
    datadir_path(env->dir, BACKENDS_TOPICS_FILE, path, sizeof path);
    struct topics_sqlite_config config = {
        .path = path, .clock = env->clock, .limits = topics_limits_of(env->config), .restored = env->restored};
    return topics_sqlite_open(&backends->topics, &config);
}

static int open_registry_sqlite(struct backends *backends, const struct backends_env *env)
{
    char path[PATH_MAX];
    datadir_path(env->dir, BACKENDS_REGISTRY_FILE, path, sizeof path);
    struct registry_sqlite_config config = {
        .path = path, .clock = env->clock, .on_snapshot = env->on_snapshot, .ctx = env->ctx};
    return registry_sqlite_open(&backends->registry, &config);
}

static int open_discovery_single(struct backends *backends, const struct backends_env *env)
{
    backends->node = 1;
    return discovery_single_open(&backends->discovery, env->clock);
}

/* "host:port,host:port" */
static int read_seeds(const char *text, struct redis_config *redis)
{
    char copy[CONFIG_TEXT_MAX + 1], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *seed = strtok_r(copy, ", ", &rest); seed != NULL; seed = strtok_r(NULL, ", ", &rest)) {
        char *colon = strrchr(seed, ':');
        unsigned long port = colon != NULL ? strtoul(colon + 1, NULL, 10) : 0;
        if (redis->seeds_count == REDIS_SEEDS_MAX || port == 0 || port > UINT16_MAX ||
            (size_t)(colon - seed) >= sizeof redis->seeds[0].host)
            return PETREL_E_INVALID;
        struct redis_seed *to = &redis->seeds[redis->seeds_count++];
        memcpy(to->host, seed, (size_t)(colon - seed));
        to->host[colon - seed] = '\0';
        to->port = (uint16_t)port;
    }
    return redis->seeds_count > 0 ? 0 : PETREL_E_INVALID;
}

static const char *given(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static struct tls_client_config redis_tls_config(const struct config *config)
{
    return (struct tls_client_config){
        .ca_file = config->store_redis_tls_ca,
        .cert_file = given(config->store_redis_tls_cert),
        .key_file = given(config->store_redis_tls_key),
        .compact = true,
    };
}

/* The first that opens makes it, if there is to be TLS. */
static int load_redis_tls(struct backends *backends, const struct config *config)
{
    char why[TLS_WHY_SIZE];
    const struct tls_client_config tls = redis_tls_config(config);
    if (backends->redis_tls != NULL || strcmp(config->store_redis_tls, "yes") != 0)
        return 0;
    const int err = tls_client_new(&backends->redis_tls, &tls, why);
    if (err != 0)
        log_at(LOG_ERROR, "backends", "TLS can't be spoken with Redis", LOG_STR("why", why));
    return err;
}

int backends_reload_tls(struct backends *backends, const struct config *config)
{
    char why[TLS_WHY_SIZE];
    const struct tls_client_config tls = redis_tls_config(config);
    if (backends->redis_tls == NULL)
        return 0;
    const int err = tls_client_reload(backends->redis_tls, &tls, why);
    if (err != 0)
        log_at(LOG_ERROR, "backends", "TLS with Redis goes on with the files as they were", LOG_STR("why", why));
    return err;
}

/* Inboxes and topics are in the same Redis, each with connections of its own. open takes the configuration before it returns. */
static int with_redis(const struct backends_env *env,
                      int (*open)(struct backends *, const struct backends_env *, const struct redis_config *),
                      struct backends *backends)
{
    char password[SECRET_MAX];
    struct redis_config redis = {
        .cluster = strcmp(env->config->store_redis_cluster, "yes") == 0,
        .username = env->config->store_redis_user[0] != '\0' ? env->config->store_redis_user : NULL,
        .timeout_ms = (uint32_t)env->config->store_redis_timeout,
        .deadline_ms = (uint32_t)env->config->store_redis_deadline,
        .replicated_ms = (uint32_t)env->config->store_redis_replicated,
    };
    int err = read_seeds(env->config->store_redis, &redis);
    if (err != 0)
        log_at(LOG_ERROR, "backends", "store.redis is not host:port, numeric, several by commas",
               LOG_STR("value", env->config->store_redis));
    if (err == 0)
        err = load_redis_tls(backends, env->config);
    if (err == 0)
        err = secret_file_read(env->config->store_redis_password_file, password, sizeof password);
    if (err == 0) {
        redis.password = password[0] != '\0' ? password : NULL;
        redis.tls = backends->redis_tls;
        redis.tls_name = given(env->config->store_redis_tls_name);
        err = open(backends, env, &redis);
    }
    explicit_bzero(password, sizeof password);
    return err;
}

static int make_store_redis(struct backends *backends, const struct backends_env *env, const struct redis_config *redis)
{
    const struct store_redis_config config = {
        .redis = *redis,
        .clock = env->clock,
        .limits = limits_of(env->config),
        .loops = env->loops_count,
        .metrics = env->all_metrics,
    };
    return store_redis_open(&backends->store, &config);
}

static int open_store_redis(struct backends *backends, const struct backends_env *env)
{
    return with_redis(env, make_store_redis, backends);
}

static int make_topics_redis(struct backends *backends, const struct backends_env *env,
                             const struct redis_config *redis)
{
    const struct topics_redis_config config = {
        .redis = *redis,
        .clock = env->clock,
        .limits = topics_limits_of(env->config),
        .loops = env->loops_count,
        .metrics = env->all_metrics,
    };
    return topics_redis_open(&backends->topics, &config);
}

static int open_topics_redis(struct backends *backends, const struct backends_env *env)
{
    return with_redis(env, make_topics_redis, backends);
}

static int open_registry_mysql(struct backends *backends, const struct backends_env *env)
{
    const struct config *from = env->config;
    char password[SECRET_MAX], copy[PATH_MAX];
    const bool tls = strcmp(from->registry_mysql_tls, "yes") == 0;
    datadir_path(env->dir, BACKENDS_REGISTRY_COPY, copy, sizeof copy);
    int err = secret_file_read(from->registry_mysql_password_file, password, sizeof password);
    if (err == 0) {
        struct registry_mysql_config config = {
            .server = {.socket = from->registry_mysql_socket[0] != '\0' ? from->registry_mysql_socket : NULL,
                       .host = from->registry_mysql_host,
                       .port = (uint16_t)from->registry_mysql_port,
                       .user = from->registry_mysql_user,
                       .password = password,
                       .database = from->registry_mysql_database,
                       .tls_ca = tls ? from->registry_mysql_tls_ca : NULL,
                       .tls_cert = given(from->registry_mysql_tls_cert),
                       .tls_key = given(from->registry_mysql_tls_key)},
            .clock = env->clock,
            .metrics = env->registry_metrics,
            .copy_path = copy,
            .on_snapshot = env->on_snapshot,
            .ctx = env->ctx,
        };
        err = registry_mysql_open(&backends->registry, &config);
    }
    explicit_bzero(password, sizeof password);
    return err;
}

/* ZooKeeper's word counts, where it can be had: it may have been set up anew since. */
static int find_number(const struct discovery_zookeeper_config *config, const struct backends_env *env,
                       uint32_t *number)
{
    uint32_t kept = 0;
    int err = node_number_load(env->dir, config->root, env->node_name, &kept);
    const bool has = err == 0;
    if (err != 0 && err != PETREL_E_NOT_FOUND)
        return err;
    err = discovery_zookeeper_claim(config, env->node_name, has ? CLAIM_KEPT_MS : CLAIM_WAIT_MS, number);
    if (err == 0)
        return node_number_save(env->dir, config->root, env->node_name, *number);
    if (err != PETREL_E_UNAVAILABLE)
        return err;
    if (!has) {
        log_at(LOG_ERROR, "backends", "ZooKeeper is away, and it has to give this node its number at its first start",
               LOG_STR("node", env->node_name), LOG_STR("servers", config->servers));
        return err;
    }
    log_at(LOG_WARN, "backends", "ZooKeeper is away: the node starts with the number it had", LOG_NUM("number", kept));
    *number = kept;
    return 0;
}

/* The number first: what this node is published as has it. */
static int open_discovery_zookeeper(struct backends *backends, const struct backends_env *env)
{
    char copy[PATH_MAX];
    datadir_path(env->dir, BACKENDS_NODES_COPY, copy, sizeof copy);
    struct discovery_zookeeper_config config = {
        .servers = env->config->discovery_zookeeper,
        .root = env->config->discovery_zookeeper_root,
        .session_timeout_ms = (uint32_t)env->config->discovery_zookeeper_session,
        .copy_path = copy,
        .clock = env->clock,
        .loop = env->main_loop,
        .is_link_up = env->is_link_up,
        .ctx = env->ctx,
    };
    int err = find_number(&config, env, &backends->node);
    return err == 0 ? discovery_zookeeper_open(&backends->discovery, &config) : err;
}

/* needs: the roles of which one must be there; 0: always. */
static const struct {
    const char *port;
    size_t choice; /* offset in struct config */
    uint32_t needs;
    const char *name;
    int (*open)(struct backends *backends, const struct backends_env *env);
} table[] = {
    {"store", offsetof(struct config, store_backend), DISCOVERY_MESSAGE, "sqlite", open_store_sqlite},
    {"store", offsetof(struct config, store_backend), DISCOVERY_MESSAGE, "redis", open_store_redis},
    {"topics", offsetof(struct config, store_backend), DISCOVERY_MESSAGE, "sqlite", open_topics_sqlite},
    {"topics", offsetof(struct config, store_backend), DISCOVERY_MESSAGE, "redis", open_topics_redis},
    {"registry", offsetof(struct config, registry_backend), DISCOVERY_MESSAGE | DISCOVERY_API, "sqlite",
     open_registry_sqlite},
    {"registry", offsetof(struct config, registry_backend), DISCOVERY_MESSAGE | DISCOVERY_API, "mysql",
     open_registry_mysql},
    {"discovery", offsetof(struct config, discovery_backend), 0, "single", open_discovery_single},
    {"discovery", offsetof(struct config, discovery_backend), 0, "zookeeper", open_discovery_zookeeper},
};

int backends_open(struct backends *backends, const struct backends_env *env)
{
    *backends = (struct backends){0};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp((const char *)env->config + table[i].choice, table[i].name) != 0)
            continue;
        if (table[i].needs != 0 && (table[i].needs & env->roles) == 0)
            continue;
        int err = table[i].open(backends, env);
        if (err != 0) {
            log_at(LOG_ERROR, "backends", "a backend can't be opened", LOG_STR("port", table[i].port),
                   LOG_STR("backend", table[i].name), LOG_STR("error", err_text(err)));
            backends_close(backends);
            return err;
        }
    }
    petrel_assert(backends->discovery != NULL);
    return 0;
}

static bool is_on_redis(const struct backends *backends)
{
    return backends->store != NULL && strcmp(backends->store->ops->name, "redis") == 0;
}

void backends_watch_store(struct backends *backends, struct loop *loop, void (*on_lost)(void *ctx), void *ctx)
{
    if (is_on_redis(backends))
        store_redis_watch(backends->store, loop, on_lost, ctx);
}

void backends_leave(struct backends *backends, struct loop *loop)
{
    if (is_on_redis(backends))
        store_redis_leave(backends->store, loop);
    if (is_on_redis(backends) && backends->topics != NULL)
        topics_redis_leave(backends->topics, loop);
}

void backends_close(struct backends *backends)
{
    store_close(&backends->store);
    topics_close(&backends->topics);
    if (backends->registry != NULL)
        backends->registry->ops->close(backends->registry);
    if (backends->discovery != NULL)
        backends->discovery->ops->close(backends->discovery);
    tls_client_unref(backends->redis_tls);
    *backends = (struct backends){0};
}

struct copy {
    union {
        struct store_sqlite_backup store;
        struct topics_sqlite_backup topics;
        struct registry_sqlite_backup registry;
    };
    void (*done)(void *arg, int status);
    void *arg;
};

static void end_copy(struct copy *copy, int status)
{
    copy->done(copy->arg, status);
    free(copy);
}

static struct copy *new_copy(void (*done)(void *arg, int status), void *arg)
{
    struct copy *copy = object_zalloc(sizeof *copy);
    copy->done = done;
    copy->arg = arg;
    return copy;
}

static void on_store_copied(struct store_sqlite_backup *backup)
{
    end_copy(container_of(backup, struct copy, store), backup->status);
}

static int copy_store(struct backends *backends, struct loop *home, const char *path,
                      void (*done)(void *arg, int status), void *arg)
{
    struct copy *copy = new_copy(done, arg);
    copy->store.path = path;
    int err = store_sqlite_backup(backends->store, &copy->store, home, on_store_copied);
    if (err != 0)
        free(copy);
    return err;
}

static void on_topics_copied(struct topics_sqlite_backup *backup)
{
    end_copy(container_of(backup, struct copy, topics), backup->status);
}

static int copy_topics(struct backends *backends, struct loop *home, const char *path,
                       void (*done)(void *arg, int status), void *arg)
{
    struct copy *copy = new_copy(done, arg);
    copy->topics.path = path;
    int err = topics_sqlite_backup(backends->topics, &copy->topics, home, on_topics_copied);
    if (err != 0)
        free(copy);
    return err;
}

static void on_registry_copied(struct registry_sqlite_backup *backup)
{
    end_copy(container_of(backup, struct copy, registry), backup->status);
}

static int copy_registry(struct backends *backends, struct loop *home, const char *path,
                         void (*done)(void *arg, int status), void *arg)
{
    struct copy *copy = new_copy(done, arg);
    copy->registry.path = path;
    int err = registry_sqlite_backup(backends->registry, &copy->registry, home, on_registry_copied);
    if (err != 0)
        free(copy);
    return err;
}

const struct backends_part *backends_parts(const struct backends *backends, size_t *count)
{
    static const struct backends_part parts[] = {
        {BACKENDS_STORE_FILE, copy_store},
        {BACKENDS_TOPICS_FILE, copy_topics},
        {BACKENDS_REGISTRY_FILE, copy_registry},
    };
    bool embedded = backends->store != NULL && strcmp(backends->store->ops->name, "sqlite") == 0 &&
                    backends->registry != NULL && strcmp(backends->registry->name, "sqlite") == 0;
    *count = embedded ? sizeof parts / sizeof parts[0] : 0;
    return parts;
}
