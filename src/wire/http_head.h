/* http_head.h: whether a head that was parsed may be served, and what its body will be. Private to this room. */
#ifndef PETREL_WIRE_HTTP_HEAD_H
#define PETREL_WIRE_HTTP_HEAD_H

#include "wire/http.h"

struct http_head {
    bool chunked;
    bool has_length;
    bool expects_continue;
};

/* Judge a request whose method, headers and keep_alive are set, split its target into path and query. False with the
 * refusal; true with *out. */
bool http_head_check(struct http_request *request, struct bytes target, unsigned major, unsigned minor,
                     struct http_head *out, struct http_refusal *refusal);

/* Split a target into path and query. NULL, or what is wrong with it. */
const char *http_head_split(struct http_request *request, struct bytes target);
/* Whether the value of Expect is the one that can be met. */
bool http_head_is_continue(struct bytes expect);

#endif
