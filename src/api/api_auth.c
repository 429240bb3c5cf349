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

static void remember(struct api_conn *conn, struct bytes token, const struct snapshot_key *key)
{
    struct api_auth *auth = &conn->auth;
    if (token.len > sizeof auth->text)
        return;
    memcpy(auth->text, token.ptr, token.len);
    auth->len = token.len;
    auth->snapshot = conn->role->snapshots;
    auth->key = key;
}

/* A key's SHA-256 costs more than the rest of a request's way in, so what the connection showed last is remembered until the
 * registry changes. */
static bool is_remembered(const struct api_conn *conn, struct bytes token)
{
    const struct api_auth *auth = &conn->auth;
    return auth->len > 0 && auth->snapshot == conn->role->snapshots && same_text(token, auth->text, auth->len);
}

/* NULL: the snapshot has no such key. */
static const struct snapshot_key *find_key(struct api_conn *conn, struct bytes token)
{
    if (is_remembered(conn, token))
        return conn->auth.key;
    const struct snapshot_key *key = snapshot_find_key(conn->role->snapshot, token);
    if (key != NULL) {
        remember(conn, token, key);
        api_conn_trusted(conn);
    }
    return key;
}

static const char *scope_name(uint32_t scopes)
{
    return (scopes & SNAPSHOT_SCOPE_READ) != 0 ? "read" : (scopes & SNAPSHOT_SCOPE_SEND) != 0 ? "send" : "admin";
}

static int check_rights(const struct api_conn *conn, const struct snapshot_key *key, uint32_t scopes,
                        struct api_error *error)
{
    if (key->expires_ms != 0 && key->expires_ms <= loop_wall_ms(conn->role->loop))
        return api_error_set(error, API_ERROR_KEY_EXPIRED, NULL, NULL);
    if (key->scopes != 0 && (key->scopes & scopes) == 0)
        return api_error_set(error, API_ERROR_MISSING_SCOPE, NULL,
                             "the key was not given the scope '%s', which this asks for", scope_name(scopes));
    return 0;
}

static int check_key(struct api_conn *conn, struct bytes token, uint32_t scopes, struct bytes app,
                     struct api_caller *caller, struct api_error *error)
{
    const struct snapshot_key *key = find_key(conn, token);
    if (key == NULL) {
        const int err = api_error_set(error, API_ERROR_UNAUTHENTICATED, NULL, "no such API key, or it was revoked");
        return snapshot_may_gain_key(conn->role->snapshot, token) ? API_AUTH_UNKNOWN : err;
    }
    const struct snapshot_app *owner = snapshot_key_app(conn->role->snapshot, key);
    if (app.ptr != NULL && !bytes_equal_str(app, owner->name))
        return api_error_set(error, API_ERROR_FORBIDDEN, "app", NULL);
    *caller = (struct api_caller){.app = owner, .key = key};
    return check_rights(conn, key, scopes, error);
}

static int check_admin(struct api_conn *conn, struct bytes token, struct bytes app, struct api_caller *caller,
                       struct api_error *error)
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    if (token.ptr != NULL) { /* what is shown is judged, whoever shows it */
        digest_sha256(token, digest);
        if (!digest_equal(digest, conn->role->admin_digest))
            return api_error_set(error, API_ERROR_UNAUTHENTICATED, NULL, "this is not the admin token");
        api_conn_trusted(conn);
    }
    caller->by_token = token.ptr != NULL;
    if (app.ptr == NULL || conn->role->registry == NULL)
        return 0;
    caller->app = snapshot_find_app(conn->role->snapshot, app);
    return caller->app != NULL ? 0 : api_error_set(error, API_ERROR_NOT_FOUND, "app", "there is no such app");
}

int api_auth_check(struct api_conn *conn, const struct http_request *request, enum api_access access, uint32_t scopes,
                   struct bytes app, struct api_caller *caller, struct api_error *error)
{
    *caller = (struct api_caller){0};
    if (access == API_ACCESS_OPEN)
        return 0;
    struct bytes token = bearer_token(request);
    if (token.ptr == NULL && !conn->operator.trusted)
        return api_error_set(error, API_ERROR_UNAUTHENTICATED, NULL, NULL);
    if (conn->role->snapshot == NULL && conn->role->registry != NULL)
        return api_error_set(error, API_ERROR_UNAVAILABLE, NULL, "the registry has not been read yet");
    if (conn->role->config.kind == API_ADMIN)
        return check_admin(conn, token, app, caller, error);
    return check_key(conn, token, scopes, app, caller, error);
}
