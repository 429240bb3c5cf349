/* restore.h: a backup put in the place of a stopped server's stores.
 *
 * Nothing is taken away: each old file stays beside the new one as <name>.before-restore (.before-restore.2, ... when that is there).
 * Copies are whole, checked and on the disk before the first rename, and the file `restored`, which makes the server's next start
 * begin a new epoch, is there before it too: an interruption at any point leaves what can be restored again. */
#ifndef PETREL_PETRELCTL_RESTORE_H
#define PETREL_PETRELCTL_RESTORE_H

#include "petrelctl/command.h"

struct restore;

/* Takes the directory `to` (made when absent) for itself, copies the backup in `from` beside what is there, checks the copies.
 * COMMAND_FAILED, with the reason said: a server runs there, the backup is not whole, a file can't be written. */
enum command_exit restore_begin(struct restore **out, const char *from, const char *to);
/* Whether stores are there that would be set aside. */
bool restore_replaces(const struct restore *restore);
/* Swap. COMMAND_OK or COMMAND_FAILED, with the reason said. *kept: the suffix that the old files have now. */
enum command_exit restore_commit(struct restore *restore, const char **kept);
/* Removes copies that were not put in place; gives the directory free. NULL inside is fine. */
void restore_end(struct restore **restore);

#endif
