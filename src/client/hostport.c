#include "client/hostport.h"

#include <stdbool.h>
#include <string.h>

#define PORT_DIGITS_MAX 5

static uint16_t read_port(const char *text, size_t len)
{
    uint32_t port = 0;
    if (len == 0 || len > PORT_DIGITS_MAX)
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    }
    return len > 0;
}

uint16_t hostport_split(const char *text, size_t len, char host[HOSTPORT_HOST_MAX + 1])
{
    const char *colon = len > 0 ? memrchr(text, ':', len) : NULL;
    size_t host_len = colon != NULL ? (size_t)(colon - text) : 0;
    uint16_t port = colon != NULL ? read_port(colon + 1, len - host_len - 1) : 0;
    bool brackets = host_len > 2 && text[0] == '[' && text[host_len - 1] == ']';
    if (brackets) {
        text++;
        host_len -= 2;
    }
    if (port == 0 || host_len > HOSTPORT_HOST_MAX || !is_plain(text, host_len))
        return 0;
    if (!brackets && memchr(text, ':', host_len) != NULL)
        return 0; /* where such a host ends, nobody can tell */
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    return port;
}

size_t hostport_count(const char *list)
{
    char host[HOSTPORT_HOST_MAX + 1];
    for (size_t count = 1;; count++) {
        size_t len = strcspn(list, ",");
        if (hostport_split(list, len, host) == 0)
            return 0;
        if (list[len] == '\0')
            return count;
        list += len + 1;
    }
}
