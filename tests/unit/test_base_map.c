#include "base/list.h"
#include "base/map.h"
#include "base/object.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ITEMS 5000

struct item {
    struct map_node node;
    uint32_t key;
    bool in;
    bool seen;
};

static struct bytes key_of(const struct map_node *node)
{
    const struct item *item = container_of(node, const struct item, node);
    return bytes_of(&item->key, sizeof item->key);
}

static struct bytes key_bytes(const uint32_t *key)
{
    return bytes_of(key, sizeof *key);
}

static struct item *new_items(void)
{
    struct item *items = calloc(ITEMS, sizeof *items);
    assert_non_null(items);
    for (uint32_t i = 0; i < ITEMS; i++)
        items[i].key = i * 7919;
    return items;
}

/* Random inserts and removals against an array that knows the truth. */
static void agrees_with_a_model(void **state)
{
    (void)state;
    struct item *items = new_items();
    struct rng rng;
    rng_seed(&rng, 1);
    struct map map;
    map_init(&map, key_of, 42);
    size_t count = 0;
    for (int step = 0; step < 40000; step++) {
        struct item *item = &items[rng_below(&rng, ITEMS)];
        struct map_node *found = map_find(&map, key_bytes(&item->key));
        assert_ptr_equal(found, item->in ? &item->node : NULL);
        if (item->in) {
            map_remove(&map, &item->node);
            count--;
        } else {
            map_insert(&map, &item->node);
            count++;
        }
        item->in = !item->in;
        assert_int_equal(map.count, count);
    }
    assert_true(map.size >= count && map.size <= 4 * count + 16);
    size_t walked = 0;
    for (struct map_node *node = map_next(&map, NULL); node != NULL; node = map_next(&map, node)) {
        struct item *item = container_of(node, struct item, node);
        assert_true(item->in && !item->seen);
        item->seen = true;
        walked++;
    }
    assert_int_equal(walked, count);
    for (struct map_node *node; (node = map_take_any(&map)) != NULL; count--)
        container_of(node, struct item, node)->in = false;
    assert_int_equal(count, 0);
    for (size_t i = 0; i < ITEMS; i++)
        assert_false(items[i].in);
    map_reset(&map);
    free(items);
}

static void table_shrinks_when_emptied(void **state)
{
    (void)state;
    struct item *items = new_items();
    struct map map;
    map_init(&map, key_of, 1);
    uint32_t key = 1;
    assert_null(map_find(&map, key_bytes(&key)));
    assert_null(map_next(&map, NULL));
    assert_null(map_take_any(&map));
    assert_null(map.table);
    for (size_t i = 0; i < ITEMS; i++)
        map_insert(&map, &items[i].node);
    assert_true(map.size >= ITEMS);
    while (map_take_any(&map) != NULL) {
    }
    assert_true(map.size <= 64);
    map_reset(&map);
    assert_null(map.table);
    free(items);
}

static void seeds_give_different_orders(void **state)
{
    (void)state;
    struct item a = {.key = 1}, b = {.key = 1};
    struct map one, two;
    map_init(&one, key_of, 1);
    map_init(&two, key_of, 2);
    map_insert(&one, &a.node);
    map_insert(&two, &b.node);
    assert_true(a.node.hash != b.node.hash);
    map_remove(&one, &a.node);
    map_remove(&two, &b.node);
    map_reset(&one);
    map_reset(&two);
}

static void lists_link_and_splice(void **state)
{
    (void)state;
    struct list head, other, nodes[4];
    list_init(&head);
    list_init(&other);
    for (int i = 0; i < 4; i++)
        list_init(&nodes[i]);
    list_push_back(&head, &nodes[1]);
    list_push_front(&head, &nodes[0]);
    list_push_back(&other, &nodes[2]);
    list_push_back(&other, &nodes[3]);
    list_splice(&head, &other);
    assert_true(list_empty(&other));
    list_splice(&head, &other);
    struct list *node, *tmp;
    int at = 0;
    LIST_FOREACH(node, tmp, &head)
    {
        assert_ptr_equal(node, &nodes[at++]);
        if (at == 2)
            list_remove(node);
    }
    assert_int_equal(at, 4);
    list_remove(&nodes[1]);
    assert_ptr_equal(list_pop_front(&head), &nodes[0]);
    assert_ptr_equal(list_pop_front(&head), &nodes[2]);
    assert_ptr_equal(list_pop_front(&head), &nodes[3]);
    assert_null(list_pop_front(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(table_shrinks_when_emptied),
        cmocka_unit_test(seeds_give_different_orders),
        cmocka_unit_test(lists_link_and_splice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
