/* privileges.h: what petreld may do on its machine: as little as it needs.
 *
 * Started as root it becomes config->user before it opens anything, so that all it makes is that user's, and all it will have to read
 * again, as keys of certificates on a reload, is tried with that user's rights from the first time on. As root it only makes what that user
 * could not: the data directory, the log file, the socket's directory. Of root's capabilities CAP_NET_BIND_SERVICE stays, where a port
 * below 1024 is asked for, until each loop has its listeners (loop/capabilities.h).
 *
 * A process that was root is not dumpable (prctl(2)): the kernel does so, and it is left like that, for its memory holds keys. */
#ifndef PETREL_PETRELD_PRIVILEGES_H
#define PETREL_PETRELD_PRIVILEGES_H

#include "petreld/config.h"

#define PRIVILEGES_NAME_SIZE 33

/* Main thread, before any other runs. 0; or an error, which the log has explained: PETREL_E_NOT_FOUND: no such user; PETREL_E_FORBIDDEN; PETREL_E_IO. */
int privileges_drop(const struct config *config);
/* Who this process is: a name; empty: it has none. Main thread, as it may take time. */
void privileges_name(char out[PRIVILEGES_NAME_SIZE]);
/* Main thread. 0, or PETREL_E_NOT_FOUND. */
int privileges_group(const char *name, uint32_t *gid);

#endif
