/* api_send.h: one message on its way: read from JSON, checked, submitted, answered. What a single send and a line of a batch
 * share. Private to this room. */
#ifndef PETREL_API_API_SEND_H
#define PETREL_API_API_SEND_H

#include "api/api_address.h"
#include "api/api_error.h"
#include "api/api_impl.h"
#include "api/api_topic_send.h"

#define API_SEND_KEY_MAX 128 /* bytes of an idempotency key, printable ASCII */

struct api_send;
typedef void api_send_done_fn(struct api_send *send);

/* Embedded by its owner. Zero-initialise. */
struct api_send {
    struct link_call call;
    struct api_target target;
    char collapse_key[ROUTE_COLLAPSE_MAX + 1];
    struct api_role *role;
    struct buf *message;
    struct api_topic_send topic;
    const char *key_field; /* where the idempotency key stands, for errors */
    uint64_t began_ms;
    bool validate_only;
    bool asked_again; /* with the same id: the first was not answered */
    api_send_done_fn *done;
    void *owner;
    struct api_error error; /* kind API_ERROR_NONE: accepted */
};

/* Where the idempotency key stands. */
enum api_send_key { API_SEND_KEY_HEADER, API_SEND_KEY_FIELD };

/* Read one message object for that app. key: the header's value, absent when there is none; with API_SEND_KEY_FIELD it is
 * read from the object instead. 0, or negative with send->error set. */
int api_send_read(struct api_send *send, struct api_role *role, const struct snapshot_app *app, struct bytes text,
                  enum api_send_key where, struct bytes key);
/* Hand it to the message role. 0: done(send) runs once, later, with send->error set or not. Negative: it never runs and
 * send->error is set. */
int api_send_submit(struct api_send *send, api_send_done_fn *done, void *owner);
/* Append the answer: {"id":...}, or {"validate_only":true}. */
void api_send_render(const struct api_send *send, struct bytebuf *out);
/* Count what was answered, and the time it took. */
void api_send_count(const struct api_send *send);
/* Give back what it holds; not while it is submitted. */
void api_send_reset(struct api_send *send);

#endif
