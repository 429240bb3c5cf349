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

char *object_strndup(const char *text, size_t len)
{
    return must(strndup(text, len));
}
