/* Looking at a database file that nobody has open, without changing it. */
#include "base/err.h"
#include "driver/sqlite_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* "file:<path>?immutable=1": no locks, no WAL, nothing written beside it. The path's own '?', '#' and '%' are escaped. */
static char *immutable_uri(const char *path)
{
    struct bytebuf uri = {0};
    bytes_append_str(&uri, "file:");
    for (; *path != '\0'; path++) {
        if (strchr("?#%", *path) != NULL)
            bytes_printf(&uri, "%%%02X", (unsigned)(unsigned char)*path);
        else
            bytes_append(&uri, path, 1);
    }
    bytes_append_str(&uri, "?immutable=1");
    bytes_append(&uri, "", 1);
    return (char *)uri.ptr;
}

/* Runs a query whose only answer should be `expected`. */
static int expect(sqlite3 *handle, const char *sql, const char *expected, int otherwise)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    bool same = text != NULL && strcmp(text, expected) == 0;
    int done = sqlite3_finalize(stmt);
    if (same)
        return 0;
    return rc == SQLITE_ROW ? otherwise : sqlite_error_of(done != SQLITE_OK ? done : rc, sqlite3_system_errno(handle));
}

int sqlite_check_file(const char *path, uint32_t application_id)
{
    if (access(path, R_OK) != 0)
        return err_from_errno(errno);
    char *uri = immutable_uri(path);
    sqlite3 *handle = NULL;
    int rc = sqlite3_open_v2(uri, &handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE, NULL);
    free(uri);
    petrel_assert(handle != NULL);
    char id[16];
    snprintf(id, sizeof id, "%d", (int)application_id);
    int err = sqlite_error_of(rc, sqlite3_system_errno(handle));
    if (err == 0)
        err = expect(handle, "PRAGMA application_id", id, PETREL_E_UNSUPPORTED);
    if (err == 0)
        err = expect(handle, "PRAGMA quick_check(1)", "ok", PETREL_E_INVALID);
    sqlite3_close(handle);
    return err;
}
