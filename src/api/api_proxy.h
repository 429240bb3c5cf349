/* api_proxy.h: the PROXY header of a connection from a proxy. Private to this room. */
#ifndef PETREL_API_API_PROXY_H
#define PETREL_API_API_PROXY_H

#include "api/api_impl.h"

/* Take what came of it from the front of *data. 0: it is whole, and address is the peer's; PETREL_E_NEED_MORE: all was taken; any
 * other: it is none. */
int api_proxy_take(struct api_conn *conn, struct bytes *data, uint8_t address[NETADDR_IP_BYTES]);

#endif
