/* alloc_count.h: what Petrel's own code has allocated on the calling thread, counted where it calls the allocator (the linker's
 * --wrap), so that it counts the same under sanitizers. A library's allocations are not seen, but when we free one. */
#ifndef PETREL_TESTS_ALLOC_COUNT_H
#define PETREL_TESTS_ALLOC_COUNT_H

#include <stddef.h>

/* Calls that gave memory. */
unsigned long alloc_count_calls(void);
/* Bytes that were taken and not given back: as glibc's allocator rounds them, with its headers, and maps whole. */
size_t alloc_count_bytes(void);

#endif
