#include "wire/arena.h"

#include "base/object.h"

#include <stdlib.h>

#define ALIGNMENT 16U

static void *take(void *data, size_t size)
{
    struct arena *arena = data;
    if (size > arena->cap - arena->used)
        return NULL;
    void *ptr = arena->ptr + arena->used;
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    size_t left = arena->cap - arena->used;
    arena->used += rounded < left ? rounded : left;
    return ptr;
}

static void keep(void *data, void *ptr)
{
    (void)data;
    (void)ptr;
}

void arena_begin(struct arena *arena, size_t body_len)
{
    size_t need = body_len + ARENA_SLACK;
    arena->used = 0;
    if (need <= arena->cap)
        return;
    free(arena->ptr);
    arena->cap = (need + ARENA_SLACK - 1) / ARENA_SLACK * ARENA_SLACK;
    arena->ptr = object_alloc(arena->cap);
}

ProtobufCAllocator arena_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){.alloc = take, .free = keep, .allocator_data = arena};
}

void arena_reset(struct arena *arena)
{
    free(arena->ptr);
    *arena = (struct arena){0};
}
