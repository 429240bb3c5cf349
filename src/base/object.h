/* object.h: assertions that stay on in release, and magic numbers.
 *
 * Every heap object whose pointer crosses a callback starts with a magic number; object_check() at the callback's entry
 * turns a use after free into an abort with a place instead of a corrupted neighbour. */
#ifndef PETREL_BASE_OBJECT_H
#define PETREL_BASE_OBJECT_H

#include <stddef.h>
#include <stdint.h>

/* Abort with file, line and the expression. Never returns. Any thread. */
_Noreturn void object_panic(const char *file, int line, const char *what);

/* A programmer's error is an abort, in release too. The expression must have no side effect. */
#define petrel_assert(expr) ((expr) ? (void)0 : object_panic(__FILE__, __LINE__, #expr))

/* magic numbers: four letters, written down where the struct is declared */
#define OBJECT_MAGIC(a, b, c, d)                                                                                       \
    ((uint32_t)(unsigned char)(a) << 24 | (uint32_t)(unsigned char)(b) << 16 | (uint32_t)(unsigned char)(c) << 8 |     \
     (uint32_t)(unsigned char)(d))
#define object_check(ptr, number) petrel_assert((ptr) != NULL && (ptr)->magic == (number))

/* The struct that embeds `member` at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* malloc/calloc/realloc/strdup for small sizes that we chose ourselves: abort when memory is out, never NULL.
 * Sizes that a peer chose are bounded first. Free with free(). Any thread. */
void *object_alloc(size_t size);
void *object_zalloc(size_t size);
void *object_realloc(void *ptr, size_t size);
char *object_strdup(const char *text);
char *object_strndup(const char *text, size_t len);

#endif
