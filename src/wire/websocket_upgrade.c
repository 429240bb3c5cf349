#include "wire/websocket_upgrade.h"

#include "base/object.h"

#include <openssl/evp.h>
#include <strings.h>

#define KEY_BYTES 16U
#define KEY_TEXT 24U
#define SHA1_BYTES 20U
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static bool is_word(struct bytes text, const char *word, bool any_case)
{
    if (text.len != strlen(word))
        return false;
    return any_case ? strncasecmp((const char *)text.ptr, word, text.len) == 0 : memcmp(text.ptr, word, text.len) == 0;
}

/* Take the next word of a list by commas, without the blanks around it. */
static struct bytes take_word(struct bytes *list)
{
    const uint8_t *comma = list->len > 0 ? memchr(list->ptr, ',', list->len) : NULL;
    struct bytes word = bytes_of(list->ptr, comma != NULL ? (size_t)(comma - list->ptr) : list->len);
    const size_t taken = word.len + (comma != NULL);
    *list = bytes_of(list->ptr + taken, list->len - taken);
    while (word.len > 0 && (word.ptr[0] == ' ' || word.ptr[0] == '\t'))
        word = bytes_of(word.ptr + 1, word.len - 1);
    while (word.len > 0 && (word.ptr[word.len - 1] == ' ' || word.ptr[word.len - 1] == '\t'))
        word.len--;
    return word;
}

static bool list_has(struct bytes list, const char *word, bool any_case)
{
    while (list.len > 0) {
        if (is_word(take_word(&list), word, any_case))
            return true;
    }
    return false;
}

static bool is_header(const struct http_header *header, const char *name)
{
    return is_word(header->name, name, true);
}

/* Whether some header of that name has the word in its list: such a header may come more than once. */
static bool header_has(const struct http_request *request, const char *name, const char *word, bool any_case)
{
    for (size_t i = 0; i < request->headers_count; i++) {
        if (is_header(&request->headers[i], name) && list_has(request->headers[i].value, word, any_case))
            return true;
    }
    return false;
}

static size_t count_of(const struct http_request *request, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->headers_count; i++)
        count += is_header(&request->headers[i], name);
    return count;
}

static bool key_is_valid(const struct http_request *request)
{
    const struct bytes key = http_request_header(request, "Sec-WebSocket-Key");
    struct bytebuf raw = {0};
    const bool valid = count_of(request, "Sec-WebSocket-Key") == 1 && key.len == KEY_TEXT &&
                       bytes_get_base64(key, &raw) == 0 && raw.len == KEY_BYTES;
    bytes_reset(&raw);
    return valid;
}

struct bytes websocket_upgrade_next_origin(struct bytes *origins)
{
    return take_word(origins);
}

bool websocket_upgrade_has_origin(struct bytes origin, struct bytes origins)
{
    while (origins.len > 0) {
        const struct bytes allowed = take_word(&origins);
        if (bytes_equal_str(allowed, "*") ||
            (allowed.len > 0 && allowed.len == origin.len &&
             strncasecmp((const char *)allowed.ptr, (const char *)origin.ptr, allowed.len) == 0))
            return true;
    }
    return false;
}

/* As browsers write it: no path, not even a slash. */
static bool is_origin(struct bytes text)
{
    static const char MARK[] = "://";
    const uint8_t *mark = text.len > 0 ? memmem(text.ptr, text.len, MARK, sizeof MARK - 1) : NULL;
    if (mark == NULL || mark == text.ptr)
        return false;
    const uint8_t *host = mark + sizeof MARK - 1;
    const size_t host_len = text.len - (size_t)(host - text.ptr);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || strchr("\"\\*?#@", text.ptr[i]) != NULL)
            return false;
    }
    return host_len > 0 && memchr(host, '/', host_len) == NULL;
}

bool websocket_upgrade_valid_origins(struct bytes origins)
{
    if (origins.len > 0 && origins.ptr[origins.len - 1] == ',')
        return false;
    while (origins.len > 0) {
        const struct bytes word = take_word(&origins);
        if (!bytes_equal_str(word, "*") && !bytes_equal_str(word, "none") && !is_origin(word))
            return false;
    }
    return true;
}

bool websocket_upgrade_origin_may(const struct http_request *request, const char *origins)
{
    const struct bytes origin = http_request_header(request, "Origin");
    if (origin.ptr == NULL)
        return true;
    return websocket_upgrade_has_origin(origin, bytes_str(origins)) && count_of(request, "Origin") == 1;
}

bool websocket_upgrade_asked(const struct http_request *request)
{
    return header_has(request, "Connection", "upgrade", true) && header_has(request, "Upgrade", "websocket", true);
}

unsigned websocket_upgrade_check(const struct http_request *request, const char *origins, const char **why)
{
    const bool version = count_of(request, "Sec-WebSocket-Version") == 1 &&
                         bytes_equal_str(http_request_header(request, "Sec-WebSocket-Version"), "13");
    *why = "Sec-WebSocket-Version must be 13";
    if (!version)
        return 426;
    *why = "Sec-WebSocket-Key must be 16 bytes in base64";
    if (!key_is_valid(request))
        return 400;
    *why = "Sec-WebSocket-Protocol must offer " WEBSOCKET_SUBPROTOCOL;
    if (!header_has(request, "Sec-WebSocket-Protocol", WEBSOCKET_SUBPROTOCOL, false))
        return 400;
    *why = "pages of this Origin may not connect (session.origins, and those of apps)";
    return websocket_upgrade_origin_may(request, origins) ? 0 : 403;
}

void websocket_upgrade_accept(struct bytes key, char out[WEBSOCKET_ACCEPT_SIZE])
{
    struct bytebuf text = {0};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    bytes_append(&text, key.ptr, key.len);
    bytes_append_str(&text, ACCEPT_GUID);
    petrel_assert(EVP_Digest(text.ptr, text.len, digest, &len, EVP_sha1(), NULL) == 1 && len == SHA1_BYTES);
    text.len = 0;
    bytes_put_base64(&text, bytes_of(digest, len));
    petrel_assert(text.len == WEBSOCKET_ACCEPT_SIZE - 1);
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    bytes_reset(&text);
}

void websocket_upgrade_answer(const struct http_request *request, struct bytebuf *out)
{
    char accept[WEBSOCKET_ACCEPT_SIZE];
    websocket_upgrade_accept(http_request_header(request, "Sec-WebSocket-Key"), accept);
    bytes_printf(out,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: " WEBSOCKET_SUBPROTOCOL "\r\n\r\n",
                 accept);
}
