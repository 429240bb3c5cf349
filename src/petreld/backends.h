/* backends.h: the one list of what is pluggable: stores, registries, discoveries by name.
 *
 * To add one: implement its port, then a row in backends.c and its name in config_table.h. */
#ifndef PETREL_PETRELD_BACKENDS_H
#define PETREL_PETRELD_BACKENDS_H

#include "base/metrics.h"
#include "discovery/discovery.h"
#include "petreld/config.h"
#include "petreld/datadir.h"
#include "registry/registry.h"
#include "store/store.h"

struct backends_env {
    const struct config *config;
    const struct datadir *dir;
    const struct clock *clock;
    struct metrics_shard *metrics; /* the store worker's */
    bool restored;
    void (*on_snapshot)(void *ctx, struct snapshot *snapshot); /* on the registry's worker */
    void *ctx;
};

struct backends {
    struct store *store;
    struct registry *registry;
    struct discovery *discovery;
};

/* Open what the configuration names. On an error, which the log explains, nothing is left open. Blocks. Main thread. */
int backends_open(struct backends *backends, const struct backends_env *env);
void backends_close(struct backends *backends);

/* Copy what the backend keeps to a file; done(arg, status) on home. 0, or an error and never. path is left alone until then. */
typedef int backends_backup_fn(struct backends *backends, struct loop *home, const char *path,
                               void (*done)(void *arg, int status), void *arg);
/* Each part that a backup consists of, in order: its file's name and how it is copied. */
struct backends_part {
    const char *file;
    backends_backup_fn *backup;
};
const struct backends_part *backends_parts(size_t *count);

#endif
