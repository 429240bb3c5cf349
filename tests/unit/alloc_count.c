#include "unit/alloc_count.h"

#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void __real_free(void *ptr);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void __wrap_free(void *ptr);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);

static _Thread_local unsigned long calls;
static _Thread_local size_t bytes;

/* A chunk of glibc's: 8 bytes of header, in steps of 16, 32 at least. */
static size_t chunk_bytes(void *ptr)
{
    size_t size = (malloc_usable_size(ptr) + 8 + 15) & ~(size_t)15;
    return size < 32 ? 32 : size;
}

static void *note(void *ptr)
{
    calls++;
    bytes += chunk_bytes(ptr);
    return ptr;
}

void *__wrap_malloc(size_t size)
{
    return note(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return note(__real_calloc(count, size));
}

void *__wrap_realloc(void *ptr, size_t size)
{
    if (ptr != NULL)
        bytes -= chunk_bytes(ptr);
    return note(__real_realloc(ptr, size));
}

void __wrap_free(void *ptr)
{
    if (ptr != NULL)
        bytes -= chunk_bytes(ptr);
    __real_free(ptr);
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    calls++;
    bytes += size;
    return __real_mmap(at, size, prot, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t size)
{
    bytes -= size;
    return __real_munmap(at, size);
}

unsigned long alloc_count_calls(void)
{
    return calls;
}

size_t alloc_count_bytes(void)
{
    return bytes;
}
