/* peer_record.h: the lists that travel as one shared buf: sessions of a loop, apps with their keys. Packed with
 * proto/peer.proto's SessionList and Apps. Sans-I/O; any thread. */
#ifndef PETREL_WIRE_PEER_RECORD_H
#define PETREL_WIRE_PEER_RECORD_H

#include "wire/peer.h"

#define PEER_APP_KEYS_MAX 4
#define PEER_APP_PUBLIC_KEYS_MAX 4
#define PEER_SECRET_MAX 64
#define PEER_ORIGINS_MAX 1023

struct peer_session {
    struct route route;
    struct bytes app;
    struct bytes user;
    struct bytes device;
    struct bytes address;
    uint64_t since_ms;
    struct position at;
    uint64_t acked;
    bool behind;
    struct bytes client;
};

/* A key that signs device tokens (HS256). */
struct peer_app_key {
    struct bytes kid;
    struct bytes secret;
};
/* Another key, of which only the public half is known. */
struct peer_public_key {
    struct bytes kid;
    uint32_t algorithm; /* of enum token_algorithm */
    struct bytes der;
};
struct peer_app {
    struct bytes name;
    size_t keys_count;
    struct peer_app_key keys[PEER_APP_KEYS_MAX];
    size_t public_keys_count;
    struct peer_public_key public_keys[PEER_APP_PUBLIC_KEYS_MAX];
    struct bytes origins;         /* of pages whose browsers may connect, by commas; empty: as the node is configured */
    uint32_t connects_per_second; /* 0: likewise */
};

/* Pack count records into a new buf, one reference. */
struct buf *peer_record_pack_sessions(const struct peer_session *sessions, size_t count);
struct buf *peer_record_pack_apps(const struct peer_app *apps, size_t count);

/* Call each(ctx, record) for every record in order; records borrow until it returns. 0 or PETREL_E_PROTOCOL. */
int peer_record_each_session(struct bytes records, void (*each)(void *ctx, const struct peer_session *session),
                             void *ctx);
int peer_record_each_app(struct bytes records, void (*each)(void *ctx, const struct peer_app *app), void *ctx);

#endif
