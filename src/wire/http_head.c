#include "wire/http_head.h"

#include <strings.h>

static bool is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char(text.ptr[i]))
            return false;
    }
    return text.len > 0;
}

static bool is_digits(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return text.len > 0;
}

static bool equals_nocase(struct bytes text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.ptr, word, text.len) == 0;
}

bool http_head_is_continue(struct bytes expect)
{
    return equals_nocase(expect, "100-continue");
}

static size_t count_of(const struct http_request *request, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->headers_count; i++)
        count += equals_nocase(request->headers[i].name, name);
    return count;
}

/* "http://host/path" may be sent instead of "/path" (RFC 9112, 3.2.2). */
static struct bytes without_authority(struct bytes target)
{
    static const char *const SCHEMES[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof SCHEMES / sizeof SCHEMES[0]; i++) {
        size_t len = strlen(SCHEMES[i]);
        if (target.len <= len || strncasecmp((const char *)target.ptr, SCHEMES[i], len) != 0)
            continue;
        struct bytes rest = bytes_of(target.ptr + len, target.len - len);
        const uint8_t *slash = memchr(rest.ptr, '/', rest.len);
        return slash != NULL ? bytes_of(slash, rest.len - (size_t)(slash - rest.ptr)) : bytes_str("/");
    }
    return target;
}

const char *http_head_split(struct http_request *request, struct bytes target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f || target.ptr[i] == '#')
            return "the request target holds a character that must be percent-encoded";
    }
    target = without_authority(target);
    const uint8_t *mark = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;
    size_t path_len = mark != NULL ? (size_t)(mark - target.ptr) : target.len;
    request->path = bytes_of(target.ptr, path_len);
    request->query = mark != NULL ? bytes_of(mark + 1, target.len - path_len - 1) : (struct bytes){NULL, 0};
    bool rooted = path_len > 0 && target.ptr[0] == '/';
    return rooted || bytes_equal_str(target, "*") ? NULL : "the request target must begin with '/'";
}

/* NULL, or what is wrong with the lengths. Sets out->chunked and out->has_length. */
static const char *check_lengths(const struct http_request *request, unsigned minor, struct http_head *out,
                                 unsigned *status)
{
    size_t lengths = count_of(request, "Content-Length");
    size_t codings = count_of(request, "Transfer-Encoding");
    *status = 400;
    out->has_length = lengths > 0;
    out->chunked = codings > 0;
    if (lengths > 1 || (lengths == 1 && !is_digits(http_request_header(request, "Content-Length"))))
        return "Content-Length must be one number";
    if (lengths > 0 && codings > 0)
        return "Content-Length and Transfer-Encoding exclude each other";
    if (codings > 0 && minor == 0)
        return "HTTP/1.0 has no Transfer-Encoding";
    if (codings == 0)
        return NULL;
    *status = 501;
    bool one = codings == 1 && equals_nocase(http_request_header(request, "Transfer-Encoding"), "chunked");
    return one ? NULL : "only the transfer coding 'chunked' is served";
}

static bool refused(struct http_refusal *refusal, unsigned status, const char *message)
{
    *refusal = (struct http_refusal){status, message};
    return false;
}

bool http_head_check(struct http_request *request, struct bytes target, unsigned major, unsigned minor,
                     struct http_head *out, struct http_refusal *refusal)
{
    if (major != 1 || minor > 1)
        return refused(refusal, 505, "only HTTP/1.1 and HTTP/1.0 are served");
    const char *fault = http_head_split(request, target);
    if (fault != NULL)
        return refused(refusal, 400, fault);
    for (size_t i = 0; i < request->headers_count; i++) {
        if (!is_token(request->headers[i].name))
            return refused(refusal, 400, "a header's name holds a character that none may");
    }
    size_t hosts = count_of(request, "Host");
    if (hosts > 1 || (hosts == 0 && minor == 1))
        return refused(refusal, 400, "there must be one Host header");
    unsigned status;
    fault = check_lengths(request, minor, out, &status);
    if (fault != NULL)
        return refused(refusal, status, fault);
    struct bytes expect = http_request_header(request, "Expect");
    out->expects_continue = expect.ptr != NULL && minor == 1;
    if (out->expects_continue && !http_head_is_continue(expect))
        return refused(refusal, 417, "only the expectation '100-continue' can be met");
    return true;
}
