/* snapshot_file.h: the last snapshot in a file of this host's own, so that a node can start while the registry is away.
 *
 * A copy and no more: what is damaged, of another build's layout or of another source is as if it were not there. It holds the
 * secrets of apps, as the registry does: mode 0600. */
#ifndef PETREL_REGISTRY_SNAPSHOT_FILE_H
#define PETREL_REGISTRY_SNAPSHOT_FILE_H

#include "registry/snapshot.h"

/* source: what the snapshot is of, any text; only a reader that gives the same is shown it. Both block. Any thread. */

/* Put it in place of an older one, atomically and durably. 0; PETREL_E_FULL; PETREL_E_IO: the log has the particulars. */
int snapshot_file_write(const char *path, const char *source, const struct snapshot *snapshot);
/* 0 with one reference; PETREL_E_NOT_FOUND: there is none to be used. */
int snapshot_file_read(const char *path, const char *source, struct snapshot **out);

#endif
