#include "system/rig.h"

#include "lib/until.h"
#include "system/device.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rig_prepare(struct rig *rig)
{
    *rig = (struct rig){.http = {NULL}};
    signal(SIGPIPE, SIG_IGN); /* connections are cut here on purpose */
    return daemon_init(&rig->daemon);
}

bool rig_start(struct rig *rig, const char *const *args)
{
    return daemon_start(&rig->daemon, args, RIG_WAIT_MS);
}

bool rig_make_app(struct rig *rig)
{
    struct http_call *http = &rig->http;
    const struct daemon *daemon = &rig->daemon;
    bool made = http_call(http, "POST", daemon->admin, "/admin/v1/apps", daemon->token, "{\"name\":\"shop\"}") == 201 &&
                http_call(http, "POST", daemon->admin, "/admin/v1/apps/shop/keys", daemon->token, "{}") == 201;
    snprintf(rig->key, sizeof rig->key, "%s", http_call_text(http, "key"));
    return made && rig->key[0] != '\0';
}

bool rig_begin(struct rig *rig, const char *const *args)
{
    return rig_prepare(rig) && rig_start(rig, args) && rig_make_app(rig);
}

void rig_end(struct rig *rig)
{
    for (size_t i = 0; i < RIG_DEVICES_MAX; i++)
        device_free(&rig->devices[i]);
    http_call_reset(&rig->http);
    daemon_free(&rig->daemon);
}

bool rig_restart(struct rig *rig, int signal, const char *const *args)
{
    return daemon_stop(&rig->daemon, signal, RIG_WAIT_MS) && rig_start(rig, args);
}

struct turning {
    struct rig *rig;
    bool (*condition)(void *ctx);
    void *ctx;
};

static bool turn(void *ctx)
{
    struct turning *turning = ctx;
    for (size_t i = 0; i < RIG_DEVICES_MAX; i++)
        if (turning->rig->devices[i] != NULL)
            device_turn(turning->rig->devices[i]);
    return turning->condition(turning->ctx);
}

bool rig_until(struct rig *rig, bool (*condition)(void *ctx), void *ctx)
{
    struct turning turning = {rig, condition, ctx};
    return until(turn, &turning, RIG_WAIT_MS);
}

static long call(struct rig *rig, const char *method, const char *body, const char *path, va_list args)
{
    char text[1024];
    int len = vsnprintf(text, sizeof text, path, args);
    if (len < 0 || (size_t)len >= sizeof text)
        return 0;
    return http_call(&rig->http, method, rig->daemon.api, text, rig->key, body);
}

long rig_post(struct rig *rig, const char *body, const char *path, ...)
{
    va_list args;
    va_start(args, path);
    long status = call(rig, "POST", body, path, args);
    va_end(args);
    return status;
}

long rig_get(struct rig *rig, const char *path, ...)
{
    va_list args;
    va_start(args, path);
    long status = call(rig, "GET", NULL, path, args);
    va_end(args);
    return status;
}

long rig_delete(struct rig *rig, const char *path, ...)
{
    va_list args;
    va_start(args, path);
    long status = call(rig, "DELETE", NULL, path, args);
    va_end(args);
    return status;
}

long rig_send(struct rig *rig, const char *to, const char *data, const char *more)
{
    const char *slash = strchr(to, '/');
    int user_len = slash != NULL ? (int)(slash - to) : (int)strlen(to);
    char *body = NULL;
    int len = slash != NULL ? asprintf(&body, "{\"to\":{\"user\":\"%.*s\",\"device\":\"%s\"},\"data\":%s%s}", user_len,
                                       to, slash + 1, data, more)
                            : asprintf(&body, "{\"to\":{\"user\":\"%s\"},\"data\":%s%s}", to, data, more);
    long status = len > 0 ? rig_post(rig, body, "/v1/apps/shop/messages") : 0;
    free(body);
    snprintf(rig->id, sizeof rig->id, "%s", http_call_text(&rig->http, "id"));
    return status;
}

const char *rig_state(struct rig *rig, const char *id)
{
    return rig_get(rig, "/v1/apps/shop/messages/%s", id) == 200 ? http_call_text(&rig->http, "state") : "";
}

const char *rig_error(const struct rig *rig)
{
    const char *status = json_string_value(json_object_get(json_object_get(rig->http.body, "error"), "status"));
    return status != NULL ? status : "";
}

char *rig_register(struct rig *rig, const char *user, const char *device)
{
    char body[256];
    snprintf(body, sizeof body, "{\"device\":\"%s\"}", device);
    long status = rig_post(rig, body, "/v1/apps/shop/users/%s/devices", user);
    return status == 201 || status == 200 ? strdup(http_call_text(&rig->http, "token")) : NULL;
}

long long rig_metric(struct rig *rig, const char *name)
{
    if (http_call(&rig->http, "GET", rig->daemon.api, "/metrics", NULL, NULL) != 200)
        return -1;
    size_t len = strlen(name);
    for (const char *line = rig->http.text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            return strtoll(line + len, NULL, 10);
    }
    return -1;
}

bool rig_logged(const struct rig *rig, const char *text)
{
    static char log[1 << 18];
    return strstr(daemon_log_tail(&rig->daemon, log, sizeof log), text) != NULL;
}

const char *rig_tail(struct rig *rig)
{
    return daemon_log_tail(&rig->daemon, rig->tail, sizeof rig->tail);
}
