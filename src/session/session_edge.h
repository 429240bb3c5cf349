/* session_edge.h: what a connection has only while something around its frames is partly read: a PROXY header, an HTTP request, a
 * WebSocket's message. Private to this room. */
#ifndef PETREL_SESSION_SESSION_EDGE_H
#define PETREL_SESSION_SESSION_EDGE_H

#include "wire/http.h"
#include "wire/websocket.h"

struct session;

struct session_edge {
    struct bytebuf proxy;
    struct http_reader *http;
    size_t http_taken; /* bytes that it was fed */
    struct websocket_reader websocket;
};

/* The session's; made if it has none. */
struct session_edge *session_edge(struct session *session);
/* Nothing happens when it has none. */
void session_edge_free(struct session *session);

#endif
