#include "petrelctl/admin.h"
#include "petrelctl/restore.h"
#include "petrelctl/table.h"

#include <stdio.h>

static void print_result(const struct invocation *call, const char *data_dir, const char *kept)
{
    if (invocation_json(call)) {
        json_t *result = json_pack("{s:s, s:s?}", "data_dir", data_dir, "kept_suffix", kept);
        table_print_json(result);
        json_decref(result);
        return;
    }
    printf("restored to %s; its next start begins a new epoch\n", data_dir);
    if (kept != NULL)
        printf("what was there is kept as *%s\n", kept);
}

enum command_exit command_restore(const struct invocation *call)
{
    struct restore *restore;
    const char *data_dir = admin_data_dir(call);
    const char *kept = NULL;
    char question[512];
    enum command_exit code = restore_begin(&restore, invocation_argument(call, 0), data_dir);
    if (code != COMMAND_OK)
        return code;
    bool replaces = restore_replaces(restore);
    snprintf(question, sizeof question, "Set aside the stores in %.400s and put the backup in their place?", data_dir);
    if (replaces)
        code = command_confirm(call, question);
    if (code == COMMAND_OK)
        code = restore_commit(restore, &kept);
    if (code == COMMAND_OK)
        print_result(call, data_dir, replaces ? kept : NULL);
    restore_end(&restore);
    return code;
}
