#include "base/slab.h"

#include "base/object.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLAB_MAGIC OBJECT_MAGIC('S', 'L', 'A', 'B')
#define WORD_BITS 64U
#define TAKEN_WORDS (SLAB_BLOCK_BYTES / SLAB_OBJECT_MIN / WORD_BITS)
/* Objects begin on a cache line, so that one of 64 bytes is in one. */
#define LINE_BYTES 64U
#define BLOCKS_FIRST WORD_BITS

struct slab_block {
    uint32_t magic;
    uint32_t number; /* in slab->blocks */
    struct slab *slab;
    void *keeper; /* the slab's: one step less to it */
    uint32_t count;
    uint64_t taken[TAKEN_WORDS]; /* a bit for each object */
};

#define HEADER_BYTES ((sizeof(struct slab_block) + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES)

static struct slab_block *block_of(const void *object)
{
    struct slab_block *block = (struct slab_block *)((uintptr_t)object & ~(uintptr_t)(SLAB_BLOCK_BYTES - 1));
    object_check(block, SLAB_MAGIC);
    return block;
}

static void *object_in(const struct slab_block *block, uint32_t place)
{
    return (char *)(uintptr_t)block + HEADER_BYTES + (size_t)place * block->slab->object_size;
}

static uint32_t place_of(const struct slab_block *block, const void *object)
{
    uintptr_t offset = (uintptr_t)object - (uintptr_t)block - HEADER_BYTES;
    return (uint32_t)offset / block->slab->object_size;
}

static bool is_taken(const struct slab_block *block, uint32_t place)
{
    return (block->taken[place / WORD_BITS] >> place % WORD_BITS & 1) != 0;
}

static void set_room(struct slab *slab, uint32_t number, bool room)
{
    uint64_t bit = (uint64_t)1 << number % WORD_BITS;
    if (room)
        slab->room[number / WORD_BITS] |= bit;
    else
        slab->room[number / WORD_BITS] &= ~bit;
}

/* ---- blocks ---- */

/* The kernel puts maps below each other, so that the one after an aligned one is aligned as a rule; and it makes one of
 * neighbours, so that their number stays far below its limit. */
static void *map_aligned(void)
{
    const int prot = PROT_READ | PROT_WRITE;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    char *at = mmap(NULL, SLAB_BLOCK_BYTES, prot, flags, -1, 0);
    petrel_assert(at != MAP_FAILED && "out of memory");
    if ((uintptr_t)at % SLAB_BLOCK_BYTES == 0)
        return at;
    (void)munmap(at, SLAB_BLOCK_BYTES);
    at = mmap(NULL, (size_t)SLAB_BLOCK_BYTES * 2, prot, flags, -1, 0);
    petrel_assert(at != MAP_FAILED && "out of memory");
    size_t before = SLAB_BLOCK_BYTES - (uintptr_t)at % SLAB_BLOCK_BYTES;
    (void)munmap(at, before);
    if (before < SLAB_BLOCK_BYTES)
        (void)munmap(at + before + SLAB_BLOCK_BYTES, SLAB_BLOCK_BYTES - before);
    return at + before;
}

static void grow_table(struct slab *slab)
{
    uint32_t size = slab->blocks_size == 0 ? BLOCKS_FIRST : slab->blocks_size * 2;
    slab->blocks = object_realloc(slab->blocks, size * sizeof *slab->blocks);
    slab->room = object_realloc(slab->room, size / WORD_BITS * sizeof *slab->room);
    memset(slab->room + slab->blocks_size / WORD_BITS, 0, (size - slab->blocks_size) / WORD_BITS * sizeof *slab->room);
    slab->blocks_size = size;
}

/* In the first gap, so that indexes stay low. */
static struct slab_block *add_block(struct slab *slab)
{
    uint32_t number = slab->blocks_count;
    for (uint32_t i = 0; slab->blocks_held < slab->blocks_count && number == slab->blocks_count; i++) {
        if (slab->blocks[i] == NULL)
            number = i;
    }
    if (number == slab->blocks_size)
        grow_table(slab);
    if (number == slab->blocks_count)
        slab->blocks_count++;
    struct slab_block *block = map_aligned();
    block->magic = SLAB_MAGIC;
    block->number = number;
    block->slab = slab;
    block->keeper = slab->keeper;
    ASAN_POISON_MEMORY_REGION((char *)block + HEADER_BYTES, SLAB_BLOCK_BYTES - HEADER_BYTES);
    slab->blocks[number] = block;
    slab->blocks_held++;
    slab->blocks_empty++;
    set_room(slab, number, true);
    return block;
}

