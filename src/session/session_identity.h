/* session_identity.h: who a session is for: what its CONNECT said, in one allocation. Private to this room.
 *
 * Counted, because calls under way borrow its texts and may outlive the session. One owner thread. */
#ifndef PETREL_SESSION_SESSION_IDENTITY_H
#define PETREL_SESSION_SESSION_IDENTITY_H

#include "wire/peer_inbox.h"
#include "wire/session.h"
#include "wire/token.h"

struct session_identity {
    uint32_t refs;
    uint8_t app_len;
    uint8_t user_len;
    uint8_t device_len;
    uint8_t client_len;
    uint64_t attempt;
    uint64_t issued_ms; /* of the token */
    uint64_t expires_s;
    uint64_t since_ms;   /* wall clock at CONNECT */
    uint64_t told_floor; /* losses up to here the device has been told */
    char text[];         /* app, user, device, client */
};

/* One reference. */
struct session_identity *session_identity_new(const struct token_claims *claims, const struct session_connect *connect,
                                              uint64_t now_ms);
struct session_identity *session_identity_ref(struct session_identity *who);
void session_identity_unref(struct session_identity *who);

/* Both borrow from the identity. */
struct peer_target session_identity_target(const struct session_identity *who);
struct bytes session_identity_client(const struct session_identity *who);

#endif
