/* For supervisors and scrapers: is it alive, can it serve, what has it done. */
#include "api/api_routes.h"

#define WHY_MAX 200

void api_health_alive(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request; /* that this runs is the answer: the loop turns */
    bytes_append_str(&exchange->body, "{\"status\":\"ok\"}");
    api_exchange_answer(exchange, 200);
}

void api_health_ready(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    struct api_role *role = exchange->role;
    char why[WHY_MAX] = "";
    const int rc = role->host.ready(role->host.ctx, why, sizeof why);
    if (rc == 0 && role->snapshot != NULL && !role->closing) {
        bytes_append_str(&exchange->body, "{\"status\":\"ready\"}");
        api_exchange_answer(exchange, 200);
        return;
    }
    struct api_error error;
    const char *text = role->closing            ? "shutting down"
                       : role->snapshot == NULL ? "the registry has not been read yet"
                                                : why;
    (void)api_error_set(&error, API_ERROR_UNAVAILABLE, NULL, "%s", text[0] != '\0' ? text : "not ready");
    api_exchange_fail(exchange, &error);
}

void api_health_metrics(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    metrics_render(exchange->role->metrics, &exchange->body);
    api_exchange_answer_as(exchange, 200, "text/plain; version=0.0.4; charset=utf-8");
}
