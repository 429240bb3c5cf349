#include "store/user_order.h"

#include "base/object.h"

#include <stdlib.h>

#define BUCKET_USERS 2048 /* about */
#define BUCKETS_MAX 1024
#define SORT_MAX 8192
#define SAMPLES 8 /* for a bucket */
#define CHUNK 16  /* users whose memory is sent for at once */

static struct bytes key_of(const struct user_order *order, uint32_t number)
{
    return order->index->key_of(user_index_form(order->index, number));
}

/* As SQLite compares blobs. */
static int compare(struct bytes one, struct bytes other)
{
    const size_t len = one.len < other.len ? one.len : other.len;
    const int first = memcmp(one.ptr, other.ptr, len);
    return first != 0 ? first : (one.len > other.len) - (one.len < other.len);
}

static int compare_users(const void *one, const void *other, void *order)
{
    return compare(key_of(order, *(const uint32_t *)one), key_of(order, *(const uint32_t *)other));
}

static void sort(struct user_order *order, uint32_t *numbers, uint32_t count)
{
    qsort_r(numbers, count, sizeof *numbers, compare_users, order);
}

/* The key that the bucket after this one begins with. */
static struct bytes begin_of(const struct user_order *order, uint32_t i)
{
    const uint32_t from = i > 0 ? order->ends[i - 1] : 0;
    return bytes_of(order->begins.ptr + from, order->ends[i] - from);
}

static void choose_begins(struct user_order *order)
{
    const uint32_t count = order->buckets_count * SAMPLES;
    uint32_t *samples = object_alloc(count * sizeof *samples), found = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t from = (uint32_t)((uint64_t)order->index->end * i / count);
        const uint32_t number = user_index_next(order->index, order->mark, from);
        if (number != USER_INDEX_NONE)
            samples[found++] = number;
    }
    sort(order, samples, found);
    order->ends = object_alloc(order->buckets_count * sizeof *order->ends);
    for (uint32_t i = 0; i + 1 < order->buckets_count; i++) {
        const struct bytes key = key_of(order, samples[(uint64_t)found * (i + 1) / order->buckets_count]);
        bytes_append(&order->begins, key.ptr, key.len);
        order->ends[i] = (uint32_t)order->begins.len;
    }
    free(samples);
}

void user_order_begin(struct user_order *order, const struct user_index *index, enum user_mark mark)
{
    const uint32_t users = user_index_marks(index, mark), buckets = users / BUCKET_USERS + 1;
    *order = (struct user_order){.index = index, .mark = mark};
    order->buckets_count = buckets < BUCKETS_MAX ? buckets : BUCKETS_MAX;
    order->buckets = object_zalloc(order->buckets_count * sizeof *order->buckets);
    if (order->buckets_count > 1)
        choose_begins(order);
}

/* The last bucket that does not begin after the key. */
static struct user_order_bucket *bucket_of(struct user_order *order, struct bytes key)
{
    uint32_t low = 0, high = order->buckets_count - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (compare(begin_of(order, middle), key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return &order->buckets[low];
}

static void put(struct user_order_bucket *bucket, uint32_t number)
{
    if (bucket->count == bucket->room) {
        bucket->room = bucket->room > 0 ? bucket->room * 2 : CHUNK;
        bucket->numbers = object_realloc(bucket->numbers, bucket->room * sizeof *bucket->numbers);
    }
    bucket->numbers[bucket->count++] = number;
}

static uint32_t take_chunk(struct user_order *order, uint32_t numbers[CHUNK])
{
    uint32_t count = 0;
    while (count < CHUNK) {
        const uint32_t number = user_index_next(order->index, order->mark, order->from);
        if (number == USER_INDEX_NONE)
            break;
        __builtin_prefetch(user_index_form(order->index, number));
        numbers[count++] = number;
        order->from = number + 1;
    }
    return count;
}

bool user_order_collect(struct user_order *order, uint32_t most)
{
    uint32_t numbers[CHUNK], count = CHUNK;
    for (uint32_t done = 0; done < most && count == CHUNK; done += count) {
        count = take_chunk(order, numbers);
        for (uint32_t i = 0; i < count; i++)
            put(bucket_of(order, key_of(order, numbers[i])), numbers[i]);
    }
    return count == CHUNK;
}

uint32_t user_order_next(struct user_order *order, struct user_order_place *place)
{
    while (place->bucket < order->buckets_count && place->at == order->buckets[place->bucket].count)
        *place = (struct user_order_place){.bucket = place->bucket + 1};
    if (place->bucket == order->buckets_count)
        return USER_INDEX_NONE;
    struct user_order_bucket *bucket = &order->buckets[place->bucket];
    if (!bucket->is_sorted && bucket->count <= SORT_MAX)
        sort(order, bucket->numbers, bucket->count);
    bucket->is_sorted = true;
    return bucket->numbers[place->at++];
}

void user_order_reset(struct user_order *order)
{
    for (uint32_t i = 0; i < order->buckets_count; i++)
        free(order->buckets[i].numbers);
    free(order->buckets);
    free(order->ends);
    bytes_reset(&order->begins);
    *order = (struct user_order){.buckets_count = 0};
}
