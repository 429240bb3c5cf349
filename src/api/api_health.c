/* For supervisors and scrapers: is it alive, can it serve, what is to be mended, what has it done. */
#include "api/api_health.h"

#include "api/api_json.h"
#include "api/api_routes.h"

#include <stdarg.h>
#include <stdio.h>

void api_health_warn(struct api_health *health, const char *what, const char *format, ...)
{
    if (health->warnings_count == API_HEALTH_WARNINGS_MAX)
        return;
    struct api_health_warning *warning = &health->warnings[health->warnings_count++];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(warning->text, sizeof warning->text, format, args);
    va_end(args);
    warning->what = what;
}

void api_health_refuse(struct api_health *health, const char *format, ...)
{
    if (health->why[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(health->why, sizeof health->why, format, args);
    va_end(args);
    health->ready = false;
}

void api_health_ask(const struct api_role *role, struct api_health *out)
{
    memset(out, 0, sizeof *out);
    role->host.health(role->host.ctx, out);
    if (role->closing)
        api_health_refuse(out, "shutting down");
    if (role->registry != NULL && role->snapshot == NULL)
        api_health_refuse(out, "the registry has not been read yet");
}

void api_health_put_warnings(struct bytebuf *out, const struct api_health *health)
{
    bytes_append_str(out, ",\"warnings\":[");
    for (size_t i = 0; i < health->warnings_count; i++) {
        bytes_append_str(out, i > 0 ? ",{\"what\":" : "{\"what\":");
        api_json_put_text(out, bytes_str(health->warnings[i].what));
        bytes_append_str(out, ",\"text\":");
        api_json_put_text(out, bytes_str(health->warnings[i].text));
        bytes_append_str(out, "}");
    }
    bytes_append_str(out, "]");
}

void api_health_alive(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request; /* that this runs is the answer: the loop turns */
    bytes_append_str(&exchange->body, "{\"status\":\"ok\"}");
    api_exchange_answer(exchange, 200);
}

void api_health_ready(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    struct api_health health;
    api_health_ask(exchange->role, &health);
    if (health.ready) {
        bytes_append_str(&exchange->body, "{\"status\":\"ready\"");
        api_health_put_warnings(&exchange->body, &health);
        bytes_append_str(&exchange->body, "}");
        api_exchange_answer(exchange, 200);
        return;
    }
    struct api_error error;
    (void)api_error_set(&error, API_ERROR_UNAVAILABLE, NULL, "%s", health.why);
    api_exchange_fail(exchange, &error);
}

void api_health_metrics(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    metrics_render(exchange->role->metrics, &exchange->body);
    api_exchange_answer_as(exchange, 200, "text/plain; version=0.0.4; charset=utf-8");
}
