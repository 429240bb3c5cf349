/* registry_audit.h: what operators did, kept beside what they changed.
 *
 * row   one action: who, from where, what, to what, with what outcome. Nothing secret is ever in one
 *
 * Rows are only added. The oldest go where there are more than REGISTRY_AUDIT_ROWS, or where they are older than
 * REGISTRY_AUDIT_DAYS, as new ones come. */
#ifndef PETREL_REGISTRY_REGISTRY_AUDIT_H
#define PETREL_REGISTRY_REGISTRY_AUDIT_H

#include "registry/registry.h"

#define REGISTRY_AUDIT_ROWS 100000
#define REGISTRY_AUDIT_DAYS 400
#define REGISTRY_AUDIT_TEXT_MAX 64
#define REGISTRY_AUDIT_TARGET_MAX 255

struct registry_audit_row {
    uint64_t id; /* grows; audit_list's cursor */
    uint64_t at_ms;
    char who[REGISTRY_AUDIT_TEXT_MAX + 1];    /* "admin.token": who showed it; "root (uid 0)": whom the kernel named */
    char origin[REGISTRY_AUDIT_TEXT_MAX + 1]; /* the address it came from, or "unix" */
    char node[REGISTRY_AUDIT_TEXT_MAX + 1];   /* that was asked */
    char action[REGISTRY_AUDIT_TEXT_MAX + 1]; /* "keys.create" */
    char app[ROUTE_APP_MAX + 1];              /* empty: of none */
    char target[REGISTRY_AUDIT_TARGET_MAX + 1];
    char outcome[REGISTRY_AUDIT_TEXT_MAX + 1]; /* "OK", or the status of the error */
};

/* As registry_ops: asynchronous, with its statuses. */
struct registry_audit_ops {
    /* in.audit, borrowed until done: all but its id and at_ms, which are given. Texts that are too long are cut. */
    int (*add)(struct registry *r, struct registry_request *request);
    /* Newest first, not older than in.since_ms; in.after: the id behind which (that is, before which in time) the page begins; in.app:
     * of that one, absent: of all, also of those that are gone. INVALID: also an in.after that is no number. */
    int (*list)(struct registry *r, struct registry_request *request);
};

#endif