static void drop_block(struct slab *slab, uint32_t number)
{
    struct slab_block *block = slab->blocks[number];
    slab->blocks[number] = NULL;
    slab->blocks_held--;
    slab->blocks_empty--;
    set_room(slab, number, false);
    ASAN_UNPOISON_MEMORY_REGION(block, SLAB_BLOCK_BYTES);
    (void)munmap(block, SLAB_BLOCK_BYTES);
    while (slab->blocks_count > 0 && slab->blocks[slab->blocks_count - 1] == NULL)
        slab->blocks_count--;
}

static struct slab_block *block_with_room(struct slab *slab)
{
    for (uint32_t word = 0; word * WORD_BITS < slab->blocks_count; word++) {
        if (slab->room[word] != 0)
            return slab->blocks[word * WORD_BITS + (uint32_t)__builtin_ctzll(slab->room[word])];
    }
    return add_block(slab);
}

/* ---- objects ---- */

void slab_init(struct slab *slab, size_t object_size, void *keeper)
{
    petrel_assert(object_size >= SLAB_OBJECT_MIN && object_size <= SLAB_OBJECT_MAX && object_size % 8 == 0);
    *slab = (struct slab){
        .keeper = keeper,
        .object_size = (uint32_t)object_size,
        .per_block = (uint32_t)((SLAB_BLOCK_BYTES - HEADER_BYTES) / object_size),
    };
}

void slab_reset(struct slab *slab)
{
    petrel_assert(slab->taken == 0);
    slab->peak = 0;
    slab_trim(slab);
    free(slab->blocks);
    free(slab->room);
    *slab = (struct slab){0};
}

static uint32_t first_free(const struct slab_block *block)
{
    uint32_t word = 0;
    while (block->taken[word] == UINT64_MAX)
        word++;
    return word * WORD_BITS + (uint32_t)__builtin_ctzll(~block->taken[word]);
}

void *slab_take(struct slab *slab)
{
    struct slab_block *block = block_with_room(slab);
    uint32_t place = first_free(block);
    block->taken[place / WORD_BITS] |= (uint64_t)1 << place % WORD_BITS;
    slab->blocks_empty -= block->count == 0;
    if (++block->count == slab->per_block)
        set_room(slab, block->number, false);
    if (++slab->taken > slab->peak)
        slab->peak = slab->taken;
    void *object = object_in(block, place);
    ASAN_UNPOISON_MEMORY_REGION(object, slab->object_size);
    return memset(object, 0, slab->object_size);
}

void slab_give(void *object)
{
    struct slab_block *block = block_of(object);
    struct slab *slab = block->slab;
    uint32_t place = place_of(block, object);
    petrel_assert(object == object_in(block, place) && is_taken(block, place));
    block->taken[place / WORD_BITS] &= ~((uint64_t)1 << place % WORD_BITS);
    if (block->count-- == slab->per_block)
        set_room(slab, block->number, true);
    slab->taken--;
    slab->blocks_empty += block->count == 0;
    ASAN_POISON_MEMORY_REGION(object, slab->object_size);
}

void *slab_keeper(const void *object)
{
    return block_of(object)->keeper;
}

uint32_t slab_index(const void *object)
{
    const struct slab_block *block = block_of(object);
    return block->number * block->slab->per_block + place_of(block, object);
}

void *slab_at(const struct slab *slab, uint32_t index)
{
    uint32_t number = index / slab->per_block;
    uint32_t place = index % slab->per_block;
    const struct slab_block *block = number < slab->blocks_count ? slab->blocks[number] : NULL;
    return block != NULL && is_taken(block, place) ? object_in(block, place) : NULL;
}

static uint32_t last_taken(const struct slab_block *block)
{
    uint32_t word = TAKEN_WORDS - 1;
    while (block->taken[word] == 0)
        word--;
    return word * WORD_BITS + WORD_BITS - 1 - (uint32_t)__builtin_clzll(block->taken[word]);
}

uint32_t slab_end(const struct slab *slab)
{
    for (uint32_t number = slab->blocks_count; number > 0; number--) {
        const struct slab_block *block = slab->blocks[number - 1];
        if (block != NULL && block->count > 0)
            return (number - 1) * slab->per_block + last_taken(block) + 1;
    }
    return 0;
}

void slab_trim(struct slab *slab)
{
    for (uint32_t number = slab->blocks_count; number-- > 0 && slab->blocks_empty > 0;) {
        uint32_t fewer = slab->blocks_held - 1;
        if ((uint64_t)fewer * slab->per_block < slab->peak)
            break;
        if (slab->blocks[number] != NULL && slab->blocks[number]->count == 0)
            drop_block(slab, number);
    }
    slab->peak = slab->taken;
}

size_t slab_bytes(const struct slab *slab)
{
    return (size_t)slab->blocks_held * SLAB_BLOCK_BYTES;
}
