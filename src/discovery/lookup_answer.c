#include "discovery/lookup.h"

/* An address is ASCII; what else a node may say of itself must not break the answer. */
static void put_address(struct bytebuf *out, const char *address)
{
    bytes_append_str(out, "\"");
    for (const char *at = address; *at != '\0'; at++) {
        const unsigned char c = (unsigned char)*at;
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            bytes_printf(out, "\\u%04x", c);
        else
            bytes_append(out, at, 1);
    }
    bytes_append_str(out, "\"");
}

void lookup_answer_put(struct bytebuf *out, const struct lookup_server *servers, size_t count, uint32_t wait_ms,
                       uint32_t backoff_ms, uint32_t ttl_s)
{
    bytes_append_str(out, "{\"servers\":[");
    for (size_t i = 0; i < count; i++) {
        bytes_append_str(out, i > 0 ? ",{\"address\":" : "{\"address\":");
        put_address(out, servers[i].node->session_address);
        bytes_printf(out, ",\"weight\":%u}", servers[i].weight);
    }
    bytes_printf(out, "],\"wait_ms\":%u,\"backoff_ms\":%u,\"ttl_s\":%u}", wait_ms, backoff_ms, ttl_s);
}
