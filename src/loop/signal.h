/* signal.h: signals as callbacks on the main loop. */
#ifndef PETREL_LOOP_SIGNAL_H
#define PETREL_LOOP_SIGNAL_H

#include "loop/loop.h"

struct signal_watch;

/* Call on_signal(ctx, signum) on the loop whenever the process gets the signal. Main loop only, before other threads run. 0 or PETREL_E_IO. */
int signal_watch_open(struct signal_watch **out, struct loop *loop, int signum,
                      void (*on_signal)(void *ctx, int signum), void *ctx);
void signal_watch_close(struct signal_watch **watch);

#endif
