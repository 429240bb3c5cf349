#include "session/session_auth.h"

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/object.h"
#include "wire/peer_record.h"

#include <stdlib.h>

#define KID_MAX 64U

struct auth_key {
    struct token_key *key;
    bool is_public;
    char kid[KID_MAX + 1];
};

struct auth_app {
    struct map_node node;
    char name[ROUTE_APP_MAX + 1];
    size_t keys_count;
    struct auth_key keys[PEER_APP_KEYS_MAX + PEER_APP_PUBLIC_KEYS_MAX];
};

struct session_keyring {
    struct map apps;
};

static struct bytes app_name(const struct map_node *node)
{
    return bytes_str(container_of(node, const struct auth_app, node)->name);
}

static void app_free(struct auth_app *app)
{
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
    map_insert(&keyring->apps, &app->node);
}

struct session_keyring *session_auth_keyring_new(struct bytes records, struct rng *rng)
{
    struct session_keyring *keyring = object_zalloc(sizeof *keyring);
    map_init(&keyring->apps, app_name, rng_u64(rng));
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
    map_reset(&keyring->apps);
    free(keyring);
    *inside = NULL;
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
