/* registry_rig.h: what the registry's suites share: the implementations, a registry in a folder of its own with two loops, and
 * requests that are asked on a loop and waited for on the test's thread. To add an implementation: a row in registry_rig.c. */
#ifndef PETREL_TESTS_CONTRACT_REGISTRY_RIG_H
#define PETREL_TESTS_CONTRACT_REGISTRY_RIG_H

#include "base/err.h"
#include "base/metrics.h"
#include "base/object.h"
#include "contract/loops.h"
#include "lib/mariadb_server.h"
#include "registry/registry_audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define WALL_MS 1700000000000

struct registry_rig;
struct mysqldb;

/* An implementation, kept in a folder of the test's own or in a database of the suite's server. */
struct registry_fixture {
    const char *name;
    bool on_server;
    int (*open)(struct registry_rig *world);
    /* Whether what is stored holds these bytes anywhere. */
    bool (*holds)(struct registry_rig *world, struct bytes needle);
    /* Make writes fail for want of room, and have room again. */
    void (*fill)(struct registry_rig *world, bool full);
};

/* What a case is given: an implementation, and the server when it needs one. */
struct registry_backend {
    const struct registry_fixture *fixture;
    struct mariadb_server *server;
};

#define REGISTRY_RIG_USER "petrel"
#define REGISTRY_RIG_PASSWORD "a secret that no log shows"

struct registry_rig {
    const struct registry_fixture *fixture;
    struct mariadb_server *server; /* NULL: the implementation needs none */
    char database[32];             /* its own, on the server */
    uint32_t timeout_ms;           /* of a statement on the server; 0: the implementation's */
    uint32_t poll_ms;
    bool keeps_copy; /* of the last snapshot, in the folder, for a start without the server */
    struct metrics *metrics;
    struct clock_manual clock;
    struct loops loops;
    char folder[64];
    struct registry *registry;
    pthread_mutex_t lock;
    struct snapshot *snapshot; /* the newest; under lock */
    uint32_t snapshots;        /* seen so far; under lock */
};

typedef int registry_op_fn(struct registry *registry, struct registry_request *request);

/* One request and what its callback found; rows are copied, since they are lent. */
struct registry_ask {
    struct registry_rig *world;
    registry_op_fn *op;
    struct registry_request request;
    int result;
    bool on_home;
    struct snapshot *snapshot; /* the newest when done ran */
    union {
        struct registry_app apps[REGISTRY_PAGE_MAX];
        struct registry_key keys[REGISTRY_PAGE_MAX];
        struct registry_device devices[REGISTRY_PAGE_MAX];
        struct registry_audit_row audit[REGISTRY_PAGE_MAX];
    };
    pthread_t home;
    struct loops_tally done;
};

void registry_rig_open(struct registry_rig *world, const struct registry_backend *backend);
void registry_rig_close(struct registry_rig *world);
/* The same in two steps: make what a registry is opened in; open it. The status of the latter. */
void registry_rig_prepare(struct registry_rig *world, const struct registry_backend *backend);
int registry_rig_try_open(struct registry_rig *world);
/* Make what a second registry is opened in, on the database of the first. */
void registry_rig_prepare_beside(struct registry_rig *world, const struct registry_rig *first);
/* A connection of the server's administrator to the world's database; run one statement on such a one. */
struct mysqldb *registry_rig_administrator(const struct registry_rig *world);
void registry_rig_sql(struct registry_rig *world, const char *sql);
int64_t registry_rig_number(struct registry_rig *world, const char *sql);
/* Close the registry and open it again on what it stored. */
void registry_rig_reopen(struct registry_rig *world);
/* Where that copy is. */
char *registry_rig_copy_path(const struct registry_rig *world, char path[128]);
/* The newest snapshot, with a reference; NULL: there was none yet. */
struct snapshot *registry_rig_newest(struct registry_rig *world);

struct registry_ask *registry_rig_ask_new(const char *app);
void registry_rig_ask_free(struct registry_ask *ask);
/* Ask on loop 1 and wait for the status. */
int registry_rig_ask(struct registry_rig *world, struct registry_ask *ask, registry_op_fn *op);
/* Asked already; the status is in the request. */
struct registry_ask *registry_rig_ask_device(struct registry_rig *world, registry_op_fn *op, const char *app,
                                             const char *user, const char *device);
struct registry_ask *registry_rig_list(struct registry_rig *world, registry_op_fn *op, const char *app,
                                       const char *user, const char *after, uint32_t limit);

/* These return the status alone. */
int registry_rig_create_app(struct registry_rig *world, const char *app);
int registry_rig_delete_app(struct registry_rig *world, const char *app);
int registry_rig_create_key(struct registry_rig *world, const char *app, const char *label,
                            char text[REGISTRY_KEY_TEXT_MAX], char id[17]);
int registry_rig_device(struct registry_rig *world, registry_op_fn *op, const char *app, const char *user,
                        const char *device);
/* Have the snapshot look. */
int registry_rig_refresh(struct registry_rig *world);
/* Whether the key is one of that app, as of the newest snapshot. */
bool registry_rig_key_opens(struct registry_rig *world, const char *text, const char *app);

/* The cases against every implementation, or against the named one. Returns how many failed. */
int registry_rig_run(const struct CMUnitTest *cases, size_t count);
int registry_rig_run_on(const char *name, const struct CMUnitTest *cases, size_t count);

#endif
