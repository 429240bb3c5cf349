#include "session/session_auth.h"

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/object.h"
#include "wire/peer_record.h"
#include "wire/websocket_upgrade.h"

#include <ctype.h>
#include <stdlib.h>

#define KID_MAX 64U

struct auth_key {
    struct token_key *key;
    bool is_public;
    char kid[KID_MAX + 1];
};

/* A page's origin, in small letters, that some app names. */
struct auth_origin {
    struct map_node node;
    size_t len;
    char text[];
};

struct auth_app {
    struct map_node node;
    struct session_auth_edge edge;
    char *origins; /* or NULL */
    char name[ROUTE_APP_MAX + 1];
    size_t keys_count;
    struct auth_key keys[PEER_APP_KEYS_MAX + PEER_APP_PUBLIC_KEYS_MAX];
};

struct session_keyring {
    struct map apps;
    struct map origins;
    bool serves_all; /* some app lets pages of any origin */
};

static struct bytes app_name(const struct map_node *node)
{
    return bytes_str(container_of(node, const struct auth_app, node)->name);
}

static struct bytes origin_text(const struct map_node *node)
{
    const struct auth_origin *origin = container_of(node, const struct auth_origin, node);
    return bytes_of(origin->text, origin->len);
}

/* The scheme and host of an origin are the same in capitals. */
static struct auth_origin *origin_new(struct bytes text)
{
    struct auth_origin *origin = object_alloc(sizeof *origin + text.len);
    origin->len = text.len;
    for (size_t i = 0; i < text.len; i++)
        origin->text[i] = (char)tolower(text.ptr[i]);
    return origin;
}

static void add_origins(struct session_keyring *keyring, struct auth_app *app, struct bytes list)
{
    if (list.len == 0)
        return;
    app->origins = object_strndup((const char *)list.ptr, list.len);
    app->edge.origins = app->origins;
    while (list.len > 0) {
        const struct bytes word = websocket_upgrade_next_origin(&list);
        keyring->serves_all = keyring->serves_all || bytes_equal_str(word, "*");
        struct auth_origin *origin = origin_new(word);
        if (map_find(&keyring->origins, origin_text(&origin->node)) == NULL)
            map_insert(&keyring->origins, &origin->node);
        else
            free(origin);
    }
}

static void app_free(struct auth_app *app)
{
    rate_meter_unref(app->edge.connects);
    free(app->origins);
    for (size_t i = 0; i < app->keys_count; i++)
        token_key_free(&app->keys[i].key);
    free(app);
}

/* key is taken; NULL: it was none. */
static void add_key(struct auth_app *app, struct bytes kid, struct token_key *key, bool is_public)
{
    if (key == NULL) {
        log_at(LOG_ERROR, "session", "a token key of an app is unusable", LOG_STR("app", app->name));
        return;
    }
    struct auth_key *to = &app->keys[app->keys_count++];
    to->key = key;
    to->is_public = is_public;
    petrel_assert(kid.len <= KID_MAX);
    if (kid.len > 0)
        memcpy(to->kid, kid.ptr, kid.len);
}

static void add_app(void *ctx, const struct peer_app *from)
{
    struct session_keyring *keyring = ctx;
    if (!route_valid_app(from->name) || map_find(&keyring->apps, from->name) != NULL) {
        log_event(LOG_ERROR, "session", "an app in the list of apps has no valid name of its own");
        return;
    }
    struct auth_app *app = object_zalloc(sizeof *app);
    memcpy(app->name, from->name.ptr, from->name.len);
    for (size_t i = 0; i < from->keys_count && i < PEER_APP_KEYS_MAX; i++) {
        const struct peer_app_key *key = &from->keys[i];
        add_key(app, key->kid, token_key_new(key->kid, key->secret), false);
    }
    for (size_t i = 0; i < from->public_keys_count && i < PEER_APP_PUBLIC_KEYS_MAX; i++) {
        const struct peer_public_key *key = &from->public_keys[i];
        const bool known = key->algorithm == TOKEN_ES256 || key->algorithm == TOKEN_RS256;
        add_key(app, key->kid,
                known ? token_key_new_public(key->kid, (enum token_algorithm)key->algorithm, key->der) : NULL, true);
    }
    app->edge.connects_per_second = from->connects_per_second;
    app->edge.connects = rate_meter_new();
    add_origins(keyring, app, from->origins);
    map_insert(&keyring->apps, &app->node);
}

struct session_keyring *session_auth_keyring_new(struct bytes records, struct rng *rng)
{
    struct session_keyring *keyring = object_zalloc(sizeof *keyring);
    map_init(&keyring->apps, app_name, rng_u64(rng));
    map_init(&keyring->origins, origin_text, rng_u64(rng));
    if (peer_record_each_app(records, add_app, keyring) != 0)
        session_auth_keyring_free(&keyring);
    return keyring;
}

