/* discovery_zookeeper.h: discovery for a cluster, in ZooKeeper (PROMISE §11).
 *
 * <root>/nodes/<name>  an ephemeral of each node (discovery_zookeeper_node.h)
 * <root>/names/<name>  the number that belongs to that name, for good; <root>/names itself holds the last number given
 *
 * Rules live on the main loop; all that blocks is done by a keeper on a worker's thread; ZooKeeper's own threads only post mail.
 *
 * away      ZooKeeper can't be reached: the last view is served, healthy() is false, as_of_ms says since when
 * copy      of the nodes last believed, in a file: the view that a process begins with, not current, as of the time of the copy
 * gone      no longer listed. When over half of the nodes went within a session's timeout, those whose links are up are held
 * held      gone, but its link is up: it stays in the views until its link goes down or it is listed again */
#ifndef PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_H
#define PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_H

#include "base/clock.h"
#include "discovery/discovery.h"

struct discovery_zookeeper_config {
    const char *servers;         /* "zk1:2181,zk2:2181,zk3:2181" */
    const char *root;            /* "/petrel": begins with '/', does not end with one, at most 128 bytes */
    uint32_t session_timeout_ms; /* a node that can't be reached is gone after this; 0: 10 s */
    uint32_t load_interval_ms;   /* a node's load is told at most so often; 0: 5 s */
    uint32_t reread_ms;          /* everything is read anew so often, whatever watches say; 0: 30 s */
    uint32_t copy_ms;            /* the copy is written at most so often; 0: 2 s */
    const char *copy_path;       /* NULL: no copy is kept */
    const struct clock *clock;
    struct loop *loop; /* the main loop, on which publish() is called; freed after close */
    /* Whether a link to that process stands, on the main loop. NULL: none ever does. */
    bool (*is_link_up)(void *ctx, const struct discovery_node *node);
    void *ctx;
};

/* Does not wait for ZooKeeper; reads the copy. Texts are copied. close() ends the session, so that the others know at once; it blocks for
 * as long as ZooKeeper is hanging, at most about twice the session's timeout. 0; PETREL_E_INVALID: servers or root; PETREL_E_IO. Main
 * thread. */
int discovery_zookeeper_open(struct discovery **out, const struct discovery_zookeeper_config *config);

/* The number that belongs to a node's name, given to it if it has none: needed before the first publish(). Has a short session of
 * its own (servers, root and session_timeout_ms count). Blocks, at most about wait_ms and a session's timeout. 0;
 * PETREL_E_INVALID: servers, root or name; PETREL_E_UNAVAILABLE: ZooKeeper is away; or an error of driver/zookeeper.h. Any thread that
 * may block. */
int discovery_zookeeper_claim(const struct discovery_zookeeper_config *config, const char *name, uint32_t wait_ms,
                              uint32_t *number);

#endif
