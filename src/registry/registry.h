/* registry.h: apps, API keys, devices, and who changed what. Never on the hot path: read through a snapshot that every loop holds.
 *
 * app       a tenant: a name, up to four secrets and four public keys that its devices' tokens are signed with, its limits
 * API key   what a backend shows as Bearer: "pk_<id>_<secret>"; only its SHA-256 is stored, it is shown once. It may be limited to
 *           scopes and in time
 * device    one installation of a user, as a backend registered it
 * audit     what operators did: rows that are only added, and go with age or number (registry_audit.h)
 * snapshot  all apps and live API keys, immutable, shared by reference; a new one after every change
 *
 * To add an implementation: struct registry_base_ops and struct tables_ops in registry_<name>*.c, its line in
 * petreld/backends.c, tests/contract/test_registry against it. */
#ifndef PETREL_REGISTRY_REGISTRY_H
#define PETREL_REGISTRY_REGISTRY_H

#include "base/route.h"
#include "loop/worker.h"
#include "registry/snapshot.h"

struct registry;
struct registry_audit_ops;
struct registry_audit_row;

#define REGISTRY_KEY_TEXT_MAX 96
#define REGISTRY_LABEL_MAX 128 /* names people give: a key's, a device's platform */
#define REGISTRY_PAGE_MAX 200

/* Rows as replies show them; a list reply is an array of one of these. */
struct registry_app {
    char name[ROUTE_APP_MAX + 1];
    uint64_t created_ms;
    uint32_t secrets_count;
    uint32_t public_keys_count;
    uint64_t key_window_ms; /* how long idempotency keys are kept: 24 h */
    struct snapshot_limits limits;
    struct snapshot_edge edge;
};
struct registry_key {
    char id[17]; /* 16 hex digits */
    char app[ROUTE_APP_MAX + 1];
    char label[REGISTRY_LABEL_MAX + 1];
    uint64_t created_ms;
    uint64_t revoked_ms; /* 0: live */
    uint64_t expires_ms; /* 0: never */
    uint32_t scopes;     /* of enum snapshot_scope; 0: all */
};
struct registry_device {
    char user[ROUTE_USER_MAX + 1];
    char device[ROUTE_DEVICE_MAX + 1];
    char platform[REGISTRY_LABEL_MAX + 1];
    uint64_t created_ms;
    uint64_t updated_ms;
    uint64_t revoked_ms; /* 0: live */
};

/* What app_change() does. */
enum registry_change {
    REGISTRY_CHANGE_SECRET_ADD = 1, /* a new secret that signs tokens, made here */
    REGISTRY_CHANGE_PUBLIC_ADD,     /* in.kid, in.algorithm, in.der */
    REGISTRY_CHANGE_KEY_RETIRE,     /* in.kid: a secret or public key, for ever */
    REGISTRY_CHANGE_LIMITS,         /* in.limits, all of them */
    REGISTRY_CHANGE_EDGE,           /* in.edge, all of it */
};

struct registry_request;
typedef void registry_done_fn(struct registry_request *request);

/* The caller embeds it, fills `in`, and leaves it alone until the callback. Text in `in` borrows. */
struct registry_request {
    struct worker_job job;
    struct loop *home;
    registry_done_fn *done;
    int op; /* the implementation's */
    int status;
    bool in_doubt; /* with PETREL_E_UNAVAILABLE: a write that may have been done; else it was not */
    struct {
        struct bytes app;
        struct bytes user;
        struct bytes device;         /* device_register, device_revoke */
        struct bytes label;          /* key_create; device_register's platform */
        struct bytes key_id;         /* key_revoke */
        uint32_t scopes;             /* key_create: 0: all */
        uint64_t expires_ms;         /* key_create: 0: never */
        enum registry_change change; /* app_change, and what it is to */
        struct bytes kid;
        enum token_algorithm algorithm;
        struct bytes der;
        struct snapshot_limits limits;
        struct snapshot_edge edge;
        const struct registry_audit_row *audit; /* of registry_audit_add() */
        uint64_t since_ms;                      /* registry_audit_list(): not older */
        struct bytes after;                     /* lists: begin behind this name or id; absent: at the start */
        uint32_t limit;                         /* lists: 1 .. REGISTRY_PAGE_MAX */
    } in;
    struct {
        char key_text[REGISTRY_KEY_TEXT_MAX]; /* key_create: the key, shown this once; wipe it after use */
        bool created;                         /* device_register: false when it was there already */
        bool more;                            /* lists: there is another page */
        uint32_t count;
        union {
            struct registry_app *apps; /* the registry's memory, lent until the callback returns */
            struct registry_key *keys;
            struct registry_device *devices;
            struct registry_audit_row *audit; /* registry_audit.h */
            void *rows;
        };
    } out;
};

/* Each: loop thread; 0: done runs exactly once, later, on request->home; PETREL_E_BUSY, PETREL_E_CLOSING: never.
 * Statuses: 0; those named; PETREL_E_INVALID: a name, a label or the limit is not of its form; NOT_FOUND: no such app;
 * PETREL_E_FULL: nothing was written; PETREL_E_UNAVAILABLE: likewise, unless it is in doubt. Writes are durable when done runs, and the
 * snapshot that holds them has been published before. Lists are ordered by name or id and hold what was revoked, too. */
struct registry_ops {
    /* EXISTS: also a name that was deleted: the store may still have what was that app's. out.apps: it, with one secret. */
    int (*app_create)(struct registry *r, struct registry_request *request);
    /* in.app given: that one; absent: all. */
    int (*app_list)(struct registry *r, struct registry_request *request);
    /* EXISTS: it has a key of that kid; TOO_LARGE: as many as are allowed; NOT_FOUND: also no such kid; INVALID: also an empty kid,
     * no such change, or origins that are none. out.apps: it, changed. */
    int (*app_change)(struct registry *r, struct registry_request *request);
    /* Its keys and devices go. */
    int (*app_delete)(struct registry *r, struct registry_request *request);
    /* out.keys: it; out.key_text. */
    int (*key_create)(struct registry *r, struct registry_request *request);
    int (*key_list)(struct registry *r, struct registry_request *request);
    /* NOT_FOUND: the app has no such key; out.keys: it. Again: the same, revoked when it first was. */
    int (*key_revoke)(struct registry *r, struct registry_request *request);
    /* TOO_LARGE: the user has ROUTE_DEVICES_MAX live ones; out.devices: it. A revoked one becomes live and counts as created; an
     * absent label keeps the platform. */
    int (*device_register)(struct registry *r, struct registry_request *request);
    /* Of in.user; absent: of the whole app, by user and device, and in.after is then "<user>\n<device>". */
    int (*device_list)(struct registry *r, struct registry_request *request);
    /* NOT_FOUND: the user has no such device; out.devices: it. Again: the same, revoked when it first was. */
    int (*device_revoke)(struct registry *r, struct registry_request *request);
    /* Have the snapshot hold what any node had changed before this was asked; `in` is not read. Many that wait are answered by
     * one look, and looks are kept apart, so that strangers' guesses cost the registry a few a second at most.
     * PETREL_E_UNAVAILABLE: the snapshot may be older. */
    int (*refresh)(struct registry *r, struct registry_request *request);
    /* Finish what was taken, then free. Blocks; main thread, while the homes run or before they are freed. */
    void (*close)(struct registry *r);
};

struct registry {
    const struct registry_ops *ops;
    const struct registry_audit_ops *audit; /* registry_audit.h */
    const char *name;                       /* the implementation's: "sqlite" */
};

#endif
