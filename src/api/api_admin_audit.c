/* What operators did, for operators. */
#include "api/api_json.h"
#include "api/api_query.h"
#include "api/api_routes.h"
#include "base/err.h"
#include "registry/registry_audit.h"

#include <inttypes.h>
#include <stdlib.h>

#define AUDIT_PAGE 100U
#define TIME_MAX_S (UINT64_C(1) << 40)

static void put_text(struct bytebuf *out, const char *name, const char *text)
{
    if (text[0] == '\0')
        return;
    bytes_printf(out, ",\"%s\":", name);
    api_json_put_text(out, bytes_str(text));
}

static void put_row(struct bytebuf *out, const struct registry_audit_row *row)
{
    bytes_printf(out, "{\"id\":%" PRIu64, row->id);
    api_json_put_time(out, "at", row->at_ms);
    put_text(out, "who", row->who);
    put_text(out, "origin", row->origin);
    put_text(out, "node", row->node);
    put_text(out, "action", row->action);
    put_text(out, "app", row->app);
    put_text(out, "target", row->target);
    put_text(out, "outcome", row->outcome);
    bytes_append_str(out, "}");
}

static void on_listed(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    struct bytebuf *out = &exchange->body;
    if (request->status != 0) {
        api_exchange_fail_err(exchange, request->status, false, "cursor");
        return;
    }
    bytes_append_str(out, "{\"audit\":[");
    for (uint32_t i = 0; i < request->out.count; i++) {
        if (i > 0)
            bytes_append_str(out, ",");
        put_row(out, &request->out.audit[i]);
    }
    bytes_append_str(out, "]");
    if (request->out.more && request->out.count > 0)
        bytes_printf(out, ",\"cursor\":\"%" PRIu64 "\"", request->out.audit[request->out.count - 1].id);
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

struct query {
    struct api_query_page page;
    struct api_query_text app;
    struct api_query_text since;
};

/* ?since= in seconds since 1970. */
static int read_since(const char *text, uint64_t *out_ms, struct api_error *error)
{
    char *end;
    *out_ms = 0;
    if (text[0] == '\0')
        return 0;
    const unsigned long long seconds = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || seconds > TIME_MAX_S)
        return api_error_set(error, API_ERROR_INVALID, "since", "must be a time in seconds since 1970");
    *out_ms = seconds * 1000;
    return 0;
}

void api_admin_audit_list(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct query *query = api_exchange_state(exchange, sizeof *query, NULL);
    int rc = api_query_page(request->http, AUDIT_PAGE, REGISTRY_PAGE_MAX, &query->page, &error);
    if (rc == 0)
        rc = api_query_text(request->http, "app", &query->app, &error);
    if (rc == 0)
        rc = api_query_text(request->http, "since", &query->since, &error);
    if (rc == 0)
        rc = read_since(query->since.text, &exchange->registry.in.since_ms, &error);
    if (rc != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    exchange->registry.in.limit = query->page.limit;
    if (query->page.cursor.text[0] != '\0')
        exchange->registry.in.after = bytes_str(query->page.cursor.text);
    if (query->app.text[0] != '\0')
        exchange->registry.in.app = bytes_str(query->app.text);
    api_exchange_registry(exchange, exchange->role->registry->audit->list, on_listed);
}
