#include "bench_admin.h"

#include "base/rng.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    bytes_append(arg, data, size * count);
    return size * count;
}

/* The body, NUL-terminated, of an answer that must be 2xx. */
static void call(struct bench *bench, const char *method, const char *path, const char *body, struct bytebuf *out)
{
    char url[256], token[128];
    snprintf(url, sizeof url, "%s%s", bench->target.admin_url, path);
    snprintf(token, sizeof token, "Authorization: Bearer %s", bench->target.admin_token);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, token);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    if (body != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    bytes_append(out, "", 1);
    if (code != CURLE_OK || status / 100 != 2)
        bench_die(bench, "%s %s: %s, status %ld: %s", method, path, curl_easy_strerror(code), status,
                  (const char *)out->ptr);
}

static json_t *call_json(struct bench *bench, const char *method, const char *path, const char *body)
{
    struct bytebuf out = {0};
    call(bench, method, path, body, &out);
    json_t *json = json_loads((const char *)out.ptr, 0, NULL);
    bytes_reset(&out);
    if (json == NULL)
        bench_die(bench, "%s %s: the answer is no JSON", method, path);
    return json;
}

void bench_admin_get(struct bench *bench, const char *path, struct bytebuf *out)
{
    call(bench, "GET", path, NULL, out);
}

void bench_admin_make_app(struct bench *bench)
{
    struct bench_target *target = &bench->target;
    uint32_t number;
    rng_secret(&number, sizeof number);
    snprintf(target->app, sizeof target->app, "bench-%08x", number);
    char body[64], path[96];
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", target->app);
    json_decref(call_json(bench, "POST", "/admin/v1/apps", body));
    snprintf(path, sizeof path, "/admin/v1/apps/%s/keys", target->app);
    json_t *key = call_json(bench, "POST", path, "{\"label\":\"petrel-bench\"}");
    const char *text = json_string_value(json_object_get(key, "key"));
    snprintf(target->api_key, sizeof target->api_key, "%s", text != NULL ? text : "");
    json_decref(key);
    snprintf(path, sizeof path, "/admin/v1/apps/%s/secrets", target->app);
    json_t *secrets = call_json(bench, "GET", path, NULL);
    json_t *first = json_array_get(json_object_get(secrets, "secrets"), 0);
    struct bytebuf secret = {0};
    const char *secret_text = json_string_value(json_object_get(first, "secret"));
    const char *kid = json_string_value(json_object_get(first, "kid"));
    if (secret_text != NULL && kid != NULL && bytes_get_base64url(bytes_str(secret_text), &secret) == 0)
        target->token_key = token_key_new(bytes_str(kid), bytes_view(&secret));
    bytes_reset(&secret);
    json_decref(secrets);
    if (target->token_key == NULL)
        bench_die(bench, "the app's secret can't be used");
}
