/* tmpdir.h: a folder of a test's own. */
#ifndef PETREL_TESTS_TMPDIR_H
#define PETREL_TESTS_TMPDIR_H

#include <stdbool.h>

#define TMPDIR_PATH_MAX 200

struct tmpdir {
    char path[TMPDIR_PATH_MAX];
};

/* Below $TMPDIR, or the system's. Whether it was made. */
bool tmpdir_make(struct tmpdir *dir);
/* With all that is in it. */
void tmpdir_remove(struct tmpdir *dir);

#endif
