/* api_exchange.h: one request and its answer. Private to this room.
 *
 * A handler starts with the request at hand, which is gone when it returns. It answers at once, or begins one operation
 * (call, registry, ...) whose callback answers later; until then the exchange stays, also when its connection goes. */
#ifndef PETREL_API_API_EXCHANGE_H
#define PETREL_API_API_EXCHANGE_H

#include "api/api_address.h"
#include "api/api_conn.h"
#include "api/api_error.h"

#define API_EXCHANGE_MAGIC OBJECT_MAGIC('A', 'X', 'C', 'H')
#define API_EXCHANGE_ALLOW_MAX 32
/* A handler's state up to this size lies in a slab: that of a send does. */
#define API_EXCHANGE_STATE_MAX 1600

struct api_route;
struct api_audit;

struct api_exchange {
    uint32_t magic;
    struct api_role *role;
    struct api_conn *conn; /* NULL when it has gone */
    struct list node;
    const struct api_route *route; /* NULL when there is none */
    struct api_target target;      /* {app}, {user}, {device} of the path */
    uint32_t stream;               /* of HTTP/2; 0: of HTTP/1.1 */
    bool head_only;
    bool answered;

    /* one operation at a time */
    struct link_call call;
    struct registry_request registry;
    void *state; /* the handler's, see api_exchange_state() */
    void (*drop_state)(void *state);
    bool state_is_large;     /* it has memory of its own */
    struct api_audit *audit; /* NULL: it is not written down */

    /* the answer */
    unsigned status;
    enum api_error_kind error;
    uint32_t retry_after_s;
    const char *content_type;
    char allow[API_EXCHANGE_ALLOW_MAX];
    struct bytebuf body;
};

/* What a handler is shown. */
struct api_request {
    const struct http_request *http;
    struct bytes id;                /* {id} of the path, decoded */
    const struct snapshot_app *app; /* {app}; valid until the handler returns */
    const struct snapshot_key *key; /* that was shown; NULL: the admin token; likewise */
};
typedef void api_handler_fn(struct api_exchange *exchange, const struct api_request *request);

/* The role's memory for exchanges; reset when none is left. */
void api_exchange_slabs_init(struct api_role *role);
void api_exchange_slabs_reset(struct api_role *role);

/* At the end of the connection's queue. request NULL: it was refused, and is not to be looked at; stream as in the exchange. */
struct api_exchange *api_exchange_new(struct api_conn *conn, const struct http_request *request, uint32_t stream);
/* The connection has gone: the answer goes nowhere. */
void api_exchange_orphan(struct api_exchange *exchange);
/* Once answered: what to write; it borrows from the exchange. */
struct http_response api_exchange_response(const struct api_exchange *exchange, bool keep_alive);
void api_exchange_free(struct api_exchange *exchange);

/* Zeroed memory that lives as long as the exchange; drop, which may be NULL, is called before it is freed. Once. */
void *api_exchange_state(struct api_exchange *exchange, size_t size, void (*drop)(void *state));

/* Answer with exchange->body, which holds JSON. The exchange may be gone afterwards. */
void api_exchange_answer(struct api_exchange *exchange, unsigned status);
/* The same with a body of another type. */
void api_exchange_answer_as(struct api_exchange *exchange, unsigned status, const char *content_type);
/* It was written down (api_audit.h): the answer goes out. */
void api_exchange_release(struct api_exchange *exchange);
void api_exchange_fail(struct api_exchange *exchange, const struct api_error *error);
/* The table's text of that error; field may be NULL. */
void api_exchange_refuse(struct api_exchange *exchange, enum api_error_kind kind, const char *field);
/* As api_error_from(). */
void api_exchange_fail_err(struct api_exchange *exchange, int err, bool wrote, const char *field);

/* Ask through exchange->call, whose `in` is filled; a refusal is answered here. */
void api_exchange_ask(struct api_exchange *exchange, link_done_fn *done);
struct api_exchange *api_exchange_of_call(struct link_call *call);
/* Run an operation of the registry on exchange->registry, whose `in` is filled; a refusal is answered here. */
void api_exchange_registry(struct api_exchange *exchange, int (*op)(struct registry *, struct registry_request *),
                           registry_done_fn *done);
struct api_exchange *api_exchange_of_registry(struct registry_request *request);

#endif
