/* api_admin_nodes.h: a node as the admin API tells of it. Private to this room. */
#ifndef PETREL_API_API_ADMIN_NODES_H
#define PETREL_API_API_ADMIN_NODES_H

#include "api/api_sweep.h"

/* Append ,"roles":[...]. */
void api_admin_nodes_put_roles(struct bytebuf *out, uint32_t roles);
/* Append the node as an object, as of the sweep's last round. */
void api_admin_nodes_put(struct bytebuf *out, const struct api_sweep *sweep, const struct api_sweep_node *node);
/* Append its state, its sessions and how far it is with sending them away, as members of an object that has begun. */
void api_admin_nodes_put_progress(struct bytebuf *out, const struct api_sweep_node *node);

/* The node of that name; NULL with *error naming those that there are. */
struct api_sweep_node *api_admin_nodes_find(struct api_sweep *sweep, struct bytes name, struct api_error *error);

/* {"rate": N} of a body; no body is as good as {}. 0, or negative with *error set. */
int api_admin_nodes_read_rate(const struct api_exchange *exchange, struct bytes text, uint32_t *rate,
                              struct api_error *error);
/* What is wrong when not all loops of a node have done what they were asked. */
void api_admin_nodes_explain(const struct api_sweep_node *node, struct api_error *error);

#endif
