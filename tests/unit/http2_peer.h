/* http2_peer.h: a client of HTTP/2 for tests, on nghttp2, sans-I/O; and frames by hand, for what that library would not say. */
#ifndef PETREL_TESTS_HTTP2_PEER_H
#define PETREL_TESTS_HTTP2_PEER_H

#include "base/bytes.h"

#include <nghttp2/nghttp2.h>

#define HTTP2_PEER_STREAMS_MAX 256

/* What came on a stream. */
struct http2_peer_stream {
    int32_t id;
    bool continued; /* 100 */
    unsigned status;
    struct bytebuf head; /* "name: value\n" */
    struct bytebuf body;
    bool ended;     /* the answer is whole */
    bool closed;    /* no more can come */
    uint32_t error; /* of the reset */
    /* the request's body */
    const uint8_t *sent;
    size_t sent_len;
    size_t sent_at;
    bool goes_on; /* it does not end */
};

struct http2_peer {
    nghttp2_session *session;
    struct http2_peer_stream streams[HTTP2_PEER_STREAMS_MAX];
    size_t count;
    bool went_away;
    uint32_t goaway; /* the code */
    int32_t goaway_last;
    uint32_t max_streams; /* as the server's SETTINGS have it; 0: not yet */
    int pongs;
};

/* A request. body absent: none; its bytes stay valid until the end. */
struct http2_peer_ask {
    const char *method; /* NULL: GET */
    const char *path;
    const char *const *headers; /* name, value, name, ... NULL; may be NULL */
    struct bytes body;
    bool goes_on; /* the body is not all of it */
};

/* window: the first one of each stream; hold_windows: never give any back. */
void http2_peer_open(struct http2_peer *peer, uint32_t window, bool hold_windows);
void http2_peer_close(struct http2_peer *peer);
/* The index of its stream. */
size_t http2_peer_ask(struct http2_peer *peer, const struct http2_peer_ask *ask);
/* The same with these header lines only. */
size_t http2_peer_ask_lines(struct http2_peer *peer, const char *const *lines);
void http2_peer_reset(struct http2_peer *peer, size_t at);
/* Append what is to be sent. */
void http2_peer_say(struct http2_peer *peer, struct bytebuf *out);
void http2_peer_hear(struct http2_peer *peer, struct bytes in);

/* Append a frame. */
void http2_peer_frame(struct bytebuf *out, uint8_t type, uint8_t flags, uint32_t stream, struct bytes payload);

#endif
