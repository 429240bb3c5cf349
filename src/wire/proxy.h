/* proxy.h: the PROXY protocol, versions 1 and 2, sans-I/O: what a load balancer writes before a connection's first byte to say who the
 * peer is. Only who is configured to send it is believed, and must send it (session.proxy_from, api.proxy_from).
 *
 * Version 1 is a line, "PROXY TCP4 203.0.113.7 192.0.2.1 51234 7400\r\n"; 2 is binary. What follows the addresses in 2 (TLVs) is
 * skipped. */
#ifndef PETREL_WIRE_PROXY_H
#define PETREL_WIRE_PROXY_H

#include "base/bytes.h"
#include "base/netaddr.h"

#define PROXY_HEADER_MAX 2048U /* bytes of a header, TLVs and all */

struct proxy_header {
    bool known; /* whether it names a peer; else the connection's own is meant (LOCAL, UNKNOWN, a Unix socket) */
    struct netaddr peer;
};

/* Take a header from the front of *in, which holds all that has come so far. 0; PETREL_E_NEED_MORE (*in as it was); PETREL_E_INVALID: it
 * is none, as soon as that shows; PETREL_E_TOO_LARGE: over PROXY_HEADER_MAX. */
int proxy_take(struct bytes *in, struct proxy_header *out);

#endif
