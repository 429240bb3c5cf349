#include "store/user_index.h"

#include "base/hash.h"
#include "base/object.h"

#include <stdlib.h>

#define ROOM_STEP 256

/* A number that is no user's holds the next such number instead of a form; forms are aligned, so the lowest bit tells. */
static uintptr_t as_free(uint32_t next)
{
    return (uintptr_t)next << 1 | 1;
}

static struct user_index_shard *shard_of(const struct user_index *index, uint64_t hash)
{
    return (struct user_index_shard *)&index->shards[hash >> 56];
}

/* Where a tag would like to be: any size will do, not only powers of two. */
static uint32_t home(const struct user_index_shard *shard, uint32_t tag)
{
    return (uint32_t)((uint64_t)tag * shard->size >> 32);
}

static uint32_t after(const struct user_index_shard *shard, uint32_t place)
{
    return place + 1 < shard->size ? place + 1 : 0;
}

static void put(struct user_index_shard *shard, struct user_index_place entry)
{
    uint32_t place = home(shard, entry.tag);
    while (shard->places[place].number != USER_INDEX_NONE)
        place = after(shard, place);
    shard->places[place] = entry;
}

static void resize(struct user_index_shard *shard, uint32_t size)
{
    struct user_index_place *old = shard->places;
    uint32_t old_size = shard->size;
    shard->places = object_alloc(size * sizeof *shard->places);
    shard->size = size;
    for (uint32_t i = 0; i < size; i++)
        shard->places[i] = (struct user_index_place){.number = USER_INDEX_NONE};
    for (uint32_t i = 0; i < old_size; i++) {
        if (old[i].number != USER_INDEX_NONE)
            put(shard, old[i]);
    }
    free(old);
}

void user_index_init(struct user_index *index, user_index_key_fn *key_of, uint64_t seed)
{
    *index = (struct user_index){.key_of = key_of, .seed = seed, .free = USER_INDEX_NONE};
}

void user_index_reset(struct user_index *index)
{
    for (size_t i = 0; i < USER_INDEX_SHARDS; i++)
        free(index->shards[i].places);
    for (size_t i = 0; i < USER_MARKS; i++)
        free(index->marks[i]);
    free(index->forms);
    user_index_init(index, index->key_of, index->seed);
}

static uint32_t find_place(const struct user_index *index, struct bytes key, uint64_t hash)
{
    const struct user_index_shard *shard = shard_of(index, hash);
    if (shard->count == 0)
        return USER_INDEX_NONE;
    for (uint32_t place = home(shard, (uint32_t)hash);; place = after(shard, place)) {
        const struct user_index_place *at = &shard->places[place];
        if (at->number == USER_INDEX_NONE)
            return USER_INDEX_NONE;
        if (at->tag == (uint32_t)hash && bytes_equal(index->key_of(user_index_form(index, at->number)), key))
            return place;
    }
}

uint64_t user_index_hash(const struct user_index *index, struct bytes key)
{
    return hash_bytes(key, index->seed);
}

/* Who is meant, as far as tags tell; USER_INDEX_NONE. */
static uint32_t guess(const struct user_index *index, uint64_t hash)
{
    const struct user_index_shard *shard = shard_of(index, hash);
    uint32_t place = home(shard, (uint32_t)hash);
    while (shard->places[place].number != USER_INDEX_NONE && shard->places[place].tag != (uint32_t)hash)
        place = after(shard, place);
    return shard->places[place].number;
}

void user_index_warm(const struct user_index *index, uint64_t hash, uint32_t step)
{
    const struct user_index_shard *shard = shard_of(index, hash);
    if (shard->count == 0)
        return;
    if (step == 0) {
        __builtin_prefetch(&shard->places[home(shard, (uint32_t)hash)]);
        return;
    }
    const uint32_t number = guess(index, hash);
    if (number == USER_INDEX_NONE)
        return;
    if (step == 1) {
        __builtin_prefetch(&index->forms[number]);
        return;
    }
    const char *form = user_index_form(index, number);
    __builtin_prefetch(form);
    __builtin_prefetch(form + 64);
}

const void *user_index_guess(const struct user_index *index, uint64_t hash)
{
    const uint32_t number = shard_of(index, hash)->count > 0 ? guess(index, hash) : USER_INDEX_NONE;
    return number != USER_INDEX_NONE ? user_index_form(index, number) : NULL;
}

uint32_t user_index_find_hashed(const struct user_index *index, struct bytes key, uint64_t hash)
{
    uint32_t place = find_place(index, key, hash);
    return place != USER_INDEX_NONE ? shard_of(index, hash)->places[place].number : USER_INDEX_NONE;
}

