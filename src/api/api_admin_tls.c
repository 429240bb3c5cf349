#include "api/api_exchange.h"
#include "api/api_impl.h"
#include "api/api_json.h"
#include "api/api_routes.h"

#include "base/err.h"
#include "base/log.h"

static void put_certificate(struct bytebuf *out, const struct tls_certificate *certificate, const char *use)
{
    bytes_append_str(out, "{\"file\":");
    api_json_put_text(out, bytes_str(certificate->file));
    bytes_append_str(out, ",\"names\":");
    api_json_put_text(out, bytes_str(certificate->names));
    bytes_append_str(out, ",\"key\":");
    api_json_put_text(out, bytes_str(certificate->key));
    bytes_printf(out, ",\"use\":\"%s\"", use);
    api_json_put_time(out, "not_before", certificate->not_before_s * 1000);
    api_json_put_time(out, "not_after", certificate->not_after_s * 1000);
    bytes_append_str(out, "}");
}

static void answer_certificates(struct api_exchange *exchange)
{
    const struct api_host *host = &exchange->role->host;
    struct bytebuf *out = &exchange->body;
    struct tls_certificate certificate;
    bytes_append_str(out, "{\"certificates\":[");
    const char *use = NULL;
    for (size_t i = 0; host->certificate(host->ctx, i, &certificate, &use); i++) {
        if (i > 0)
            bytes_append_str(out, ",");
        put_certificate(out, &certificate, use);
    }
    bytes_append_str(out, "]}");
    api_exchange_answer(exchange, 200);
}

void api_admin_tls_certificates(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    answer_certificates(exchange);
}

void api_admin_tls_reload(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    const struct api_host *host = &exchange->role->host;
    const int rc = host->reload(host->ctx);
    log_at(rc == 0 ? LOG_INFO : LOG_WARN, "api", "reload", LOG_STR("status", err_name(rc)));
    if (rc == 0) {
        answer_certificates(exchange);
        return;
    }
    struct api_error error;
    (void)api_error_set(&error, API_ERROR_FAILED_PRECONDITION, NULL,
                        "some of the certificates can't be served, those before stay; the server's log has why");
    api_exchange_fail(exchange, &error);
}
