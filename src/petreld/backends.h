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
#include "store/topics.h"

struct backends_env {
    const struct config *config;
    const struct datadir *dir;
    const struct clock *clock;
    struct metrics_shard *metrics;          /* the store worker's */
    struct metrics_shard *registry_metrics; /* the registry worker's */
    bool restored;
    uint32_t
        roles; /* of enum discovery_role: a node without MESSAGE has no store, one that is only SESSION no registry */
    struct metrics *all_metrics; /* a loop's index is its shard's */
    size_t loops_count;
    struct loop *main_loop; /* discovery's; it does not run yet */
    const char *node_name;
    void (*on_snapshot)(void *ctx, struct snapshot *snapshot); /* on the registry's worker */
    bool (*is_link_up)(void *ctx,
                       const struct discovery_node *node); /* whether that process is reached; on main_loop */
    void *ctx;
};

struct backends {
    struct store *store;       /* NULL: not needed */
    struct topics *topics;     /* beside the store, of its kind */
    struct registry *registry; /* likewise */
    struct discovery *discovery;
    struct tls_client *redis_tls; /* of the store's and the topics' connections; NULL: they have no TLS */
    uint32_t node;                /* this node's number */
};

/* Open what the configuration names. On an error, which the log explains, nothing is left open. Blocks. Main thread. */
int backends_open(struct backends *backends, const struct backends_env *env);
void backends_close(struct backends *backends);
/* Read the files of store.redis_tls* again, for connections to come; those of registry.mysql_tls* are read with each. 0, or an error that
 * the log explains: then connections go on being made with what there was. Blocks. The server's thread. */
int backends_reload_tls(struct backends *backends, const struct config *config);
/* Tell ctx on this loop whenever the store may have forgotten something: a server of Redis was replaced, or lost. On the loop. */
void backends_watch_store(struct backends *backends, struct loop *loop, void (*on_lost)(void *ctx), void *ctx);
/* A loop asks the store no more. On the loop. */
void backends_leave(struct backends *backends, struct loop *loop);

/* Copy what the backend keeps to a file; done(arg, status) on home. 0, or an error and never. path is left alone until then. */
typedef int backends_backup_fn(struct backends *backends, struct loop *home, const char *path,
                               void (*done)(void *arg, int status), void *arg);
/* Each part that a backup consists of, in order: its file's name and how it is copied; none where a backend is a server of its own,
 * which is backed up with its own means. */
struct backends_part {
    const char *file;
    backends_backup_fn *backup;
};
const struct backends_part *backends_parts(const struct backends *backends, size_t *count);

#endif
