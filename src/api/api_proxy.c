#include "api/api_proxy.h"

#include "api/api_conn.h"
#include "base/err.h"
#include "wire/proxy.h"

int api_proxy_take(struct api_conn *conn, struct bytes *data, uint8_t address[NETADDR_IP_BYTES])
{
    const size_t before = conn->proxy.len;
    const size_t room = PROXY_HEADER_MAX - before;
    struct proxy_header header;
    bytes_append(&conn->proxy, data->ptr, data->len < room ? data->len : room);
    struct bytes in = bytes_view(&conn->proxy);
    const size_t offered = in.len;
    const int rc = proxy_take(&in, &header);
    if (rc == PETREL_E_NEED_MORE)
        return offered < PROXY_HEADER_MAX ? rc : PETREL_E_TOO_LARGE;
    if (rc != 0)
        return rc;
    const size_t taken = offered - in.len - before;
    *data = bytes_of(data->ptr + taken, data->len - taken);
    bytes_reset(&conn->proxy);
    if (header.known)
        memcpy(address, header.peer.ip, NETADDR_IP_BYTES);
    else
        stream_peer_key(conn->stream, address);
    return 0;
}
