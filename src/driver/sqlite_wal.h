/* sqlite_wal.h: a VFS of SQLite's that writes a WAL in long pieces. SQLite writes each page of a commit, and the header of each, by a
 * call of its own; here what follows on is kept until the commit's sync, or anything else that would see the difference, and goes out in
 * one. Other files are the default VFS's. Private to this room. */
#ifndef PETREL_DRIVER_SQLITE_WAL_H
#define PETREL_DRIVER_SQLITE_WAL_H

struct sqlite_wal; /* a VFS for one connection */

/* NULL: SQLite has no memory for it. Freed when the connection is closed. Any thread. */
struct sqlite_wal *sqlite_wal_new(void);
void sqlite_wal_free(struct sqlite_wal **wal);
/* Its name, for sqlite3_open_v2(). A write that fails is told by the call that had it go out, with the code of the write. */
const char *sqlite_wal_name(const struct sqlite_wal *wal);

#endif
