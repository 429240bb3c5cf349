/* session_ack.h: acks, from the frame to the log. They are coalesced: the log gets the newest of them ack_delay_ms later.
 * Private to this room. */
#ifndef PETREL_SESSION_SESSION_ACK_H
#define PETREL_SESSION_SESSION_ACK_H

#include "base/route.h"

struct session;

/* The client acked up to here. An ack of an older epoch is passed over: its seq means other messages now (PROMISE §4). */
void session_ack_read(struct session *session, struct position at);
/* What the log should know: when all that was told is acked, everything up to `at`, which had nothing more for the device. */
uint64_t session_ack_due(const struct session *session);
/* `at` moved without a PUSH, or what is acked is more than the log knows: see that the log hears of it. */
void session_ack_note(struct session *session);
/* Ask the log to note it, if it does not know it yet. */
void session_ack_send(struct session *session);

#endif
