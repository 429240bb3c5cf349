/* session_door.h: the time before a session is live: caps on sockets without a token and on connects of an address, the CONNECT
 * deadline, the bind's retries. Private to this room.
 *
 * door      what a connection needs only until it is live; then it is freed
 * pressed   more would come in than may be in their handshake at a time
 * address   an address, of IPv6 a network of 64 bits, with sockets that have not shown a token; exists only while it has some */
#ifndef PETREL_SESSION_SESSION_DOOR_H
#define PETREL_SESSION_SESSION_DOOR_H

#include "base/map.h"
#include "base/netaddr.h"
#include "base/rate_table.h"
#include "loop/timer.h"

struct session;
struct session_role;
struct session_address;
struct proxy_header;

struct session_door {
    struct timer
        timer;        /* the CONNECT deadline; later how long the bind may wait, or the wait before it is asked again */
    struct list node; /* in the gate's doors before a valid token; in the window's queue while the bind waits */
    struct session *session;
    struct session_address *address; /* NULL once a valid token was shown, and before a PROXY header that is awaited */
    struct netaddr peer;             /* as a PROXY header said */
    bool has_peer;
    bool counted; /* among the gate's unauthenticated */
    uint32_t
        wait_ms; /* its address has as many connects a second as it may: it is to come again after that; 0: it need not */
    uint32_t binds;   /* times the bind was asked */
    bool maybe_bound; /* one of them was not answered, and may have been carried out */
};

struct session_gate {
    struct map addresses;
    struct rate_table *connects; /* of addresses, by second; NULL: without a limit */
    struct list doors;           /* of sockets without a token, the oldest first */
    uint32_t unauthenticated;
    struct timer press; /* runs while the door is pressed and there is such a socket */
    bool pressed;
    uint32_t refused; /* since it was logged last */
    uint64_t logged_ms;
};

void session_door_init(struct session_role *role);
/* Nothing may be unauthenticated. */
void session_door_reset(struct session_role *role);

/* Whether another socket may wait for its CONNECT. address NULL: it is not known yet. */
bool session_door_admits(struct session_role *role, const uint8_t *address);
/* Give a new session its door: it is counted and its deadline runs. address NULL: session_door_name() follows. What is over the address's
 * connects a second is told so once its first byte says in which words (session_greet.c). */
void session_door_open(struct session *session, const uint8_t *address);
/* Whom the connection is from: as its PROXY header said, else the socket's peer. */
void session_door_peer(const struct session *session, uint8_t key[16]);
/* A PROXY header came: from here on the session is of that address, or of its connection's if the header names none. False: the address
 * has as many sockets as may wait. */
bool session_door_name(struct session *session, const struct proxy_header *header);
/* It has stood in line for its TLS handshake until now: its deadline runs from here. */
void session_door_turn(struct session *session);
/* A valid token was shown: no longer counted, no deadline. */
void session_door_pass(struct session *session);
/* While others wait for its place, a socket has a quarter of the time for its CONNECT: who says nothing keeps nobody out for long. */
void session_door_press(struct session_role *role, bool pressed);
/* Stop and free; nothing happens when it has none. */
void session_door_close(struct session *session);
/* A socket was turned away: log it, at most every ten seconds. */
void session_door_note_refusal(struct session_role *role, const char *why);

#endif
