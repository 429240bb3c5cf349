/* progress.h: how far a thing is that takes its time, on standard error: on a terminal one line that changes, elsewhere a line each
 * time that a tenth more is done. */
#ifndef PETREL_PETRELCTL_PROGRESS_H
#define PETREL_PETRELCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* borrowed */
    bool terminal;
    bool begun;
    uint64_t first; /* sessions left, at the first look */
    uint64_t said;  /* and when it was last told */
    uint64_t began_ms;
};

void progress_begin(struct progress *progress, const char *what);
/* So many sessions are left. */
void progress_show(struct progress *progress, uint64_t left);
/* Until the next look. */
void progress_pause(void);
/* whole: nothing is left. */
void progress_end(struct progress *progress, bool whole);

#endif