void session_auth_keyring_free(struct session_keyring **inside)
{
    struct session_keyring *keyring = *inside;
    if (keyring == NULL)
        return;
    for (struct map_node *node; (node = map_take_any(&keyring->apps)) != NULL;)
        app_free(container_of(node, struct auth_app, node));
    for (struct map_node *node; (node = map_take_any(&keyring->origins)) != NULL;)
        free(container_of(node, struct auth_origin, node));
    map_reset(&keyring->apps);
    map_reset(&keyring->origins);
    free(keyring);
    *inside = NULL;
}

const struct session_auth_edge *session_auth_edge(const struct session_keyring *keyring, struct bytes app)
{
    const struct map_node *node = map_find(&keyring->apps, app);
    return node != NULL ? &container_of(node, const struct auth_app, node)->edge : NULL;
}

bool session_auth_serves_origin(const struct session_keyring *keyring, struct bytes origin)
{
    if (keyring == NULL || keyring->serves_all)
        return keyring != NULL;
    struct auth_origin *wanted = origin_new(origin);
    const bool serves = map_find(&keyring->origins, origin_text(&wanted->node)) != NULL;
    free(wanted);
    return serves;
}

void session_auth_go_on(struct session_keyring *keyring, const struct session_keyring *before)
{
    for (struct map_node *node = before != NULL ? map_next(&keyring->apps, NULL) : NULL; node != NULL;
         node = map_next(&keyring->apps, node)) {
        struct session_auth_edge *edge = &container_of(node, struct auth_app, node)->edge;
        const struct session_auth_edge *was = session_auth_edge(before, app_name(node));
        if (was == NULL)
            continue;
        rate_meter_unref(edge->connects);
        edge->connects = rate_meter_ref(was->connects);
    }
}

bool session_auth_knows(const struct session_keyring *keyring, struct bytes app)
{
    return map_find(&keyring->apps, app) != NULL;
}

bool session_auth_lacks(const struct session_keyring *after, const struct session_keyring *before)
{
    for (const struct map_node *node = map_next(&before->apps, NULL); node != NULL;
         node = map_next(&before->apps, node)) {
        if (!session_auth_knows(after, app_name(node)))
            return true;
    }
    return false;
}

static uint32_t refuse(uint32_t code, const char *text, const char **why)
{
    *why = text;
    return code;
}

/* What token_check() said of the key that the token named, or of all that could have signed it. */
static uint32_t code_of(int rc, const struct token_reading *reading, uint64_t now_s, const char **why)
{
    if (rc == 0)
        return 0;
    if (rc != PETREL_E_EXPIRED)
        return refuse(SESSION_CODE_TOKEN_INVALID,
                      "the token's signature is wrong, or of another algorithm than the key's", why);
    if (reading->claims.expires_s + TOKEN_LEEWAY_S < now_s)
        return refuse(SESSION_CODE_TOKEN_EXPIRED, NULL, why);
    return refuse(SESSION_CODE_TOKEN_EXPIRED,
                  "the token is not valid yet: its iat or nbf is ahead of the server's clock", why);
}

/* By the key that the token names; a token that names none may be signed with any of the app's secrets. Not with its public keys:
 * checks with those are dear, and so there is one to a CONNECT at most. */
static uint32_t check_with(const struct auth_app *app, struct bytes token, const struct token_reading *reading,
                           uint64_t now_s, const char **why)
{
    int rc = PETREL_E_UNAUTHENTICATED;
    size_t tried = 0;
    if (reading->kid[0] == '\0' && reading->algorithm != TOKEN_HS256)
        return refuse(SESSION_CODE_TOKEN_INVALID, "a token that is not HS256 must name its key by kid", why);
    for (size_t i = 0; i < app->keys_count && rc == PETREL_E_UNAUTHENTICATED; i++) {
        const struct auth_key *key = &app->keys[i];
        if (reading->kid[0] == '\0' ? key->is_public : strcmp(reading->kid, key->kid) != 0)
            continue;
        rc = token_check(key->key, token, reading, now_s);
        tried++;
    }
    if (tried == 0)
        return refuse(SESSION_CODE_TOKEN_INVALID, "the app has no key of the token's kid", why);
    return code_of(rc, reading, now_s, why);
}

uint32_t session_auth_verify(const struct session_keyring *keyring, struct bytes token, uint64_t now_s,
                             struct metrics_shard *metrics, struct token_claims *out, const char **why)
{
    struct token_reading reading;
    *why = NULL;
    if (token_read(token, &reading) != 0)
        return refuse(SESSION_CODE_TOKEN_INVALID,
                      "the token is no JWT with a known alg and the claims that are asked for", why);
    if (keyring == NULL)
        return SESSION_CODE_UNAVAILABLE;
    const struct map_node *node = map_find(&keyring->apps, bytes_str(reading.claims.app));
    if (node == NULL)
        return SESSION_CODE_UNKNOWN_APP;
    *out = reading.claims;
    if (reading.algorithm != TOKEN_HS256)
        metrics_add(metrics, METRIC_TOKENS_PUBLIC, 1);
    return check_with(container_of(node, const struct auth_app, node), token, &reading, now_s, why);
}
