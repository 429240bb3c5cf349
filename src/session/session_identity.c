#include "session/session_identity.h"

#include "base/object.h"

#include <stdlib.h>

struct session_identity *session_identity_new(const struct token_claims *claims, const struct session_connect *connect,
                                              uint64_t now_ms)
{
    struct bytes parts[] = {bytes_str(claims->app), bytes_str(claims->user), bytes_str(claims->device),
                            connect->client};
    size_t len = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        petrel_assert(parts[i].len <= UINT8_MAX);
        len += parts[i].len;
    }
    struct session_identity *who = object_alloc(sizeof *who + len);
    *who = (struct session_identity){
        .refs = 1,
        .app_len = (uint8_t)parts[0].len,
        .user_len = (uint8_t)parts[1].len,
        .device_len = (uint8_t)parts[2].len,
        .client_len = (uint8_t)parts[3].len,
        .attempt = connect->attempt,
        .issued_ms = claims->issued_s * 1000,
        .expires_s = claims->expires_s,
        .since_ms = now_ms,
    };
    char *place = who->text;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len > 0)
            memcpy(place, parts[i].ptr, parts[i].len);
        place += parts[i].len;
    }
    return who;
}

struct session_identity *session_identity_ref(struct session_identity *who)
{
    who->refs++;
    return who;
}

void session_identity_unref(struct session_identity *who)
{
    if (who == NULL)
        return;
    petrel_assert(who->refs > 0);
    if (--who->refs == 0)
        free(who);
}

struct peer_target session_identity_target(const struct session_identity *who)
{
    const char *user = who->text + who->app_len;
    const char *device = user + who->user_len;
    return (struct peer_target){
        .app = bytes_of(who->text, who->app_len),
        .user = bytes_of(user, who->user_len),
        .device = bytes_of(device, who->device_len),
    };
}

struct bytes session_identity_client(const struct session_identity *who)
{
    return bytes_of(who->text + who->app_len + who->user_len + who->device_len, who->client_len);
}
