/* session_penalty.h: addresses from which tokens came that were none. Private to this room.
 *
 * address   of IPv6 the network, its first 64 bits: the rest is its owner's to choose
 *
 * Behind one address may be many: the first bad tokens cost nothing, each good one makes up for a bad one, and what is left is
 * forgotten. Beyond that each bad token has the address wait, longer each time; a CONNECT that comes meanwhile is told to come again
 * after that, before its token is looked at. */
#ifndef PETREL_SESSION_SESSION_PENALTY_H
#define PETREL_SESSION_SESSION_PENALTY_H

#include "base/list.h"
#include "base/map.h"

struct session_role;

#define SESSION_PENALTY_FIRST_MS 1000U
#define SESSION_PENALTY_MOST_MS 60000U
#define SESSION_PENALTY_FORGET_MS 600000U   /* after the last bad token */
#define SESSION_PENALTY_ADDRESSES_MAX 4096U /* of a loop; the one that was quiet for longest makes room */

struct session_penalties {
    struct map by_address;
    struct list by_age; /* of the last bad token, the oldest first */
};

void session_penalty_init(struct session_role *role);
void session_penalty_reset(struct session_role *role);

/* How long the address is to wait; 0: it need not. */
uint32_t session_penalty_wait_ms(struct session_role *role, const uint8_t address[16]);
/* It showed a token that is none, or one that is good. */
void session_penalty_bad(struct session_role *role, const uint8_t address[16]);
void session_penalty_good(struct session_role *role, const uint8_t address[16]);

#endif
