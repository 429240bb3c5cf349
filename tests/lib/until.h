/* until.h: wait on a condition, bounded in time. */
#ifndef PETREL_TESTS_UNTIL_H
#define PETREL_TESTS_UNTIL_H

#include <stdbool.h>
#include <stdint.h>

/* Ask the condition again and again, some milliseconds apart, until it holds or timeout_ms are over. Whether it held. */
bool until(bool (*condition)(void *ctx), void *ctx, unsigned timeout_ms);
/* Milliseconds that only grow. */
uint64_t until_now_ms(void);

#endif
