#include "loop/address.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <string.h>

int address_parse(const char *host, uint16_t port, union address *out, socklen_t *size)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *size = sizeof out->v4;
        return 0;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) != 1)
        return PETREL_E_INVALID;
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(port);
    *size = sizeof out->v6;
    return 0;
}
