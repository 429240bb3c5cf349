#include "petreld/backends.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "discovery/discovery_single.h"
#include "registry/registry_sqlite.h"
#include "store/store_sqlite.h"

#include <limits.h>
#include <stdlib.h>

#define BACKENDS_STORE_FILE "store.db"
#define BACKENDS_REGISTRY_FILE "registry.db"

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
    return discovery_single_open(&backends->discovery, env->clock);
}

static const struct {
    const char *port;
    size_t choice; /* offset in struct config */
    const char *name;
    int (*open)(struct backends *backends, const struct backends_env *env);
} table[] = {
    {"store", offsetof(struct config, store_backend), "sqlite", open_store_sqlite},
    {"registry", offsetof(struct config, registry_backend), "sqlite", open_registry_sqlite},
    {"discovery", offsetof(struct config, discovery_backend), "single", open_discovery_single},
};

int backends_open(struct backends *backends, const struct backends_env *env)
{
    *backends = (struct backends){0};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp((const char *)env->config + table[i].choice, table[i].name) != 0)
            continue;
        int err = table[i].open(backends, env);
        if (err != 0) {
            log_at(LOG_ERROR, "backends", "a backend can't be opened", LOG_STR("port", table[i].port),
                   LOG_STR("backend", table[i].name), LOG_STR("error", err_text(err)));
            backends_close(backends);
            return err;
        }
    }
    petrel_assert(backends->store != NULL && backends->registry != NULL && backends->discovery != NULL);
    return 0;
}

void backends_close(struct backends *backends)
{
    store_close(&backends->store);
    if (backends->registry != NULL)
        backends->registry->ops->close(backends->registry);
    if (backends->discovery != NULL)
        backends->discovery->ops->close(backends->discovery);
    *backends = (struct backends){0};
}

struct copy {
    union {
        struct store_sqlite_backup store;
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

const struct backends_part *backends_parts(size_t *count)
{
    static const struct backends_part parts[] = {
        {BACKENDS_STORE_FILE, copy_store},
        {BACKENDS_REGISTRY_FILE, copy_registry},
    };
    *count = sizeof parts / sizeof parts[0];
    return parts;
}
