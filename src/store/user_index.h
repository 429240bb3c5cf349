/* user_index.h: which users are in memory: a number for each, found by its key.
 *
 * number  small, kept while the user is in memory, then given to another: a place in tables, where a pointer would change
 * form    what the user's memory looks like now: the caller's, who may exchange it
 * mark    a bit per user; all that bear one are found without looking at the others
 *
 * About 20 bytes a user: a pointer, 8 bytes at a load between 0.7 and 0.9, the marks. It grows in many small steps, as a table that
 * is rehashed in one would stall who waits for the commit. No thread safety of its own. */
#ifndef PETREL_STORE_USER_INDEX_H
#define PETREL_STORE_USER_INDEX_H

#include "base/bytes.h"

#define USER_INDEX_NONE UINT32_MAX
#define USER_INDEX_SHARDS 256

enum user_mark { USER_DIRTY, USER_PENDING, USER_USED, USER_MARKS };

/* The key of a form, borrowed from it. */
typedef struct bytes user_index_key_fn(const void *form);

struct user_index_place {
    uint32_t tag; /* of the key's hash */
    uint32_t number;
};

struct user_index_shard {
    struct user_index_place *places;
    uint32_t size;
    uint32_t count;
};

struct user_index {
    user_index_key_fn *key_of;
    uint64_t seed;
    uint32_t count;
    uint32_t end;  /* numbers are less */
    uint32_t room; /* of forms; a multiple of 64 */
    uint32_t free; /* the first of the numbers that are no user's; USER_INDEX_NONE */
    uintptr_t *forms;
    uint64_t *marks[USER_MARKS];
    struct user_index_shard shards[USER_INDEX_SHARDS];
};

/* seed at random, since peers choose the keys. */
void user_index_init(struct user_index *index, user_index_key_fn *key_of, uint64_t seed);
/* Forget all; the forms are the caller's. */
void user_index_reset(struct user_index *index);

/* USER_INDEX_NONE when absent. */
uint32_t user_index_find(const struct user_index *index, struct bytes key);
/* The same in steps, for who looks for many: what a step needs is on its way from memory while others' steps are taken. First the
 * hash, then USER_INDEX_WARM_STEPS times warm(), each of which needs what the one before sent for; then find. */
#define USER_INDEX_WARM_STEPS 3U
uint64_t user_index_hash(const struct user_index *index, struct bytes key);
void user_index_warm(const struct user_index *index, uint64_t hash, uint32_t step);
/* The form of who is meant, as far as can be told without its key: it may be another's. NULL: nobody's. After the steps. */
const void *user_index_guess(const struct user_index *index, uint64_t hash);
uint32_t user_index_find_hashed(const struct user_index *index, struct bytes key, uint64_t hash);
/* The form's key must be absent. No mark is set. */
uint32_t user_index_add(struct user_index *index, void *form);
void user_index_remove(struct user_index *index, uint32_t number);

/* NULL: the number is no user's. */
void *user_index_form(const struct user_index *index, uint32_t number);
/* Another form of the same user, with the same key. */
void user_index_exchange(struct user_index *index, uint32_t number, void *form);

static inline bool user_index_marked(const struct user_index *index, enum user_mark mark, uint32_t number)
{
    return (index->marks[mark][number / 64] >> number % 64 & 1) != 0;
}
static inline void user_index_mark(struct user_index *index, enum user_mark mark, uint32_t number)
{
    index->marks[mark][number / 64] |= 1ULL << number % 64;
}
static inline void user_index_unmark(struct user_index *index, enum user_mark mark, uint32_t number)
{
    index->marks[mark][number / 64] &= ~(1ULL << number % 64);
}
/* The first number from `from` on that bears the mark; USER_INDEX_NONE. */
uint32_t user_index_next(const struct user_index *index, enum user_mark mark, uint32_t from);
/* How many bear the mark. */
uint32_t user_index_marks(const struct user_index *index, enum user_mark mark);
/* All that bear one mark bear the other instead, and the other way round. */
void user_index_swap(struct user_index *index, enum user_mark one, enum user_mark other);

#endif
