#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include "base/object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 3600000 /* a large store on a slow disk */

/* The server is asked for an absolute path: it works in another directory than this shell. */
static char *absolute(const char *path)
{
    if (path[0] == '/')
        return object_strdup(path);
    char *here = getcwd(NULL, 0);
    if (here == NULL)
        return NULL;
    size_t size = strlen(here) + strlen(path) + 2;
    char *whole = object_alloc(size);
    snprintf(whole, size, "%s/%s", here, path);
    free(here);
    return whole;
}

enum command_exit command_backup(const struct invocation *call)
{
    struct admin *admin;
    json_t *answer = NULL;
    char *directory = absolute(invocation_argument(call, 0));
    json_t *body = directory != NULL ? json_pack("{s:s}", "directory", directory) : NULL;
    if (body == NULL) {
        free(directory);
        return command_fail(COMMAND_FAILED, "the directory's whole path can't be told: %s", strerror(errno));
    }
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK) {
        admin_patience(admin, PATIENCE_MS);
        code = admin_request(admin, "POST", json_incref(body), &answer, "/admin/v1/backup");
    }
    json_decref(body);
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(answer);
    else if (code == COMMAND_OK)
        printf("%s\n", directory);
    json_decref(answer);
    free(directory);
    return code;
}
