/* logfile.h: the log's way into a file: one thread owns the descriptor, writes every line, and opens the file again when told. */
#ifndef PETREL_PETRELD_LOGFILE_H
#define PETREL_PETRELD_LOGFILE_H

struct logfile;

/* Append to path (made with mode 0640) from now on; lines of all threads go there. 0, PETREL_E_IO or PETREL_E_FORBIDDEN. Main thread. */
int logfile_open(struct logfile **out, const char *path);
/* After the file was moved away: open path anew. On failure the old one stays in use. Any thread; NULL is fine. */
void logfile_reopen(struct logfile *file);
/* Write what waits; the log goes to standard error again. Main thread, after all others have ended. NULL inside is fine. */
void logfile_close(struct logfile **file);

#endif
