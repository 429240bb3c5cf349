/* relay.h: a TCP relay on the loopback address, to hold up a connection without either side's help. */
#ifndef PETREL_TESTS_RELAY_H
#define PETREL_TESTS_RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct relay;

/* Pass what comes to relay_port() on to that port of the loopback address, and back, on a thread of its own. NULL: no socket. */
struct relay *relay_open(uint16_t to_port);
void relay_close(struct relay *relay);
uint16_t relay_port(const struct relay *relay);
/* Hold: nothing passes, nothing is closed: the other side hangs. Until let go; then what was sent meanwhile arrives. Returns once it
 * is so. */
void relay_hold(struct relay *relay, bool held);

#endif
