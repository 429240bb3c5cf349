/* node_number.h: the number that ZooKeeper gave this node's name, kept in the data directory, so that the node can start again while
 * ZooKeeper is away. It belongs to the name and the root for which it was given, and to no others. */
#ifndef PETREL_PETRELD_NODE_NUMBER_H
#define PETREL_PETRELD_NODE_NUMBER_H

#include "petreld/datadir.h"

/* 0; PETREL_E_NOT_FOUND: none is kept for them; or an error of reading, which is logged. */
int node_number_load(const struct datadir *dir, const char *root, const char *name, uint32_t *number);
/* In place of an older one, durably; nothing is written when it is kept already. 0 or an error, which is logged. */
int node_number_save(const struct datadir *dir, const char *root, const char *name, uint32_t number);

#endif
