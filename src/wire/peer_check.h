/* peer_check.h: the entries of a CHECK, packed as proto/peer.proto's Belief: what a session role writes, a link carries and a store
 * reads, without unpacking it on the way. Sans-I/O; any thread. */
#ifndef PETREL_WIRE_PEER_CHECK_H
#define PETREL_WIRE_PEER_CHECK_H

#include "wire/peer_inbox.h"

/* Append what one session believes. Its texts are copied; of its route only slot and generation go in. */
void peer_check_put(struct bytebuf *entries, const struct peer_check *check);
/* Take the entry at the front of *rest, which is what is left of checks->entries; its texts borrow from there. 0, or
 * PETREL_E_PROTOCOL: there is no whole entry, or a part is missing that it means nothing without. */
int peer_check_take(const struct peer_checks *checks, struct bytes *rest, struct peer_check *out);

/* The body of CHECK. */
void peer_check_encode(struct bytebuf *out, const struct peer_checks *checks);
/* Borrows. 0, or PETREL_E_PROTOCOL: no such body; none or more than PEER_CHECKS_MAX entries; one that peer_check_take() would not
 * take, or whose texts are over their limits or have control characters. */
int peer_check_decode(struct bytes body, struct peer_checks *out);

#endif
