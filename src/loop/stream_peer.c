#include "loop/loop_impl.h"
#include "loop/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* False when the peer is gone, so that the kernel has forgotten it, or the stream is closing, so that its descriptor is -1. While it
 * is being given away nobody need ask. */
static bool ask(const struct stream *stream, union address *out)
{
    const struct endpoint *endpoint = (const struct endpoint *)stream;
    const struct loop *loop = stream_loop(stream);
    socklen_t size = sizeof *out;
    if (loop->newest != stream)
        return getpeername(endpoint->fd, &out->any, &size) == 0;
    *out = loop->newest_peer;
    return true;
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
    if (address.any.sa_family != AF_INET)
        return false;
    key[10] = 0xff;
    key[11] = 0xff;
    memcpy(key + 12, &address.v4.sin_addr, 4);
    *port = ntohs(address.v4.sin_port);
    return true;
}

static bool credentials(const struct stream *stream, struct ucred *out)
{
    const struct endpoint *endpoint = (const struct endpoint *)stream;
    int family = 0;
    socklen_t size = sizeof family;
    if (getsockopt(endpoint->fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0 || family != AF_UNIX)
        return false;
    size = sizeof *out;
    return getsockopt(endpoint->fd, SOL_SOCKET, SO_PEERCRED, out, &size) == 0 && out->uid != (uid_t)-1;
}

bool stream_peer_user(const struct stream *stream, uint32_t *uid)
{
    struct ucred peer;
    if (!credentials(stream, &peer))
        return false;
    *uid = peer.uid;
    return true;
}

bool stream_peer_in_group(const struct stream *stream, uint32_t gid)
{
    const struct endpoint *endpoint = (const struct endpoint *)stream;
    struct ucred peer;
    if (!credentials(stream, &peer))
        return false;
    if (peer.gid == gid)
        return true;
    socklen_t size = 0;
    /* Says how large; fails unless there are none. */
    (void)getsockopt(endpoint->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size);
    gid_t *groups = object_alloc(size + sizeof *groups);
    bool found = false;
    if (size > 0 && getsockopt(endpoint->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0) {
        for (size_t i = 0; i < size / sizeof *groups && !found; i++)
            found = groups[i] == gid;
    }
    free(groups);
    return found;
}

void stream_peer(const struct stream *stream, char out[STREAM_ADDRESS_SIZE])
{
    struct in6_addr address;
    uint16_t port;
    char host[INET6_ADDRSTRLEN];
    uint32_t uid;
    if (!peer_address(stream, address.s6_addr, &port)) {
        (void)snprintf(out, STREAM_ADDRESS_SIZE, stream_peer_user(stream, &uid) ? "unix" : "unknown");
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
