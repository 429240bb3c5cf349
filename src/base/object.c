#include "base/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Straight to stderr: the log may be what failed. */
_Noreturn void object_panic(const char *file, int line, const char *what)
{
    dprintf(STDERR_FILENO, "petrel: assertion failed: %s at %s:%d\n", what, file, line);
    abort();
}

static void *must(void *ptr)
{
    petrel_assert(ptr != NULL && "out of memory");
    return ptr;
}

void *object_alloc(size_t size)
{
    return must(malloc(size > 0 ? size : 1));
}

void *object_zalloc(size_t size)
{
    return must(calloc(1, size > 0 ? size : 1));
}

void *object_realloc(void *ptr, size_t size)
{
    return must(realloc(ptr, size > 0 ? size : 1));
}

char *object_strdup(const char *text)
{
    return must(strdup(text));
}

/* Not strndup(): text need not end where anybody may look for it. */
char *object_strndup(const char *text, size_t len)
{
    const char *end = memchr(text, '\0', len);
    size_t used = end != NULL ? (size_t)(end - text) : len;
    char *copy = object_alloc(used + 1);
    memcpy(copy, text, used);
    copy[used] = '\0';
    return copy;
}
