/* link_tcp_directory.h: which loops of other nodes have called this process, and which of its loops holds the connection. Every loop
 * has its own copy, which the others keep true by mail. Private to link_tcp. On the link's loop. */
#ifndef PETREL_DISCOVERY_LINK_TCP_DIRECTORY_H
#define PETREL_DISCOVERY_LINK_TCP_DIRECTORY_H

#include "discovery/link_tcp_impl.h"

struct link_tcp_entry {
    struct map_node node;
    uint64_t key; /* the node and its loop */
    uint64_t incarnation;
    uint64_t serial;
    size_t owner;               /* index of the loop that holds the connection */
    struct link_tcp_conn *conn; /* when that is this loop */
    bool secure;                /* it speaks TLS */
};

void link_tcp_directory_init(struct link_tcp_loop *home);
void link_tcp_directory_reset(struct link_tcp_loop *home);
/* NULL: that loop has no connection to this process. */
struct link_tcp_entry *link_tcp_directory_find(const struct link_tcp_loop *home, uint32_t node, uint16_t loop);
/* Whether any loop of that process has one. */
bool link_tcp_directory_has(const struct link_tcp_loop *home, uint32_t node, uint64_t incarnation);
/* Enter a connection that is up, and tell the other loops; an older one of the same caller is dropped. false: a newer one is
 * known, so this one is of no use. */
bool link_tcp_directory_enter(struct link_tcp_conn *conn);
void link_tcp_directory_leave(struct link_tcp_conn *conn);

#endif
