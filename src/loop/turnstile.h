/* turnstile.h: work that would keep others waiting is done by so many loops at a time. Where there are more loops than cores, more at
 * once make it no faster, and every other message waits for its turn among them all. Loops that wait are let in in order. */
#ifndef PETREL_LOOP_TURNSTILE_H
#define PETREL_LOOP_TURNSTILE_H

#include "loop/loop.h"

struct turnstile;
struct turnstile_pass; /* of one kind of work on one loop */

/* width: loops that are in at a time, 1 or more. Outlives its passes and their loops. */
struct turnstile *turnstile_new(unsigned width);
/* NULL inside is fine. */
void turnstile_free(struct turnstile **inside);

/* let_in(ctx) runs on the loop whenever turnstile_enter() has not let it in at once. */
struct turnstile_pass *turnstile_join(struct turnstile *turnstile, struct loop *loop, void (*let_in)(void *ctx),
                                      void *ctx);
/* Wherever it is; let_in() is not called afterwards. NULL inside is fine. */
void turnstile_part(struct turnstile_pass **inside);

/* These on the loop's thread. Whether it is in; else it is in line, once, and let_in() follows. */
bool turnstile_enter(struct turnstile_pass *pass);
/* It is in and others are in line: leave soon. */
bool turnstile_is_wanted(const struct turnstile_pass *pass);
/* Out, if it was in. */
void turnstile_leave(struct turnstile_pass *pass);

#endif
