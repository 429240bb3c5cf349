#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include <stdio.h>
#include <string.h>

#define PEM_MAX 4096

static const struct table_column columns[] = {
    {"KID", "kid", TABLE_TEXT},
    {"ALG", "alg", TABLE_TEXT},
    {"SIGNS", "signs", TABLE_TEXT},
    {"CREATED", "created_at", TABLE_TIME},
};

static enum command_exit print_keys(const struct invocation *call, enum command_exit code, json_t *answer)
{
    const json_t *keys = json_object_get(answer, "keys");
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(keys);
    else if (code == COMMAND_OK)
        table_print(columns, sizeof columns / sizeof columns[0], keys,
                    "no keys; add one with `petrelctl token-key add APP`");
    json_decref(answer);
    return code;
}

enum command_exit command_token_key_list(const struct invocation *call)
{
    struct admin *admin;
    json_t *answer = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "GET", NULL, &answer, "/admin/v1/apps/%s/token-keys", invocation_argument(call, 0));
    admin_close(&admin);
    return print_keys(call, code, answer);
}

static enum command_exit read_pem(const char *path, char out[PEM_MAX + 1])
{
    const bool piped = strcmp(path, "-") == 0;
    FILE *file = piped ? stdin : fopen(path, "re");
    if (file == NULL)
        return command_fail(COMMAND_FAILED, "%s can't be read", path);
    const size_t len = fread(out, 1, PEM_MAX + 1, file);
    const bool failed = ferror(file) != 0;
    if (!piped)
        fclose(file);
    if (failed)
        return command_fail(COMMAND_FAILED, "%s can't be read", path);
    if (len > PEM_MAX)
        return command_fail(COMMAND_FAILED, "%s holds more than a public key", path);
    out[len] = '\0';
    return COMMAND_OK;
}

/* NULL: an option is wrong, and *code says so. */
static json_t *new_key(const struct invocation *call, enum command_exit *code)
{
    char pem[PEM_MAX + 1];
    const char *kid = invocation_text(call, "kid");
    const char *path = invocation_text(call, "pem");
    *code = COMMAND_OK;
    if ((kid == NULL) != (path == NULL))
        *code = command_fail(COMMAND_USAGE, "a public key takes both --kid and --pem; a secret takes neither");
    else if (path != NULL)
        *code = read_pem(path, pem);
    if (*code != COMMAND_OK)
        return NULL;
    json_t *body = kid != NULL ? json_pack("{s:s, s:s}", "kid", kid, "pem", pem) : json_object();
    if (body == NULL)
        *code = command_fail(COMMAND_USAGE, "--kid or the file of --pem is not UTF-8");
    return body;
}

enum command_exit command_token_key_add(const struct invocation *call)
{
    struct admin *admin;
    json_t *answer = NULL;
    enum command_exit code;
    json_t *body = new_key(call, &code);
    if (body == NULL)
        return code;
    code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "POST", json_incref(body), &answer, "/admin/v1/apps/%s/token-keys",
                             invocation_argument(call, 0));
    json_decref(body);
    admin_close(&admin);
    return print_keys(call, code, answer);
}

enum command_exit command_token_key_retire(const struct invocation *call)
{
    struct admin *admin;
    json_t *answer = NULL;
    char question[256];
    snprintf(question, sizeof question,
             "Retire the token key %.64s of the app %.64s? Tokens that it signed are refused from then on.",
             invocation_argument(call, 1), invocation_argument(call, 0));
    enum command_exit code = command_confirm(call, question);
    if (code != COMMAND_OK)
        return code;
    code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "DELETE", NULL, &answer, "/admin/v1/apps/%s/token-keys/%s",
                             invocation_argument(call, 0), invocation_argument(call, 1));
    admin_close(&admin);
    return print_keys(call, code, answer);
}
