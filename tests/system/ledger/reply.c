#include "system/ledger/reply.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD_MAX 4096

/* The header's value in a head that ends with a NUL; NULL: there is none. */
static const char *header(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':')
            return line + 2 + len + 1 + strspn(line + 2 + len + 1, " ");
    }
    return NULL;
}

int reply_read(struct bytes in, struct reply *out)
{
    const char *end = in.len > 0 ? memmem(in.ptr, in.len, "\r\n\r\n", 4) : NULL;
    if (end == NULL)
        return in.len > HEAD_MAX ? -1 : 0;
    char head[HEAD_MAX + 1];
    size_t head_len = (size_t)(end - (const char *)in.ptr);
    if (head_len > HEAD_MAX)
        return -1;
    memcpy(head, in.ptr, head_len);
    head[head_len] = '\0';
    *out = (struct reply){0};
    const char *length = header(head, "Content-Length"), *retry = header(head, "Retry-After");
    const char *connection = header(head, "Connection");
    if (sscanf(head, "HTTP/1.1 %3u ", &out->status) != 1 || length == NULL)
        return -1;
    size_t body_len = strtoul(length, NULL, 10);
    if (in.len - head_len - 4 < body_len)
        return 0;
    out->body = bytes_of(in.ptr + head_len + 4, body_len);
    out->retry_after_s = retry != NULL ? (uint32_t)strtoul(retry, NULL, 10) : 0;
    out->close = connection != NULL && strncasecmp(connection, "close", 5) == 0;
    return 1;
}
