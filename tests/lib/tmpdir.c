#include "lib/tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

bool tmpdir_make(struct tmpdir *dir)
{
    const char *parent = getenv("TMPDIR");
    int len = snprintf(dir->path, sizeof dir->path, "%s/petrel-test-XXXXXX", parent != NULL ? parent : P_tmpdir);
    if (len < (int)sizeof dir->path && mkdtemp(dir->path) != NULL)
        return true;
    dir->path[0] = '\0';
    return false;
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *walk)
{
    (void)info, (void)flag, (void)walk;
    remove(path);
    return 0;
}

void tmpdir_remove(struct tmpdir *dir)
{
    if (dir->path[0] != '\0')
        nftw(dir->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    dir->path[0] = '\0';
}
