/* datadir.h: the data directory: made, locked, and the small files in it.
 *
 *   petreld.lock   held with flock(2) while a server runs on the directory
 *   admin.token    what the admin API asks for; made once, mode 0600
 *   petreld.json   pid and addresses in use, there while the server is up
 *   node.number    the number that ZooKeeper gave this node (node_number.h)
 *   nodes.copy     the other nodes as ZooKeeper told of them last, for a start while it is away
 *   restored       laid by `petrelctl restore`: the next start begins a new epoch
 *   store.db, topics.db, registry.db   the embedded stores
 *   registry.copy  the last snapshot of a registry that is elsewhere, for a start while it is away */
#ifndef PETREL_PETRELD_DATADIR_H
#define PETREL_PETRELD_DATADIR_H

#include "base/bytes.h"

#define DATADIR_TOKEN_SIZE 64

struct datadir;

/* Make (mode 0700), lock, read or make the token. 0; PETREL_E_LOCKED: a server runs on it; PETREL_E_FORBIDDEN, FULL, IO. The log has
 * the particulars. */
int datadir_open(struct datadir **out, const char *path);
/* Remove petreld.json, unlock. */
void datadir_close(struct datadir **dir);

const char *datadir_token(const struct datadir *dir);
/* "<path>/<name>" into out; asserts that it fits. */
void datadir_path(const struct datadir *dir, const char *name, char *out, size_t size);
/* Write the file in place of an older one, atomically and durably. 0 or an error. */
int datadir_write(const struct datadir *dir, const char *name, struct bytes content);
/* A file that stands there, appended to out. 0; PETREL_E_NOT_FOUND; PETREL_E_TOO_LARGE: over max bytes; or an error. All but the first
 * two are logged. */
int datadir_read(const struct datadir *dir, const char *name, size_t max, struct bytebuf *out);
bool datadir_has(const struct datadir *dir, const char *name);
void datadir_remove(const struct datadir *dir, const char *name);
/* What was made or renamed at this path is there after a power cut, too. 0 or an error, which is logged. */
int datadir_sync_parent(const char *path);

#endif
