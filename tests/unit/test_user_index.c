/* Whatever comes and goes: the index holds what a plain list would. */
#include "base/rng.h"
#include "store/user_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 5000
#define STEPS 60000

struct form {
    uint32_t number; /* USER_INDEX_NONE: not in the index */
    bool marked;
    char key[16];
};

static struct bytes key_of(const void *form)
{
    return bytes_str(((const struct form *)form)->key);
}

static struct form *make_forms(void)
{
    struct form *forms = calloc(KEYS, sizeof *forms);
    assert_non_null(forms);
    for (uint32_t i = 0; i < KEYS; i++) {
        forms[i].number = USER_INDEX_NONE;
        snprintf(forms[i].key, sizeof forms[i].key, "user-%u", i);
    }
    return forms;
}

static void flip(struct user_index *index, struct form *form)
{
    if (form->number == USER_INDEX_NONE) {
        form->number = user_index_add(index, form);
        form->marked = false;
    } else {
        user_index_remove(index, form->number);
        form->number = USER_INDEX_NONE;
    }
}

static void assert_all(const struct user_index *index, const struct form *forms)
{
    uint32_t count = 0, marked = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_int_equal(user_index_find(index, bytes_str(forms[i].key)), forms[i].number);
        if (forms[i].number == USER_INDEX_NONE)
            continue;
        assert_ptr_equal(user_index_form(index, forms[i].number), &forms[i]);
        assert_int_equal(user_index_marked(index, USER_DIRTY, forms[i].number), forms[i].marked);
        assert_false(user_index_marked(index, USER_PENDING, forms[i].number));
        count++;
        marked += forms[i].marked;
    }
    assert_int_equal(index->count, count);
    assert_true(index->end <= KEYS);
    uint32_t number = user_index_next(index, USER_DIRTY, 0);
    for (; number != USER_INDEX_NONE; number = user_index_next(index, USER_DIRTY, number + 1)) {
        assert_true(((struct form *)user_index_form(index, number))->marked);
        marked--;
    }
    assert_int_equal(marked, 0);
}

/* The odds turn, so that it grows, shrinks and grows again. */
static void what_is_in_it_is_found(void **state)
{
    (void)state;
    struct form *forms = make_forms();
    struct user_index index;
    struct rng rng;
    rng_seed(&rng, 3);
    user_index_init(&index, key_of, 7);
    for (uint32_t step = 0; step < STEPS; step++) {
        struct form *form = &forms[rng_below(&rng, KEYS)];
        bool growing = step / 15000 % 2 == 0;
        bool present = form->number != USER_INDEX_NONE;
        if (present == growing && rng_below(&rng, 8) != 0) {
            if (!present)
                continue;
            form->marked = !form->marked;
            if (form->marked)
                user_index_mark(&index, USER_DIRTY, form->number);
            else
                user_index_unmark(&index, USER_DIRTY, form->number);
        } else {
            flip(&index, form);
        }
        if (step % 5000 == 0)
            assert_all(&index, forms);
    }
    assert_all(&index, forms);
    for (uint32_t i = 0; i < KEYS; i++) {
        if (forms[i].number != USER_INDEX_NONE)
            flip(&index, &forms[i]);
    }
    assert_all(&index, forms);
    user_index_reset(&index);
    free(forms);
}

static void marks_change_places(void **state)
{
    (void)state;
    struct form *forms = make_forms();
    struct user_index index;
    user_index_init(&index, key_of, 7);
    for (uint32_t i = 0; i < 1000; i++)
        flip(&index, &forms[i]);
    user_index_mark(&index, USER_DIRTY, 63);
    user_index_mark(&index, USER_DIRTY, 64);
    user_index_mark(&index, USER_DIRTY, 999);
    user_index_swap(&index, USER_DIRTY, USER_PENDING);
    assert_int_equal(user_index_next(&index, USER_DIRTY, 0), USER_INDEX_NONE);
    assert_int_equal(user_index_next(&index, USER_PENDING, 0), 63);
    assert_int_equal(user_index_next(&index, USER_PENDING, 64), 64);
    assert_int_equal(user_index_next(&index, USER_PENDING, 65), 999);
    assert_int_equal(user_index_next(&index, USER_PENDING, 1000), USER_INDEX_NONE);
    user_index_reset(&index);
    free(forms);
}

static void another_form_takes_the_place(void **state)
{
    (void)state;
    struct form *forms = make_forms();
    struct form other = forms[1];
    struct user_index index;
    user_index_init(&index, key_of, 7);
    flip(&index, &forms[0]);
    flip(&index, &forms[1]);
    user_index_exchange(&index, forms[1].number, &other);
    assert_ptr_equal(user_index_form(&index, user_index_find(&index, bytes_str(other.key))), &other);
    user_index_reset(&index);
    free(forms);
}

/* What an idle user costs stands on this. */
static void a_user_costs_little(void **state)
{
    (void)state;
    struct form *forms = make_forms();
    struct user_index index;
    user_index_init(&index, key_of, 7);
    for (uint32_t i = 0; i < KEYS; i++)
        flip(&index, &forms[i]);
    size_t bytes = index.room * sizeof *index.forms + USER_MARKS * index.room / 8;
    for (size_t i = 0; i < USER_INDEX_SHARDS; i++)
        bytes += index.shards[i].size * sizeof *index.shards[i].places;
    /* So few users leave shards half filled; a million cost 20. */
    assert_true(bytes / KEYS <= 26);
    user_index_reset(&index);
    free(forms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_it_is_found),
        cmocka_unit_test(marks_change_places),
        cmocka_unit_test(another_form_takes_the_place),
        cmocka_unit_test(a_user_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
