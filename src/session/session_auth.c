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
    char kid[KID_MAX + 1];
};

struct auth_app {
    struct map_node node;
    char name[ROUTE_APP_MAX + 1];
    size_t keys_count;
    struct auth_key keys[PEER_APP_KEYS_MAX];
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

static void add_key(struct auth_app *app, const struct peer_app_key *from)
{
    struct token_key *key = from->kid.len <= KID_MAX ? token_key_new(from->kid, from->secret) : NULL;
    if (key == NULL) {
        log_at(LOG_ERROR, "session", "a token key of an app is unusable", LOG_STR("app", app->name));
        return;
    }
    struct auth_key *to = &app->keys[app->keys_count++];
    to->key = key;
    if (from->kid.len > 0)
        memcpy(to->kid, from->kid.ptr, from->kid.len);
    to->kid[from->kid.len] = '\0';
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
    for (size_t i = 0; i < from->keys_count && i < PEER_APP_KEYS_MAX; i++)
        add_key(app, &from->keys[i]);
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

static uint32_t code_of(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case PETREL_E_EXPIRED:
        return SESSION_CODE_TOKEN_EXPIRED;
    default:
        return SESSION_CODE_TOKEN_INVALID;
    }
}

/* By the key that the token names; a token that names none may be signed with any of the app's. */
static uint32_t check_with(const struct auth_app *app, struct bytes token, const struct token_reading *reading,
                           uint64_t now_s)
{
    int rc = PETREL_E_UNAUTHENTICATED;
    for (size_t i = 0; i < app->keys_count && rc == PETREL_E_UNAUTHENTICATED; i++) {
        if (reading->kid[0] == '\0' || strcmp(reading->kid, app->keys[i].kid) == 0)
            rc = token_check(app->keys[i].key, token, reading, now_s);
    }
    return code_of(rc);
}

uint32_t session_auth_verify(const struct session_keyring *keyring, struct bytes token, uint64_t now_s,
                             struct token_claims *out)
{
    struct token_reading reading;
    if (token_read(token, &reading) != 0)
        return SESSION_CODE_TOKEN_INVALID;
    if (keyring == NULL)
        return SESSION_CODE_UNAVAILABLE;
    const struct map_node *node = map_find(&keyring->apps, bytes_str(reading.claims.app));
    if (node == NULL)
        return SESSION_CODE_UNKNOWN_APP;
    *out = reading.claims;
    return check_with(container_of(node, const struct auth_app, node), token, &reading, now_s);
}
