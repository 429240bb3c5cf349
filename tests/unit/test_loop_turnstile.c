#include "loop/turnstile.h"
#include "unit/loop_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PASSES 4

struct guest {
    struct scene *scene;
    struct turnstile_pass *pass;
    int let_in;
};

struct scene {
    struct loop_rig rig;
    struct turnstile *turnstile;
    struct guest guests[PASSES];
    bool ok;
};

static void on_let_in(void *ctx)
{
    struct guest *guest = ctx;
    loop_rig_bump(&guest->scene->rig, &guest->let_in);
}

static void open_scene(struct scene *scene, unsigned width)
{
    *scene = (struct scene){.turnstile = turnstile_new(width)};
    loop_rig_start(&scene->rig);
    for (int i = 0; i < PASSES; i++) {
        scene->guests[i].scene = scene;
        scene->guests[i].pass = turnstile_join(scene->turnstile, scene->rig.loop, on_let_in, &scene->guests[i]);
    }
}

static void close_scene(struct scene *scene)
{
    for (int i = 0; i < PASSES; i++)
        turnstile_part(&scene->guests[i].pass);
    loop_rig_stop(&scene->rig);
    turnstile_free(&scene->turnstile);
}

static void enter_all(void *arg)
{
    struct scene *scene = arg;
    struct guest *guests = scene->guests;
    const bool first = turnstile_enter(guests[0].pass) && turnstile_enter(guests[1].pass);
    scene->ok = first && !turnstile_is_wanted(guests[0].pass) && !turnstile_enter(guests[2].pass) &&
                !turnstile_enter(guests[3].pass) && !turnstile_enter(guests[3].pass) &&
                turnstile_is_wanted(guests[0].pass);
}

static void leave_first(void *arg)
{
    struct scene *scene = arg;
    turnstile_leave(scene->guests[0].pass);
}

static void leave_second(void *arg)
{
    struct scene *scene = arg;
    turnstile_leave(scene->guests[1].pass);
}

static void so_many_are_in_and_the_others_come_in_order(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 2);
    loop_rig_call(&scene.rig, enter_all, &scene);
    assert_true(scene.ok);
    loop_rig_call(&scene.rig, leave_first, &scene);
    loop_rig_wait(&scene.rig, &scene.guests[2].let_in, 1);
    loop_rig_turns(&scene.rig);
    assert_int_equal(loop_rig_read(&scene.rig, &scene.guests[3].let_in), 0);
    loop_rig_call(&scene.rig, leave_first, &scene); /* it is out already */
    loop_rig_turns(&scene.rig);
    assert_int_equal(loop_rig_read(&scene.rig, &scene.guests[3].let_in), 0);
    loop_rig_call(&scene.rig, leave_second, &scene);
    loop_rig_wait(&scene.rig, &scene.guests[3].let_in, 1);
    close_scene(&scene);
}

/* Its place has been given, and it has not heard of it. */
static void part_while_called(void *arg)
{
    struct scene *scene = arg;
    turnstile_leave(scene->guests[0].pass);
    turnstile_part(&scene->guests[2].pass);
}

static void who_parts_hands_its_place_on(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 2);
    loop_rig_call(&scene.rig, enter_all, &scene);
    loop_rig_call(&scene.rig, part_while_called, &scene);
    loop_rig_wait(&scene.rig, &scene.guests[3].let_in, 1);
    assert_int_equal(loop_rig_read(&scene.rig, &scene.guests[2].let_in), 0);
    close_scene(&scene);
}

static void part_first_and_third(void *arg)
{
    struct scene *scene = arg;
    turnstile_part(&scene->guests[2].pass); /* still in line */
    turnstile_part(&scene->guests[0].pass); /* in */
}

static void who_parts_in_line_is_passed_over(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 2);
    loop_rig_call(&scene.rig, enter_all, &scene);
    loop_rig_call(&scene.rig, part_first_and_third, &scene);
    loop_rig_wait(&scene.rig, &scene.guests[3].let_in, 1);
    assert_int_equal(loop_rig_read(&scene.rig, &scene.guests[2].let_in), 0);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_are_in_and_the_others_come_in_order),
        cmocka_unit_test(who_parts_hands_its_place_on),
        cmocka_unit_test(who_parts_in_line_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
