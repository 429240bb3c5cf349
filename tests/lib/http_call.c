#include "lib/http_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#define TIMEOUT_S 30L

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_call *call = ctx;
    size_t len = size * count;
    char *grown = realloc(call->text, call->text_len + len + 1);
    if (grown == NULL)
        return 0;
    memcpy(grown + call->text_len, bytes, len);
    call->text = grown;
    call->text_len += len;
    call->text[call->text_len] = '\0';
    return len;
}

static void forget_answer(struct http_call *call)
{
    json_decref(call->body);
    free(call->text);
    call->body = NULL;
    call->text = NULL;
    call->text_len = 0;
    call->status = 0;
    call->retry_s = 0;
}

static struct curl_slist *headers_of(const char *bearer, const char *json_body)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    char text[600];
    if (bearer != NULL) {
        snprintf(text, sizeof text, "Authorization: Bearer %s", bearer);
        headers = curl_slist_append(headers, text);
    }
    if (json_body != NULL)
        headers = curl_slist_append(headers, "Content-Type: application/json");
    return headers;
}

long http_call(struct http_call *call, const char *method, const char *authority, const char *path, const char *bearer,
               const char *json_body)
{
    forget_answer(call);
    if (call->curl == NULL)
        call->curl = curl_easy_init();
    curl_easy_reset(call->curl);
    char url[1200];
    snprintf(url, sizeof url, "http://%s%s", authority, path);
    struct curl_slist *headers = headers_of(bearer, json_body);
    curl_easy_setopt(call->curl, CURLOPT_URL, url);
    curl_easy_setopt(call->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(call->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(call->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(call->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(call->curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(call->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(call->curl, CURLOPT_WRITEDATA, call);
    if (json_body != NULL)
        curl_easy_setopt(call->curl, CURLOPT_POSTFIELDS, json_body);
    if (curl_easy_perform(call->curl) == CURLE_OK) {
        curl_off_t retry_s = 0;
        curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &call->status);
        curl_easy_getinfo(call->curl, CURLINFO_RETRY_AFTER, &retry_s);
        call->retry_s = (long)retry_s;
    }
    curl_slist_free_all(headers);
    if (call->text != NULL)
        call->body = json_loadb(call->text, call->text_len, 0, NULL);
    return call->status;
}

const char *http_call_text(const struct http_call *call, const char *member)
{
    const char *text = json_string_value(json_object_get(call->body, member));
    return text != NULL ? text : "";
}

void http_call_reset(struct http_call *call)
{
    forget_answer(call);
    curl_easy_cleanup(call->curl);
    call->curl = NULL;
}
