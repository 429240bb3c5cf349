/* admin.h: the admin API of a server, one request at a time, over libcurl. Errors are said on standard error: what, where, what to do.
 *
 * Where the server is: --admin, else PETREL_ADMIN, else what petreld.json in the data directory says: the Unix socket where this user may open
 * it, else the address. Through a socket no token is shown, unless --token-file names one; else it is read from there, or from admin.token
 * in the data directory. */
#ifndef PETREL_PETRELCTL_ADMIN_H
#define PETREL_PETRELCTL_ADMIN_H

#include "petrelctl/invocation.h"

#include <jansson.h>

struct admin;

/* Finds the server and reads the token; connects to nothing yet. COMMAND_OK, COMMAND_USAGE, COMMAND_FAILED (token), COMMAND_UNREACHABLE
 * (no server runs on the data directory). admin_close(NULL inside) is fine. */
enum command_exit admin_open(struct admin **out, const struct invocation *call);
void admin_close(struct admin **admin);

/* A request and its answer. path is a format whose only conversion is %s, a text that becomes one percent-encoded segment or query
 * value. body: sent as JSON; taken over; NULL: none. *answer gets the answer's JSON, for the caller to json_decref(); NULL: not
 * wanted. On any other code than COMMAND_OK *answer is NULL and the reason has been said. */
enum command_exit admin_request(struct admin *admin, const char *method, json_t *body, json_t **answer,
                                const char *path, ...) __attribute__((format(printf, 5, 6)));

/* How long a request may take, in place of 10 s, when --timeout does not say. */
void admin_patience(struct admin *admin, uint64_t ms);

/* A header for the next request only. */
void admin_header(struct admin *admin, const char *name, const char *value);

/* All pages of a list: the arrays under `key` in one. path as above, and may hold a query. limit: so many at most; 0: all. */
enum command_exit admin_list(struct admin *admin, const char *key, uint64_t limit, json_t **rows, const char *path, ...)
    __attribute__((format(printf, 5, 6)));

/* Where the server answers lookups, "host:port", without the token. NULL: only a socket is known of it, or it is not plain HTTP at the top of a host. */
const char *admin_lookup(const struct admin *admin);

/* The data directory in force: --data-dir, PETREL_DATA_DIR, /var/lib/petrel. Borrowed from call or environment. */
const char *admin_data_dir(const struct invocation *call);

#endif
