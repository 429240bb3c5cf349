#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAYLOAD_MAX (1024U * 1024) /* no server takes more */

static enum command_exit read_payload(const char *path, struct bytebuf *out)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    if (file == NULL)
        return command_fail(COMMAND_FAILED, "%s can't be read: %s", path, strerror(errno));
    size_t len = 1;
    while (len > 0 && out->len <= PAYLOAD_MAX) {
        len = fread(bytes_reserve(out, 65536), 1, 65536, file);
        out->len += len;
    }
    int failed = ferror(file) ? errno : 0;
    if (!is_stdin)
        fclose(file);
    if (failed != 0)
        return command_fail(COMMAND_FAILED, "%s can't be read: %s", path, strerror(failed));
    return out->len <= PAYLOAD_MAX ? COMMAND_OK
                                   : command_fail(COMMAND_USAGE, "%s is larger than a message can be", path);
}

static enum command_exit put_payload(json_t *body, const char *path)
{
    struct bytebuf raw = {0}, text = {0};
    enum command_exit code = read_payload(path, &raw);
    if (code == COMMAND_OK) {
        bytes_put_base64(&text, bytes_view(&raw));
        json_object_set_new(body, "payload", json_stringn(text.len > 0 ? (const char *)text.ptr : "", text.len));
    }
    bytes_reset(&raw);
    bytes_reset(&text);
    return code;
}

static enum command_exit put_content(json_t *body, const struct invocation *call)
{
    const char *data = invocation_text(call, "data");
    const char *text = invocation_text(call, "text");
    const char *file = invocation_text(call, "payload-file");
    if ((data != NULL) + (text != NULL) + (file != NULL) != 1)
        return command_fail(COMMAND_USAGE, "what is to be sent? one of --data, --text and --payload-file is needed");
    if (file != NULL)
        return put_payload(body, file);
    json_error_t error = {.text = "not UTF-8"};
    json_t *value =
        text != NULL ? json_string(text) : json_loads(data, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (value == NULL)
        return command_fail(COMMAND_USAGE, "--%s: %s (line %d, column %d)%s", text != NULL ? "text" : "data",
                            error.text, error.line, error.column,
                            text != NULL ? "" : "; for plain text there is --text");
    json_object_set_new(body, "data", value);
    return COMMAND_OK;
}

static enum command_exit put_target(json_t *body, const struct invocation *call)
{
    const char *user = invocation_text(call, "user");
    const char *device = invocation_text(call, "device");
    const char *address = invocation_text(call, "address");
    const char *topic = invocation_text(call, "topic");
    const char *condition = invocation_text(call, "condition");
    if ((user != NULL) + (address != NULL) + (topic != NULL) + (condition != NULL) != 1)
        return command_fail(COMMAND_USAGE, "to whom? one of --user, --address, --topic and --condition is needed");
    if (address != NULL && device != NULL)
        return command_fail(COMMAND_USAGE, "--address names a device already: leave --device out");
    if (user == NULL && device != NULL)
        return command_fail(COMMAND_USAGE, "--device goes with --user: leave it out");
    json_t *to = json_object();
    bool valid = (user == NULL || json_object_set_new(to, "user", json_string(user)) == 0) &&
                 (device == NULL || json_object_set_new(to, "device", json_string(device)) == 0) &&
                 (address == NULL || json_object_set_new(to, "token", json_string(address)) == 0) &&
                 (topic == NULL || json_object_set_new(to, "topic", json_string(topic)) == 0) &&
                 (condition == NULL || json_object_set_new(to, "condition", json_string(condition)) == 0);
    json_object_set_new(body, "to", to);
    return valid ? COMMAND_OK
                 : command_fail(COMMAND_USAGE, "--user, --device, --address, --topic or --condition is not UTF-8");
}

static enum command_exit put_rest(json_t *body, const struct invocation *call)
{
    const uint64_t absent = UINT64_MAX;
    uint64_t ttl_ms = invocation_number(call, "ttl", absent);
    const char *priority = invocation_text(call, "priority");
    const char *collapse_key = invocation_text(call, "collapse-key");
    if (ttl_ms != absent && ttl_ms % 1000 != 0)
        return command_fail(COMMAND_USAGE, "--ttl: whole seconds, please");
    if (ttl_ms != absent)
        json_object_set_new(body, "ttl", json_integer((json_int_t)(ttl_ms / 1000)));
    if (invocation_number(call, "rate", 0) > 0)
        json_object_set_new(body, "rate", json_integer((json_int_t)invocation_number(call, "rate", 0)));
    if (priority != NULL)
        json_object_set_new(body, "priority", json_string(priority));
    if (collapse_key != NULL && json_object_set_new(body, "collapse_key", json_string(collapse_key)) != 0)
        return command_fail(COMMAND_USAGE, "--collapse-key is not UTF-8");
    if (invocation_flag(call, "require-device"))
        json_object_set_new(body, "require_device", json_true());
    if (invocation_flag(call, "validate-only"))
        json_object_set_new(body, "validate_only", json_true());
    return COMMAND_OK;
}

static bool is_header_text(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

static enum command_exit send_body(const struct invocation *call, json_t *body, json_t **answer)
{
    struct admin *admin;
    const char *key = invocation_text(call, "key");
    if (key != NULL && !is_header_text(key))
        return command_fail(COMMAND_USAGE, "--key: printable ASCII only");
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK && key != NULL)
        admin_header(admin, "Idempotency-Key", key);
    if (code == COMMAND_OK)
        code = admin_request(admin, "POST", json_incref(body), answer, "/v1/apps/%s/messages",
                             invocation_argument(call, 0));
    admin_close(&admin);
    return code;
}

enum command_exit command_send(const struct invocation *call)
{
    json_t *body = json_object(), *answer = NULL;
    enum command_exit code = put_target(body, call);
    if (code == COMMAND_OK)
        code = put_content(body, call);
    if (code == COMMAND_OK)
        code = put_rest(body, call);
    if (code == COMMAND_OK)
        code = send_body(call, body, &answer);
    json_decref(body);
    if (code == COMMAND_OK && invocation_json(call)) {
        table_print_json(answer);
    } else if (code == COMMAND_OK && invocation_flag(call, "validate-only")) {
        puts("valid; nothing was sent");
    } else if (code == COMMAND_OK) {
        puts(json_string_value(json_object_get(answer, "id")));
        if (json_is_true(json_object_get(answer, "duplicate")))
            fputs("petrelctl: it had been sent before with this --key; this is its id\n", stderr);
    }
    json_decref(answer);
    return code;
}
