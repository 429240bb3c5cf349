/* Objects side by side: where they lie, what an index means, what goes back to the kernel. */
#include "base/rng.h"
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 64U
#define MANY 2000U

struct object {
    uint32_t number;
    uint8_t rest[SIZE - 4];
};

static void *take(struct slab *slab, uint32_t number)
{
    static const struct object zeroed;
    struct object *object = slab_take(slab);
    assert_memory_equal(object, &zeroed, sizeof zeroed);
    memset(object, 0xa5, sizeof *object);
    object->number = number;
    return object;
}

static void addresses_say_whose_and_which(void **state)
{
    (void)state;
    int keeper;
    struct slab slab;
    struct object *objects[MANY];
    slab_init(&slab, SIZE, &keeper);
    for (uint32_t i = 0; i < MANY; i++)
        objects[i] = take(&slab, i);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_ptr_equal(slab_keeper(objects[i]), &keeper);
        assert_int_equal((uintptr_t)objects[i] % SIZE, 0);
        assert_int_equal(slab_index(objects[i]), i); /* taken from the front */
        assert_ptr_equal(slab_at(&slab, i), objects[i]);
        assert_int_equal(objects[i]->number, i);
    }
    assert_int_equal(slab_end(&slab), MANY);
    assert_null(slab_at(&slab, MANY));
    assert_null(slab_at(&slab, slab_end(&slab)));
    assert_null(slab_at(&slab, UINT32_MAX));
    assert_true(slab_bytes(&slab) < MANY * SIZE + MANY * SIZE / 50 + SLAB_BLOCK_BYTES);
    slab_give(objects[7]);
    assert_null(slab_at(&slab, 7));
    slab_give(objects[3]);
    assert_ptr_equal(take(&slab, 3), objects[3]); /* the lowest one first */
    assert_ptr_equal(take(&slab, 7), objects[7]);
    for (uint32_t i = 0; i < MANY; i++)
        slab_give(objects[i]);
    slab_reset(&slab);
}

/* Taken and given by chance, the objects that are taken are where they were and what they were. */
static void agrees_with_a_model(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {32, 56, 64, 184, 512, 2048};
    struct rng rng;
    rng_seed(&rng, 4711);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct slab slab;
        uint32_t *model[300] = {NULL};
        uint32_t count = 0;
        slab_init(&slab, sizes[s], NULL);
        for (uint32_t step = 0; step < 20000; step++) {
            uint32_t i = (uint32_t)rng_below(&rng, sizeof model / sizeof model[0]);
            if (model[i] == NULL) {
                model[i] = slab_take(&slab);
                memset(model[i], (int)i, sizes[s]);
                model[i][0] = i;
                count++;
            } else {
                assert_int_equal(model[i][0], i);
                assert_int_equal(((uint8_t *)model[i])[sizes[s] - 1], (uint8_t)i);
                assert_ptr_equal(slab_at(&slab, slab_index(model[i])), model[i]);
                slab_give(model[i]);
                model[i] = NULL;
                count--;
            }
            assert_int_equal(slab.taken, count);
            if (step % 97 == 0)
                slab_trim(&slab);
        }
        uint32_t seen = 0;
        for (uint32_t index = 0; index < slab_end(&slab); index++)
            seen += slab_at(&slab, index) != NULL;
        assert_int_equal(seen, count);
        for (size_t i = 0; i < sizeof model / sizeof model[0]; i++) {
            if (model[i] != NULL)
                slab_give(model[i]);
        }
        slab_reset(&slab);
    }
}

static void a_storm_is_given_back(void **state)
{
    (void)state;
    struct slab slab;
    struct object *objects[MANY];
    slab_init(&slab, SIZE, NULL);
    for (uint32_t i = 0; i < MANY; i++)
        objects[i] = take(&slab, i);
    size_t whole = slab_bytes(&slab);
    for (uint32_t i = 10; i < MANY; i++)
        slab_give(objects[i]);
    slab_trim(&slab); /* the peak was all of them */
    assert_int_equal(slab_bytes(&slab), whole);
    slab_trim(&slab); /* since then it was ten */
    assert_int_equal(slab_bytes(&slab), SLAB_BLOCK_BYTES);
    assert_int_equal(slab_end(&slab), 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_ptr_equal(slab_at(&slab, i), objects[i]);
        slab_give(objects[i]);
    }
    slab_trim(&slab);
    slab_trim(&slab);
    assert_int_equal(slab_bytes(&slab), 0);
    assert_null(slab_at(&slab, 0));
    assert_int_equal(slab_end(&slab), 0);
    struct object *again = take(&slab, 0);
    assert_int_equal(slab_index(again), 0);
    slab_give(again);
    slab_reset(&slab);
}

/* What stays in the middle keeps its place; what is taken after fills the gaps before it. */
static void gaps_are_filled_first(void **state)
{
    (void)state;
    struct slab slab;
    struct object *objects[MANY];
    slab_init(&slab, SIZE, NULL);
    for (uint32_t i = 0; i < MANY; i++)
        objects[i] = take(&slab, i);
    for (uint32_t i = 0; i < MANY - 1; i++)
        slab_give(objects[i]);
    slab_trim(&slab);
    slab_trim(&slab);
    assert_int_equal(slab_bytes(&slab), SLAB_BLOCK_BYTES);
    assert_int_equal(slab_end(&slab), MANY);
    assert_ptr_equal(slab_at(&slab, MANY - 1), objects[MANY - 1]);
    assert_null(slab_at(&slab, 0));
    uint32_t last_block = MANY / slab.per_block;
    uint32_t in_last_block = 0;
    for (uint32_t i = 0; i < MANY - 1; i++) {
        objects[i] = take(&slab, i);
        in_last_block += slab_index(objects[i]) / slab.per_block == last_block;
    }
    assert_true(in_last_block < slab.per_block);
    assert_int_equal(slab_bytes(&slab), (MANY + slab.per_block - 1) / slab.per_block * SLAB_BLOCK_BYTES);
    for (uint32_t i = 0; i < MANY; i++)
        slab_give(objects[i]);
    slab_reset(&slab);
}

/* A load that takes and gives the same again and again keeps its memory, trimmed or not. */
static void a_steady_load_keeps_its_memory(void **state)
{
    (void)state;
    struct slab slab;
    struct object *objects[MANY];
    slab_init(&slab, SIZE, NULL);
    size_t first = 0;
    for (int round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < MANY; i++)
            objects[i] = take(&slab, i);
        if (round == 0)
            first = slab_bytes(&slab);
        for (uint32_t i = 0; i < MANY; i++)
            slab_give(objects[i]);
        slab_trim(&slab);
        assert_int_equal(slab_bytes(&slab), first);
    }
    slab_reset(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_say_whose_and_which),  cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(a_storm_is_given_back),          cmocka_unit_test(gaps_are_filled_first),
        cmocka_unit_test(a_steady_load_keeps_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
