#include "session/session_identity.h"

#include "base/object.h"

#define ROUTE_DEVICE_BITS 0x7fU
_Static_assert(ROUTE_DEVICE_MAX <= ROUTE_DEVICE_BITS, "its length takes seven bits");

/* The app's length stands before the texts, so that no two pairs read the same. */
struct origin {
    struct map_node node;
    uint32_t identities;
    uint8_t client_len;
    uint8_t app_len;
    char text[ROUTE_APP_MAX + SESSION_CLIENT_MAX]; /* app, client */
};

static struct bytes key_of(const struct origin *origin)
{
    return bytes_of(&origin->app_len, 1U + origin->app_len + origin->client_len);
}

static struct bytes origin_key(const struct map_node *node)
{
    return key_of(container_of(node, const struct origin, node));
}

static size_t whole_steps(size_t size)
{
    return (size + SESSION_IDENTITY_STEP - 1) / SESSION_IDENTITY_STEP * SESSION_IDENTITY_STEP;
}

static uint32_t seconds(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

void session_identity_init(struct session_identities *identities, uint64_t seed)
{
    for (size_t i = 0; i < SESSION_IDENTITY_STEPS; i++) {
        size_t size = (i + 1) * SESSION_IDENTITY_STEP;
        if (size >= SLAB_OBJECT_MIN)
            slab_init(&identities->slabs[i], size, identities);
    }
    slab_init(&identities->origins, whole_steps(sizeof(struct origin)), identities);
    map_init(&identities->origins_by_text, origin_key, seed);
}

void session_identity_reset(struct session_identities *identities)
{
    for (size_t i = 0; i < SESSION_IDENTITY_STEPS; i++)
        slab_reset(&identities->slabs[i]);
    slab_reset(&identities->origins);
    map_reset(&identities->origins_by_text);
}

void session_identity_trim(struct session_identities *identities)
{
    for (size_t i = 0; i < SESSION_IDENTITY_STEPS; i++)
        slab_trim(&identities->slabs[i]);
    slab_trim(&identities->origins);
}

static void put_text(char *place, struct bytes text)
{
    if (text.len > 0)
        memcpy(place, text.ptr, text.len);
}

static struct origin *take_origin(struct session_identities *identities, struct bytes app, struct bytes client)
{
    petrel_assert(app.len <= ROUTE_APP_MAX && client.len <= SESSION_CLIENT_MAX);
    struct origin wanted = {.app_len = (uint8_t)app.len, .client_len = (uint8_t)client.len};
    put_text(wanted.text, app);
    put_text(wanted.text + app.len, client);
    struct map_node *node = map_find(&identities->origins_by_text, key_of(&wanted));
    struct origin *origin;
    if (node != NULL) {
        origin = container_of(node, struct origin, node);
    } else {
        origin = slab_take(&identities->origins);
        *origin = wanted;
        map_insert(&identities->origins_by_text, &origin->node);
    }
    origin->identities++;
    return origin;
}

static void give_origin(struct session_identities *identities, struct origin *origin)
{
    if (--origin->identities > 0)
        return;
    map_remove(&identities->origins_by_text, &origin->node);
    slab_give(origin);
}

static struct origin *origin_of(const struct session_identity *who)
{
    const struct session_identities *identities = slab_keeper(who);
    return slab_at(&identities->origins, who->origin);
}

/* Behind the texts, and so not aligned. */
static void put_address(struct session_identity *who, const struct netaddr *peer)
{
    char *place = who->text + who->user_len + who->device_len;
    who->proxied = 1;
    memcpy(place, peer->ip, NETADDR_IP_BYTES);
    memcpy(place + NETADDR_IP_BYTES, &peer->port, sizeof peer->port);
}

bool session_identity_peer(const struct session_identity *who, struct netaddr *out)
{
    if (!who->proxied)
        return false;
    const char *place = who->text + who->user_len + who->device_len;
    memcpy(out->ip, place, NETADDR_IP_BYTES);
    memcpy(&out->port, place + NETADDR_IP_BYTES, sizeof out->port);
    return true;
}

struct session_identity *session_identity_new(struct session_identities *identities, const struct token_claims *claims,
                                              const struct session_connect *connect, const struct netaddr *peer,
                                              uint64_t now_ms)
{
    struct bytes user = bytes_str(claims->user);
    struct bytes device = bytes_str(claims->device);
    petrel_assert(user.len <= ROUTE_USER_MAX && device.len <= ROUTE_DEVICE_MAX);
    const size_t address_len = peer != NULL ? SESSION_IDENTITY_ADDRESS_BYTES : 0;
    size_t size = whole_steps(offsetof(struct session_identity, text) + user.len + device.len + address_len);
    size = size > SLAB_OBJECT_MIN ? size : SLAB_OBJECT_MIN;
    struct session_identity *who = slab_take(&identities->slabs[size / SESSION_IDENTITY_STEP - 1]);
    who->refs = 1;
    who->attempt = connect->attempt;
    who->issued_s = seconds(claims->issued_s);
    who->expires_s = seconds(claims->expires_s);
    who->since_s = seconds(now_ms / 1000);
    who->origin = slab_index(take_origin(identities, bytes_str(claims->app), connect->client));
    who->user_len = (uint8_t)user.len;
    who->device_len = device.len & ROUTE_DEVICE_BITS;
    put_text(who->text, user);
    put_text(who->text + user.len, device);
    if (peer != NULL)
        put_address(who, peer);
    return who;
}

struct session_identity *session_identity_ref(struct session_identity *who)
{
    petrel_assert(who->refs < UINT16_MAX);
    who->refs++;
    return who;
}

void session_identity_unref(struct session_identity *who)
{
    if (who == NULL)
        return;
    petrel_assert(who->refs > 0);
    if (--who->refs > 0)
        return;
    give_origin(slab_keeper(who), origin_of(who));
    slab_give(who);
}

struct peer_target session_identity_target(const struct session_identity *who)
{
    const struct origin *origin = origin_of(who);
    return (struct peer_target){
        .app = bytes_of(origin->text, origin->app_len),
        .user = bytes_of(who->text, who->user_len),
        .device = bytes_of(who->text + who->user_len, who->device_len),
    };
}

struct bytes session_identity_client(const struct session_identity *who)
{
    const struct origin *origin = origin_of(who);
    return bytes_of(origin->text + origin->app_len, origin->client_len);
}