uint32_t user_index_find(const struct user_index *index, struct bytes key)
{
    return user_index_find_hashed(index, key, user_index_hash(index, key));
}

static void grow_numbers(struct user_index *index)
{
    uint32_t old = index->room;
    petrel_assert(old < UINT32_MAX / 2);
    index->room = (old + old / 8 + ROOM_STEP) / 64 * 64;
    index->forms = object_realloc(index->forms, index->room * sizeof *index->forms);
    for (size_t i = 0; i < USER_MARKS; i++) {
        index->marks[i] = object_realloc(index->marks[i], index->room / 64 * sizeof *index->marks[i]);
        memset(&index->marks[i][old / 64], 0, (index->room - old) / 64 * sizeof *index->marks[i]);
    }
}

static uint32_t take_number(struct user_index *index)
{
    uint32_t number = index->free;
    if (number != USER_INDEX_NONE) {
        index->free = (uint32_t)(index->forms[number] >> 1);
        return number;
    }
    if (index->end == index->room)
        grow_numbers(index);
    return index->end++;
}

uint32_t user_index_add(struct user_index *index, void *form)
{
    struct bytes key = index->key_of(form);
    uint64_t hash = hash_bytes(key, index->seed);
    struct user_index_shard *shard = shard_of(index, hash);
    petrel_assert(find_place(index, key, hash) == USER_INDEX_NONE);
    if (shard->count + 1 > shard->size - shard->size / 8)
        resize(shard, shard->size + shard->size / 4 + 8);
    uint32_t number = take_number(index);
    index->forms[number] = (uintptr_t)form;
    put(shard, (struct user_index_place){.tag = (uint32_t)hash, .number = number});
    shard->count++;
    index->count++;
    return number;
}

/* Whoever stands behind a gap moves into it, unless that would be before where its tag is looked for first. */
static void close_gap(struct user_index_shard *shard, uint32_t gap)
{
    uint32_t place = gap;
    for (;;) {
        place = after(shard, place);
        if (shard->places[place].number == USER_INDEX_NONE)
            break;
        uint32_t from = home(shard, shard->places[place].tag);
        bool between = gap < place ? from > gap && from <= place : from > gap || from <= place;
        if (between)
            continue;
        shard->places[gap] = shard->places[place];
        gap = place;
    }
    shard->places[gap] = (struct user_index_place){.number = USER_INDEX_NONE};
}

void user_index_remove(struct user_index *index, uint32_t number)
{
    struct bytes key = index->key_of(user_index_form(index, number));
    uint64_t hash = hash_bytes(key, index->seed);
    struct user_index_shard *shard = shard_of(index, hash);
    uint32_t place = find_place(index, key, hash);
    petrel_assert(place != USER_INDEX_NONE && shard->places[place].number == number);
    close_gap(shard, place);
    shard->count--;
    index->count--;
    if (shard->count < shard->size / 2 && shard->size > 32)
        resize(shard, shard->count + shard->count / 3 + 8);
    for (size_t i = 0; i < USER_MARKS; i++)
        user_index_unmark(index, (enum user_mark)i, number);
    index->forms[number] = as_free(index->free);
    index->free = number;
}

void *user_index_form(const struct user_index *index, uint32_t number)
{
    petrel_assert(number < index->end);
    uintptr_t form = index->forms[number];
    return (form & 1) == 0 ? (void *)form : NULL;
}

void user_index_exchange(struct user_index *index, uint32_t number, void *form)
{
    petrel_assert(user_index_form(index, number) != NULL);
    index->forms[number] = (uintptr_t)form;
}

uint32_t user_index_next(const struct user_index *index, enum user_mark mark, uint32_t from)
{
    if (from >= index->end)
        return USER_INDEX_NONE;
    uint32_t word = from / 64;
    uint64_t bits = index->marks[mark][word] & UINT64_MAX << from % 64;
    while (bits == 0) {
        if (++word * 64 >= index->room)
            return USER_INDEX_NONE;
        bits = index->marks[mark][word];
    }
    return word * 64 + (uint32_t)__builtin_ctzll(bits);
}

uint32_t user_index_marks(const struct user_index *index, enum user_mark mark)
{
    uint32_t count = 0;
    for (uint32_t word = 0; word < index->room / 64; word++)
        count += (uint32_t)__builtin_popcountll(index->marks[mark][word]);
    return count;
}

void user_index_swap(struct user_index *index, enum user_mark one, enum user_mark other)
{
    uint64_t *bits = index->marks[one];
    index->marks[one] = index->marks[other];
    index->marks[other] = bits;
}
