/* api_auth.h: who may do what: an app's own API keys for the app, the admin token for everything, and so
 * who comes through the admin socket and is one of the operators. Private to this room. */
#ifndef PETREL_API_API_AUTH_H
#define PETREL_API_API_AUTH_H

#include "api/api_conn.h"
#include "api/api_error.h"

enum api_access {
    API_ACCESS_OPEN,  /* anyone, on both listeners */
    API_ACCESS_APP,   /* one of the app's keys; on the admin listener an operator */
    API_ACCESS_ADMIN, /* an operator, on the admin listener */
};

#define API_AUTH_UNKNOWN 1

/* Who asks. Both NULL where nobody in particular does; valid as long as the role's snapshot is. */
struct api_caller {
    const struct snapshot_app *app; /* the path's; NULL when it names none, or where there is no registry */
    const struct snapshot_key *key; /* NULL: an operator */
    bool by_token;                  /* an operator that showed the admin token; else the socket told who it is */
};

/* Judge the request's Authorization header. app is the path's; absent when the path names none. scopes: of enum snapshot_scope, any of
 * which a key must have. 0, with *caller; else *error: UNAUTHENTICATED; KEY_EXPIRED; FORBIDDEN, whether or not there is such an app;
 * MISSING_SCOPE; NOT_FOUND, to the admin only; UNAVAILABLE before the first snapshot. API_AUTH_UNKNOWN, with *error as for UNAUTHENTICATED: a key of which the
 * snapshot has not heard, so that a newer one may know it. */
int api_auth_check(struct api_conn *conn, const struct http_request *request, enum api_access access, uint32_t scopes,
                   struct bytes app, struct api_caller *caller, struct api_error *error);

#endif
