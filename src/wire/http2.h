/* http2.h: HTTP/2 for a server, sans-I/O, on nghttp2: bytes in, requests out; answers in, bytes out.
 *
 * stream    one request and its answer, by a number that its connection uses once
 * to stand  a request is lent to the owner: one at a time, as by the reader of HTTP/1.1 (http.h), whose struct it is too
 * to grant  a body larger than a stream's first window is taken from one stream at a time, so that a connection holds at most
 *           max_streams small bodies and one large
 *
 * Requests stand in the order in which they became whole; answers are taken in any order. Every size is bounded before it is
 * taken. What breaks HTTP/2 itself ends its stream (RST_STREAM) or the connection (GOAWAY), as RFC 9113 has it; what HTTP/1.1
 * would refuse is refused with the same status. A peer that costs more than it asks for is told ENHANCE_YOUR_CALM: one that
 * takes back its requests (rapid reset), that sends frames which ask for nothing, or heads without an end. */
#ifndef PETREL_WIRE_HTTP2_H
#define PETREL_WIRE_HTTP2_H

#include "wire/http.h"

/* The first bytes of a connection that speaks HTTP/2; no request of HTTP/1.1 begins so. */
#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define HTTP2_PREFACE_LEN (sizeof HTTP2_PREFACE - 1)

#define HTTP2_STREAM_WINDOW 65535U    /* what a stream may send before it is granted more */
#define HTTP2_GRANTED_WINDOW 1048576U /* and then, on its way to us */
#define HTTP2_CONNECTION_WINDOW 4194304U
/* A request that was refused before it was whole is reset so long after its answer: some clients lose an answer that a reset
 * follows at once, though they must not (RFC 9113, 8.1); most see the answer and end by themselves. */
#define HTTP2_LINGER_MS 1000U
#define HTTP2_BLOCK_MAX 65536U /* a head, as it is sent and as it is told: beyond, no status is worth reading on for */
/* What a peer may do at once, and then in a second, before it is told to calm down. */
#define HTTP2_RESETS_BURST 500U
#define HTTP2_RESETS_PER_S 50U
#define HTTP2_IDLE_FRAMES_BURST 1000U /* PING, SETTINGS, PRIORITY, empty DATA */
#define HTTP2_IDLE_FRAMES_PER_S 100U

struct http2_limits {
    size_t max_body;      /* of one request */
    uint32_t max_streams; /* requests that are not yet answered whole, of this connection */
};

/* One connection. One owner thread. Times are in ms of the owner's clock and never go back. */
struct http2;

/* Its first bytes are fed as others are: the preface. */
struct http2 *http2_new(const struct http2_limits *limits, uint64_t now_ms);
void http2_free(struct http2 **http2);

/* All of it is taken. The owner then looks at http2_next(), http2_output() and http2_over(). */
void http2_feed(struct http2 *http2, struct bytes in, uint64_t now_ms);

/* Have the next request stand; none does at the moment. Its stream, or 0: there is none. */
uint32_t http2_next(struct http2 *http2);
/* The request that stands, until http2_done(); NULL when it was refused, or when its stream has been reset meanwhile. */
const struct http_request *http2_request(const struct http2 *http2);
/* Why the request that stands is refused: statuses as in http.h, and 408 and 503 of http2_expire() and http2_shed(). NULL: it is not. */
const struct http_refusal *http2_refusal(const struct http2 *http2);
/* Done with the request that stands: its memory is given back. */
void http2_done(struct http2 *http2);

/* Answer a stream's request, once. *body, which response->body views or is empty, is taken over and left empty; keep_alive means nothing
 * here. Where the stream has been reset the answer goes nowhere. */
void http2_answer(struct http2 *http2, uint32_t stream, const struct http_response *response, struct bytebuf *body);
/* Whether the stream's answer is still waited for. */
bool http2_wants(const struct http2 *http2, uint32_t stream);

/* Append what is to be sent, until there is no more or out has reached `enough` bytes. */
void http2_output(struct http2 *http2, struct bytebuf *out, size_t enough, uint64_t now_ms);
/* Nothing will be read or written any more: close. */
bool http2_over(const struct http2 *http2);
/* Take no new requests: GOAWAY. Those that have not stood are told that nothing was done for them (REFUSED_STREAM); the answers of others
 * may follow. */
void http2_finish(struct http2 *http2);

/* Requests that are read, wait, stand, or have no whole answer yet. */
uint32_t http2_streams(const struct http2 *http2);
/* The same without those that are still being read. */
uint32_t http2_whole(const struct http2 *http2);
/* Bytes held of requests. */
size_t http2_held(const struct http2 *http2);
/* Bytes of answers that http2_output() has not given out. */
size_t http2_unsent(const struct http2 *http2);

/* When a peer that does nothing will be late: with a head, a body, or the window for an answer. 0: not waited for. */
uint64_t http2_due_ms(const struct http2 *http2, uint64_t timeout_ms);
/* Refuse with 408 the requests, and reset the answers, that the peer is late with; without an end of a head the connection ends. */
void http2_expire(struct http2 *http2, uint64_t now_ms, uint64_t timeout_ms);
/* Reading begins again after the owner had stopped it: no request is late yet. */
void http2_excuse(struct http2 *http2, uint64_t now_ms);
/* Refuse with 503 all requests that are being read. */
void http2_shed(struct http2 *http2, const char *message);

#endif
