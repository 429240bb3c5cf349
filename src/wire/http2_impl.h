/* http2_impl.h: what is inside an HTTP/2 connection. Private to this room. */
#ifndef PETREL_WIRE_HTTP2_IMPL_H
#define PETREL_WIRE_HTTP2_IMPL_H

#include "base/list.h"
#include "base/object.h"
#include "wire/http2.h"

#include <nghttp2/nghttp2.h>

#define HTTP2_MAGIC OBJECT_MAGIC('H', 'T', 'P', '2')

/* What is waited for, stream by stream. */
enum http2_phase {
    HTTP2_READING,   /* the peer: more of the request; the longest waited for stands first */
    HTTP2_STARVED,   /* the stream that is granted: its body to be whole */
    HTTP2_READY,     /* the owner: to have it stand; whole, or refused */
    HTTP2_TAKEN,     /* the owner: an answer */
    HTTP2_ANSWERING, /* the peer: to take the answer; the longest waited for stands first */
    HTTP2_LINGERING, /* the peer, which is refused and has its answer: to say no more; the longest waited for stands first */
    HTTP2_PHASES,
};

/* A run of bytes in the head, as offsets: the head moves while it grows. */
struct http2_span {
    uint32_t at;
    uint32_t len;
};

struct http2_stream {
    struct list node; /* in its phase's list */
    struct http2 *http2;
    int32_t id;
    enum http2_phase phase;
    bool gone;         /* closed, while its request stands */
    uint64_t since_ms; /* READING, ANSWERING, LINGERING: since when the peer is waited for */
    struct bytebuf head;
    struct bytebuf body;
    struct http2_span method;
    struct http2_span target;
    size_t listed;   /* the head's size as HTTP/2 counts it */
    size_t withheld; /* bytes of the body that no window was given back for */
    uint32_t headers_count;
    struct http2_span names[HTTP_HEADERS_MAX];
    struct http2_span values[HTTP_HEADERS_MAX];
    struct http_refusal refusal; /* status 0: none */
    struct bytebuf answer;
    size_t answer_at;
};

/* So many at once, and so many more a second. */
struct http2_bucket {
    uint64_t milli; /* thousandths of what is left */
    uint64_t at_ms;
};

struct http2 {
    uint32_t magic;
    nghttp2_session *session;
    struct http2_limits limits;
    uint64_t now_ms;
    struct list streams[HTTP2_PHASES];
    uint32_t counts[HTTP2_PHASES];
    struct http2_stream *standing;
    struct http2_stream *granted;
    size_t held;
    size_t unsent;
    int32_t block_stream; /* whose head is under way; 0: none's */
    uint64_t blocks;      /* heads so far */
    size_t block_bytes;   /* of the head under way, as it came, but for its beginning */
    uint64_t block_began_ms;
    struct http2_bucket resets;
    struct http2_bucket idle_frames;
    uint32_t verdict; /* what the connection ends with, where we end it */
    bool broken;      /* the session takes and gives nothing any more */
    bool told;        /* and the peer was told */
    struct http_request request;
    struct http_header headers[HTTP_HEADERS_MAX];
};

struct http2_stream *http2_open_stream(struct http2 *http2, int32_t id);
void http2_free_stream(struct http2_stream *stream);
void http2_move(struct http2_stream *stream, enum http2_phase phase);
/* Let it send its body, however large; no other is granted. */
void http2_grant(struct http2_stream *stream);
/* Where it is being read: it is whole or refused, and waits to stand. */
void http2_settle(struct http2_stream *stream);
/* The first refusal stands; later than READING it means nothing. */
void http2_refuse(struct http2_stream *stream, unsigned status, const char *message);

/* http2_recv.c: the callbacks for what comes. */
void http2_recv_set(nghttp2_session_callbacks *callbacks);
/* http2_head.c: a line of a head, and the whole: the request, or its refusal. */
void http2_head_add(struct http2_stream *stream, struct bytes name, struct bytes value);
void http2_head_check(struct http2_stream *stream, bool has_body);
/* Make http2->request of the stream. */
void http2_head_stand(struct http2_stream *stream);

#endif
