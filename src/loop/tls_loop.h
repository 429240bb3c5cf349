/* tls_loop.h: what the TLS connections of a loop share, and whose turn it is to begin. Private to this room.
 *
 * A handshake costs a server 42 KB and 0.2 ms of CPU, so no more of them are under way, and begin in a second, than the limits
 * say, and only a few of them begin in one turn: the sessions that are there do not wait for a storm of new ones. Who comes while it
 * is full waits in line, for a bounded time. */
#ifndef PETREL_LOOP_TLS_LOOP_H
#define PETREL_LOOP_TLS_LOOP_H

#include "loop/tls_impl.h"

/* The loop's; made when there is none. */
struct tls_loop *tls_loop_of(struct loop *loop);
/* No connection is left. NULL inside is fine. */
void tls_loop_free(struct tls_loop **tls);
/* Give back what a storm of handshakes took. NULL is fine. */
void tls_loop_trim(struct tls_loop *tls);

/* Get in line. stream_tls_begin() is called for the talk's stream when its turn has come, or it has waited for too long, never from
 * within. */
void tls_loop_wait(struct tls_loop *tls, struct tls_talk *talk);
/* A handshake is over: the next may begin. */
void tls_loop_note_ended(struct tls_loop *tls);
/* Who waited does so no more. */
void tls_loop_leave(struct tls_loop *tls, struct tls_talk *talk);

#endif
