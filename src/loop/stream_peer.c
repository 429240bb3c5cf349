#include "loop/loop_impl.h"
#include "loop/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* False when the peer is gone, so that the kernel has forgotten it, or the stream is closing, so that its descriptor is -1. While it
 * is being given away nobody need ask. */
static bool ask(const struct stream *stream, union address *out)
{
    const struct endpoint *endpoint = (const struct endpoint *)stream;
    const struct loop *loop = stream_loop(stream);
    socklen_t size = sizeof *out;
    if (loop->newest == stream)
        *out = loop->newest_peer;
    return loop->newest == stream || getpeername(endpoint->fd, &out->any, &size) == 0;
}

static bool peer_address(const struct stream *stream, uint8_t key[16], uint16_t *port)
{
    union address address;
    memset(key, 0, 16);
    if (!ask(stream, &address))
        return false;
    if (address.any.sa_family == AF_INET6) {
        memcpy(key, &address.v6.sin6_addr, 16);
        *port = ntohs(address.v6.sin6_port);
        return true;
    }
    key[10] = 0xff;
    key[11] = 0xff;
    memcpy(key + 12, &address.v4.sin_addr, 4);
    *port = ntohs(address.v4.sin_port);
    return true;
}

void stream_peer(const struct stream *stream, char out[STREAM_ADDRESS_SIZE])
{
    struct in6_addr address;
    uint16_t port;
    char host[INET6_ADDRSTRLEN];
    if (!peer_address(stream, address.s6_addr, &port)) {
        (void)snprintf(out, STREAM_ADDRESS_SIZE, "unknown");
        return;
    }
    bool v4 = IN6_IS_ADDR_V4MAPPED(&address);
    const char *text = inet_ntop(v4 ? AF_INET : AF_INET6, address.s6_addr + (v4 ? 12 : 0), host, sizeof host);
    petrel_assert(text != NULL);
    (void)snprintf(out, STREAM_ADDRESS_SIZE, v4 ? "%s:%u" : "[%s]:%u", text, (unsigned)port);
}

void stream_peer_key(const struct stream *stream, uint8_t out[16])
{
    uint16_t port;
    (void)peer_address(stream, out, &port);
}
