/* http2_rig.h: a server's and a client's end of HTTP/2, mouth to ear, with a clock of the test's. */
#ifndef PETREL_TESTS_HTTP2_RIG_H
#define PETREL_TESTS_HTTP2_RIG_H

#include "unit/http2_peer.h"
#include "wire/http2.h"

#define HTTP2_RIG_BODY_MAX 1000000U
#define HTTP2_RIG_STREAMS 8U
#define HTTP2_RIG_TEST(test) cmocka_unit_test_setup_teardown(test, http2_rig_setup, http2_rig_teardown)

struct http2_rig {
    struct http2 *http2;
    struct http2_peer peer;
    uint64_t now_ms;
    size_t step;        /* bytes at a time to the server; 0: all */
    bool ended;         /* the server said GOAWAY, for another reason than that it finishes */
    uint32_t code;      /* of that */
    struct bytebuf raw; /* what the test says to the server by itself, before what the client says */
};

int http2_rig_setup(void **state);
int http2_rig_teardown(void **state);
/* Both ends anew, the client's with these windows (http2_peer_open). */
void http2_rig_reopen(struct http2_rig *rig, uint32_t window, bool hold_windows);

/* The server hears what the client says. Whether there was any. */
bool http2_rig_hear(struct http2_rig *rig);
/* Then the client what the server says; whether either said anything. */
bool http2_rig_half_turn(struct http2_rig *rig);
/* Until nobody has anything to say. */
void http2_rig_turn(struct http2_rig *rig);

void http2_rig_answer(struct http2_rig *rig, uint32_t stream, unsigned status, const char *text);
/* Take the next request, and answer it. */
void http2_rig_answer_next(struct http2_rig *rig, unsigned status, const char *text);
/* The client's stream has this whole answer. */
void http2_rig_expect(const struct http2_rig *rig, size_t at, unsigned status, const char *text);
void http2_rig_expect_head(const struct http2_rig *rig, size_t at, const char *head);
/* The server has ended the connection with that code. */
void http2_rig_expect_end(const struct http2_rig *rig, uint32_t code);

#endif
