/* discovery.h: who is alive, where, how loaded. Answers come from memory; everyone keeps serving from the last known answer
 * while the service behind it is away.
 *
 * node         a petreld process: a number, a name, an incarnation (its start, ms since 1970), roles, addresses, load, state
 * view         all nodes known, immutable, shared by reference; a new one after every change
 *
 * To add an implementation: struct discovery_ops in discovery_<name>.c, its line in petreld/backends.c,
 * tests/contract/test_discovery against it. */
#ifndef PETREL_DISCOVERY_DISCOVERY_H
#define PETREL_DISCOVERY_DISCOVERY_H

#include "loop/loop.h"

#include <stdatomic.h>

#define DISCOVERY_NAME_MAX 64
#define DISCOVERY_WATCHERS_MAX 256 /* loops of one process */
#define DISCOVERY_ADDRESS_MAX 128  /* "host:port" */

enum discovery_role { DISCOVERY_SESSION = 1, DISCOVERY_MESSAGE = 2, DISCOVERY_API = 4, DISCOVERY_MANAGER = 8 };
enum discovery_state { DISCOVERY_UP, DISCOVERY_DRAINING };
/* Whether links to a node can't, may or must speak TLS. */
enum discovery_tls { DISCOVERY_TLS_OFF, DISCOVERY_TLS_OPTIONAL, DISCOVERY_TLS_REQUIRED };

struct discovery_node {
    uint32_t number;
    uint32_t roles; /* of enum discovery_role */
    uint64_t incarnation;
    enum discovery_state state;
    uint64_t sessions;            /* held now */
    uint64_t max_sessions;        /* its budget */
    uint32_t connects_per_second; /* that it admits; 0: as many as come */
    uint16_t loops;               /* that hold sessions, from 0 on; 0: not told */
    enum discovery_tls peer_tls;
    char name[DISCOVERY_NAME_MAX + 1];
    char session_address[DISCOVERY_ADDRESS_MAX + 1]; /* what devices connect to */
    char peer_address[DISCOVERY_ADDRESS_MAX + 1];    /* empty: no links from outside */
};

struct discovery_view {
    atomic_uint refs;
    uint64_t version;
    uint64_t as_of_ms; /* wall clock: when it was known to be so; while the service is away, since when it is */
    bool current;      /* the service behind it answered: who is not listed was not there */
    size_t count;
    struct discovery_node nodes[];
};

struct discovery;
/* A new view; the callee takes a reference to keep it. On the loop that watches. */
typedef void discovery_watch_fn(void *ctx, struct discovery_view *view);

struct discovery_ops {
    const char *name;
    /* The node that this process is; copies. It is first in the views from here on, whether or not the service behind can be told.
     * Later calls replace its load, state and addresses. Main loop. 0, or PETREL_E_INVALID: a text of it does not end or has control
     * characters; or nodes find each other by it and it lacks a name, number or incarnation. */
    int (*publish)(struct discovery *discovery, const struct discovery_node *self);
    /* The present view, with a reference for the caller; without this node before the first publish. Any thread. */
    struct discovery_view *(*view)(struct discovery *discovery);
    /* Call on_view on loop when there is a new view, until close. The newest always arrives; one that a newer one overtakes on the
     * way may be left out. Watch first, then ask view(), and none is missed. 0; PETREL_E_EXISTS: that loop watches already;
     * PETREL_E_TOO_LARGE: DISCOVERY_WATCHERS_MAX loops do. Any thread. */
    int (*watch)(struct discovery *discovery, struct loop *loop, discovery_watch_fn *on_view, void *ctx);
    /* Whether the service behind it answers, for /readyz; the view has told so before. Any thread. */
    bool (*healthy)(struct discovery *discovery);
    /* Withdraw this node, free. After the watching loops have ended; before or after they are freed. No on_view runs from here
     * on. */
    void (*close)(struct discovery *discovery);
};

struct discovery {
    const struct discovery_ops *ops;
};

static inline struct discovery_view *discovery_view_ref(struct discovery_view *view)
{
    atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    return view;
}
void discovery_view_unref(struct discovery_view *view);

/* Whether the node's texts end and have no control characters. */
bool discovery_node_has_texts(const struct discovery_node *node);

#endif
