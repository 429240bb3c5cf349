/* session_identity.h: who a session is for: what its CONNECT said, packed. Private to this room.
 *
 * identity   counted, because calls under way borrow its texts and may outlive the session. It lies in the slab for its size
 * origin     an app and a client library, held once for all the identities that name both
 *
 * One owner thread. */
#ifndef PETREL_SESSION_SESSION_IDENTITY_H
#define PETREL_SESSION_SESSION_IDENTITY_H

#include "base/map.h"
#include "base/netaddr.h"
#include "base/slab.h"
#include "wire/peer_inbox.h"
#include "wire/session.h"
#include "wire/token.h"

struct session_identity {
    uint64_t attempt;
    uint32_t issued_s;  /* of the token */
    uint32_t expires_s; /* the greatest there is: then or later */
    uint32_t since_s;   /* wall clock at CONNECT */
    uint32_t origin;    /* index in its slab */
    uint16_t refs;
    uint8_t user_len;
    uint8_t device_len : 7;
    uint8_t proxied : 1; /* its peer's address is kept, since the connection's is another's */
    char text[];         /* user, device, address */
};

#define SESSION_IDENTITY_ADDRESS_BYTES (NETADDR_IP_BYTES + sizeof(uint16_t))

#define SESSION_IDENTITY_STEP 8U
#define SESSION_IDENTITY_STEPS                                                                                         \
    ((offsetof(struct session_identity, text) + ROUTE_USER_MAX + ROUTE_DEVICE_MAX + SESSION_IDENTITY_ADDRESS_BYTES) /  \
         SESSION_IDENTITY_STEP +                                                                                       \
     1)

struct session_identities {
    struct slab slabs[SESSION_IDENTITY_STEPS]; /* [n]: of objects of (n + 1) steps, from SLAB_OBJECT_MIN on */
    struct slab origins;
    struct map origins_by_text;
};

void session_identity_init(struct session_identities *identities, uint64_t seed);
/* All are given back. */
void session_identity_reset(struct session_identities *identities);
/* As slab_trim(). */
void session_identity_trim(struct session_identities *identities);

/* One reference. peer: where it connects from, NULL: that is the connection's address. */
struct session_identity *session_identity_new(struct session_identities *identities, const struct token_claims *claims,
                                              const struct session_connect *connect, const struct netaddr *peer,
                                              uint64_t now_ms);
struct session_identity *session_identity_ref(struct session_identity *who);
void session_identity_unref(struct session_identity *who);

/* Both borrow from the identity. */
struct peer_target session_identity_target(const struct session_identity *who);
struct bytes session_identity_client(const struct session_identity *who);
/* False: the connection's address is the peer's. */
bool session_identity_peer(const struct session_identity *who, struct netaddr *out);

#endif
