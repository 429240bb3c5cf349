/* http2_client.h: an HTTP/2 client on a socket, for tests of the API: blocking, by prior knowledge. */
#ifndef PETREL_TESTS_HTTP2_CLIENT_H
#define PETREL_TESTS_HTTP2_CLIENT_H

#include "unit/api_rig.h"
#include "unit/http2_peer.h"

struct http2_client {
    struct api_client plain; /* the socket */
    struct http2_peer peer;
    char authorization[160];
    const char *headers[3]; /* that of the key of "shop" */
    char bodies[HTTP2_PEER_STREAMS_MAX][160];
    bool ended; /* by the server */
};

void http2_client_open(struct http2_client *client, struct api_rig *rig);
/* window, hold_windows: as http2_peer_open(). */
void http2_client_open_with(struct http2_client *client, struct api_rig *rig, uint32_t window, bool hold_windows);
void http2_client_close(struct http2_client *client);

/* Ask, with the key of "shop"; body absent: none. It stays valid. The index of the stream. */
size_t http2_client_ask(struct http2_client *client, const char *method, const char *path, struct bytes body);
/* A send to that device of "ann". */
size_t http2_client_send(struct http2_client *client, const char *device);
/* Write what there is to say. */
void http2_client_flush(struct http2_client *client);
/* Read something, and say what follows from it. False: the server has ended the connection. */
bool http2_client_turn(struct http2_client *client);
/* Read until the stream's end. */
const struct http2_peer_stream *http2_client_wait(struct http2_client *client, size_t at);
/* Read until its end, which is an answer of that status with this text somewhere in its body. */
void http2_client_expect(struct http2_client *client, size_t at, unsigned status, const char *part);
/* Read until the server has ended the connection, with that code. */
void http2_client_expect_end(struct http2_client *client, uint32_t code);

#endif
