/* human.h: times, spans and sizes as people read them, each written into out, which is returned; and text that is safe to show. */
#ifndef PETREL_PETRELCTL_HUMAN_H
#define PETREL_PETRELCTL_HUMAN_H

#include "base/bytes.h"

#define HUMAN_SIZE 40

/* "2026-01-31 12:34:56" in the local time zone, the other with ".789" behind; "-" for 0. */
char *human_time(uint64_t wall_ms, char out[HUMAN_SIZE]);
char *human_time_ms(uint64_t wall_ms, char out[HUMAN_SIZE]);
/* "350 ms", "12 s", "3 min 20 s", "5 h 2 min", "9 d 4 h": the two greatest units. */
char *human_span(uint64_t ms, char out[HUMAN_SIZE]);
/* "512 B", "1.5 KiB", "3.2 GiB" */
char *human_bytes(uint64_t bytes, char out[HUMAN_SIZE]);

/* The text with '?' for every control character and malformed byte, so that nothing in it steers the terminal. The caller frees it. */
char *human_safe(struct bytes text);

#endif
