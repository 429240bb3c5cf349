/* discovery_zookeeper_node.h: a node as ZooKeeper holds it: where, and as which bytes.
 *
 * The bytes are lines of key=value below a first line "petrel 1", to be read by people as well (zkCli.sh get). A reader skips keys that
 * it does not know, so that versions may differ within a cluster. */
#ifndef PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_NODE_H
#define PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_NODE_H

#include "base/bytes.h"
#include "discovery/discovery.h"

#define DISCOVERY_ZOOKEEPER_ROOT_MAX 128
#define DISCOVERY_ZOOKEEPER_PATH_MAX 384 /* bytes, with the final NUL */

/* "<root>/<folder>/<name>", the name with '/', '%' and a leading '.' as %XX; "<root>/<folder>" without a name (NULL). */
void discovery_zookeeper_node_path(const char *root, const char *folder, const char *name,
                                   char out[DISCOVERY_ZOOKEEPER_PATH_MAX]);

/* Appended. Its texts are whole (discovery_node_has_texts). */
void discovery_zookeeper_node_pack(const struct discovery_node *node, struct bytebuf *out);
/* Whether both would be packed alike. */
bool discovery_zookeeper_node_same(const struct discovery_node *a, const struct discovery_node *b);
/* 0, or PETREL_E_INVALID: not of this form, a value out of range, or no name, number, or incarnation. */
int discovery_zookeeper_node_unpack(struct bytes in, struct discovery_node *node);

#endif
