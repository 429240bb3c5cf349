/* websocket_upgrade.h: the HTTP request that becomes a WebSocket (RFC 6455, 4.2), and its answer. Sans-I/O.
 *
 * origin   what a browser says of the page that connects. Others say none, and are not judged by it */
#ifndef PETREL_WIRE_WEBSOCKET_UPGRADE_H
#define PETREL_WIRE_WEBSOCKET_UPGRADE_H

#include "wire/http.h"

#define WEBSOCKET_SUBPROTOCOL "petrel.v1"
#define WEBSOCKET_ACCEPT_SIZE 29 /* of a Sec-WebSocket-Accept, with the final NUL */

/* Whether the request asks for it at all: Connection names Upgrade, and Upgrade names websocket. */
bool websocket_upgrade_asked(const struct http_request *request);
/* Judge one that does. 0; or the status to refuse with and why: 400 (key, subprotocol), 403 (origin), 426 (version).
 * origins: those of browsers that may, "https://app.example, https://x.example:8443", or "*": all; "": none. */
unsigned websocket_upgrade_check(const struct http_request *request, const char *origins, const char **why);
/* Whether a page of the request's Origin is among origins; who names none may too. */
bool websocket_upgrade_origin_may(const struct http_request *request, const char *origins);
/* Whether an origin that a request named is. */
bool websocket_upgrade_has_origin(struct bytes origin, struct bytes origins);
/* Whether the text is such a list: of "*", "none", which no page's is, or scheme://host[:port]; an empty one is. */
bool websocket_upgrade_valid_origins(struct bytes origins);
/* Take the next of a list. */
struct bytes websocket_upgrade_next_origin(struct bytes *origins);
/* Append the 101 for a request that was checked. */
void websocket_upgrade_answer(const struct http_request *request, struct bytebuf *out);

/* What a server has to answer to a client's key. */
void websocket_upgrade_accept(struct bytes key, char out[WEBSOCKET_ACCEPT_SIZE]);

#endif
