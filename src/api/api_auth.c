#include "api/api_auth.h"

#include <strings.h>

#define SCHEME "Bearer "

/* The token of "Authorization: Bearer <token>"; absent when the header is missing or of another form. */
static struct bytes bearer_token(const struct http_request *request)
{
    struct bytes value = http_request_header(request, "Authorization");
    const size_t scheme_len = sizeof SCHEME - 1;
    if (value.len <= scheme_len || strncasecmp((const char *)value.ptr, SCHEME, scheme_len) != 0)
        return (struct bytes){NULL, 0};
    return bytes_of(value.ptr + scheme_len, value.len - scheme_len);
}

/* In a time that depends on the lengths only. */
static bool same_text(struct bytes a, const char *b, size_t b_len)
{
    if (a.len != b_len)
        return false;
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < b_len; i++)
        difference = (uint8_t)(difference | (a.ptr[i] ^ (uint8_t)b[i]));
    return difference == 0;
}

static void remember(struct api_conn *conn, struct bytes token, const struct snapshot_app *app)
{
    struct api_auth *auth = &conn->auth;
    if (token.len > sizeof auth->text)
        return;
    memcpy(auth->text, token.ptr, token.len);
    auth->len = token.len;
    auth->snapshot = conn->role->snapshots;
    auth->app = app;
}

/* A key's SHA-256 costs more than the rest of a request's way in, so what the connection showed last is remembered until the
 * registry changes. */
static bool is_remembered(const struct api_conn *conn, struct bytes token)
{
    const struct api_auth *auth = &conn->auth;
    return auth->len > 0 && auth->snapshot == conn->role->snapshots && same_text(token, auth->text, auth->len);
}

static int check_key(struct api_conn *conn, struct bytes token, struct bytes app, const struct snapshot_app **tenant,
                     struct api_error *error)
{
    const struct snapshot_app *owner = conn->auth.app;
    if (!is_remembered(conn, token)) {
        owner = snapshot_find_key(conn->role->snapshot, token);
        if (owner == NULL) {
            const int err = api_error_set(error, API_ERROR_UNAUTHENTICATED, NULL, "no such API key, or it was revoked");
            return snapshot_may_gain_key(conn->role->snapshot, token) ? API_AUTH_UNKNOWN : err;
        }
        remember(conn, token, owner);
        api_conn_trusted(conn);
    }
    if (app.ptr != NULL && !bytes_equal_str(app, owner->name))
        return api_error_set(error, API_ERROR_FORBIDDEN, "app", NULL);
    *tenant = owner;
    return 0;
}

static int check_admin(struct api_conn *conn, struct bytes token, struct bytes app, const struct snapshot_app **tenant,
                       struct api_error *error)
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    digest_sha256(token, digest);
    if (!digest_equal(digest, conn->role->admin_digest))
        return api_error_set(error, API_ERROR_UNAUTHENTICATED, NULL, "this is not the admin token");
    api_conn_trusted(conn);
    if (app.ptr == NULL || conn->role->registry == NULL)
        return 0;
    *tenant = snapshot_find_app(conn->role->snapshot, app);
    return *tenant != NULL ? 0 : api_error_set(error, API_ERROR_NOT_FOUND, "app", "there is no such app");
}

int api_auth_check(struct api_conn *conn, const struct http_request *request, enum api_access access, struct bytes app,
                   const struct snapshot_app **tenant, struct api_error *error)
{
    *tenant = NULL;
    if (access == API_ACCESS_OPEN)
        return 0;
    struct bytes token = bearer_token(request);
    if (token.ptr == NULL)
        return api_error_set(error, API_ERROR_UNAUTHENTICATED, NULL, NULL);
    if (conn->role->snapshot == NULL && conn->role->registry != NULL)
        return api_error_set(error, API_ERROR_UNAVAILABLE, NULL, "the registry has not been read yet");
    if (conn->role->config.kind == API_ADMIN)
        return check_admin(conn, token, app, tenant, error);
    return check_key(conn, token, app, tenant, error);
}
