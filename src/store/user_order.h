/* user_order.h: the users of an index that bear a mark, in the order of their keys; found out in steps, none of which takes long.
 *
 * Who writes them to a tree of keys in this order writes each of its pages once, where the order in which they came into memory would
 * come back to most of them again and again.
 *
 * bucket  a range of keys, from one of a sample to another, of a few thousand users. It is sorted when its turn comes; one that is far too
 *         large is left as it is: the order saves work, no more
 * place   of the user who is next
 *
 * 4 to 8 bytes a user. While it is in use no user of it leaves the index, and no other one gets the mark. No thread safety of its own. */
#ifndef PETREL_STORE_USER_ORDER_H
#define PETREL_STORE_USER_ORDER_H

#include "store/user_index.h"

struct user_order_bucket {
    uint32_t *numbers;
    uint32_t count, room;
    bool is_sorted;
};

struct user_order_place {
    uint32_t bucket;
    uint32_t at;
};

struct user_order {
    const struct user_index *index;
    enum user_mark mark;
    uint32_t from; /* numbers before it are in their buckets */
    uint32_t buckets_count;
    struct user_order_bucket *buckets;
    uint32_t *ends; /* of the keys that buckets but the first begin with, in: */
    struct bytebuf begins;
};

/* From here on; all zero or reset before. */
void user_order_begin(struct user_order *order, const struct user_index *index, enum user_mark mark);
/* Put at most so many users into their buckets. Whether there are more. */
bool user_order_collect(struct user_order *order, uint32_t most);
/* All are collected: the user at the place, which moves on; USER_INDEX_NONE: that was all. */
uint32_t user_order_next(struct user_order *order, struct user_order_place *place);
void user_order_reset(struct user_order *order);

#endif
