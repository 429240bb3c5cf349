/* slab.h: many objects of one size, side by side in blocks that never move: no allocation of its own for each, no header.
 *
 * block   SLAB_BLOCK_BYTES from the kernel, aligned to its size: an object's address alone says which block it lies in, and
 *         so whose it is and what its index is. No object stores either
 * index   an object's number in its slab; the next object may get the number of one that was given back
 * keeper  who owns the slab, as told to slab_init(): what objects would otherwise each point to
 * peak    how many objects were taken at a time since the last trim
 *
 * Objects are taken from the front, so that a slab that shrank empties from its end; slab_trim() gives empty blocks back to
 * the kernel. One owner thread. */
#ifndef PETREL_BASE_SLAB_H
#define PETREL_BASE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_BLOCK_BYTES 16384U
#define SLAB_OBJECT_MIN 32U
#define SLAB_OBJECT_MAX 2048U

struct slab_block;

struct slab {
    void *keeper;
    uint32_t object_size;
    uint32_t per_block;
    uint32_t taken;
    uint32_t peak;
    struct slab_block **blocks; /* NULL where one was given back */
    uint64_t *room;             /* a bit for each block that is there and not full */
    uint32_t blocks_count;      /* the last of them is there */
    uint32_t blocks_size;
    uint32_t blocks_held;  /* of them, those that are there */
    uint32_t blocks_empty; /* of those, the ones without an object */
};

/* Of objects of that size, SLAB_OBJECT_MIN to SLAB_OBJECT_MAX, a multiple of 8. No memory is taken before the first object. */
void slab_init(struct slab *slab, size_t object_size, void *keeper);
/* All objects were given back. {0} is fine. */
void slab_reset(struct slab *slab);

/* A zeroed object. Aborts when memory is out: who takes for a peer has bounded how many. */
void *slab_take(struct slab *slab);
void slab_give(void *object);

void *slab_keeper(const void *object);
/* An object will be looked at soon, and its keeper asked for. What is no object of a slab does no harm. */
static inline void slab_prefetch(const void *object)
{
    __builtin_prefetch(object);
    __builtin_prefetch((const void *)((uintptr_t)object & ~(uintptr_t)(SLAB_BLOCK_BYTES - 1)));
}
uint32_t slab_index(const void *object);
/* NULL: none is taken under that index. */
void *slab_at(const struct slab *slab, uint32_t index);
/* One more than the highest index that is taken: where a walk over all objects ends. */
uint32_t slab_end(const struct slab *slab);

/* Give back the empty blocks beyond what the peak needed, and begin a new peak: called now and then, it lets go of what a storm
 * took, and what a steady load takes and gives stays at hand. */
void slab_trim(struct slab *slab);
/* What the blocks take. */
size_t slab_bytes(const struct slab *slab);

#endif
