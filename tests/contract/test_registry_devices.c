/* The contract of registry.h: devices, and many requests at once. */
#include "contract/registry_rig.h"

#include <string.h>

static void a_device_is_registered_and_updated(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    const struct registry_ops *ops = world.registry->ops;
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.user = bytes_str("ada l\xc3\xb8velace");
    ask->request.in.device = bytes_str("phone-1");
    ask->request.in.label = bytes_str("android");
    assert_int_equal(registry_rig_ask(&world, ask, ops->device_register), 0);
    assert_true(ask->request.out.created);
    assert_string_equal(ask->devices[0].user, "ada l\xc3\xb8velace");
    assert_string_equal(ask->devices[0].device, "phone-1");
    assert_string_equal(ask->devices[0].platform, "android");
    assert_int_equal(ask->devices[0].created_ms, WALL_MS);
    registry_rig_ask_free(ask);

    clock_manual_advance(&world.clock, 70);
    ask = registry_rig_ask_device(&world, ops->device_register, "demo", "ada l\xc3\xb8velace", "phone-1");
    assert_int_equal(ask->request.status, 0);
    assert_false(ask->request.out.created);
    assert_string_equal(ask->devices[0].platform, "android");
    assert_int_equal(ask->devices[0].created_ms, WALL_MS);
    assert_int_equal(ask->devices[0].updated_ms, WALL_MS + 70);
    registry_rig_ask_free(ask);

    assert_int_equal(registry_rig_device(&world, ops->device_register, "none", "ada", "p"), PETREL_E_NOT_FOUND);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "", "p"), PETREL_E_INVALID);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", NULL, "p"), PETREL_E_INVALID);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "p p"), PETREL_E_INVALID);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", NULL), PETREL_E_INVALID);
    registry_rig_close(&world);
}

static void a_user_has_so_many_live_devices(void **state)
{
    struct registry_rig world;
    char name[16];
    registry_rig_open(&world, *state);
    const struct registry_ops *ops = world.registry->ops;
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    for (int i = 0; i < ROUTE_DEVICES_MAX; i++) {
        snprintf(name, sizeof name, "d%d", i);
        assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", name), 0);
    }
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "one-more"), PETREL_E_TOO_LARGE);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "d3"), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "bob", "one-more"), 0);
    /* A revoked one makes room; it needs room itself to come back. */
    assert_int_equal(registry_rig_device(&world, ops->device_revoke, "demo", "ada", "d3"), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "one-more"), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "d3"), PETREL_E_TOO_LARGE);
    registry_rig_close(&world);
}

static void a_revoked_device_stays_on_record_and_may_return(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    const struct registry_ops *ops = world.registry->ops;
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_revoke, "demo", "ada", "phone"), PETREL_E_NOT_FOUND);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "phone"), 0);

    for (int again = 0; again < 2; again++) {
        clock_manual_advance(&world.clock, 30);
        struct registry_ask *ask = registry_rig_ask_device(&world, ops->device_revoke, "demo", "ada", "phone");
        assert_int_equal(ask->request.status, 0);
        assert_int_equal(ask->devices[0].revoked_ms, WALL_MS + 30);
        registry_rig_ask_free(ask);
    }
    struct registry_ask *rows = registry_rig_list(&world, ops->device_list, "demo", "ada", NULL, 10);
    assert_int_equal(rows->request.out.count, 1);
    assert_int_equal(rows->devices[0].revoked_ms, WALL_MS + 30);
    registry_rig_ask_free(rows);

    struct registry_ask *back = registry_rig_ask_device(&world, ops->device_register, "demo", "ada", "phone");
    assert_int_equal(back->request.status, 0);
    assert_true(back->request.out.created);
    assert_int_equal(back->devices[0].revoked_ms, 0);
    registry_rig_ask_free(back);
    registry_rig_close(&world);
}

static void devices_are_listed_by_user_and_by_app(void **state)
{
    static const char *const all[][2] = {{"ada", "a"}, {"ada", "b"}, {"ada", "c"}, {"bob", "a"}, {"bob", "z"}};
    struct registry_rig world;
    registry_rig_open(&world, *state);
    const struct registry_ops *ops = world.registry->ops;
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_app(&world, "other"), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "other", "ada", "not-here"), 0);
    for (size_t i = 5; i-- > 0;)
        assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", all[i][0], all[i][1]), 0);

    struct registry_ask *page = registry_rig_list(&world, ops->device_list, "demo", "ada", "a", 1);
    assert_int_equal(page->request.out.count, 1);
    assert_true(page->request.out.more);
    assert_string_equal(page->devices[0].device, "b");
    registry_rig_ask_free(page);

    char after[64] = "";
    uint32_t seen = 0;
    bool more = true;
    while (more) {
        page = registry_rig_list(&world, ops->device_list, "demo", NULL, after, 2);
        assert_int_equal(page->request.status, 0);
        for (uint32_t i = 0; i < page->request.out.count; i++, seen++) {
            assert_true(seen < 5);
            assert_string_equal(page->devices[i].user, all[seen][0]);
            assert_string_equal(page->devices[i].device, all[seen][1]);
            snprintf(after, sizeof after, "%s\n%s", all[seen][0], all[seen][1]);
        }
        more = page->request.out.more;
        registry_rig_ask_free(page);
    }
    assert_int_equal(seen, 5);
    page = registry_rig_list(&world, ops->device_list, "demo", NULL, "ada", 2);
    assert_int_equal(page->request.status, PETREL_E_INVALID);
    registry_rig_ask_free(page);
    page = registry_rig_list(&world, ops->device_list, "none", NULL, NULL, 2);
    assert_int_equal(page->request.status, PETREL_E_NOT_FOUND);
    registry_rig_ask_free(page);
    registry_rig_close(&world);
}

/* Collations that pad, fold or ignore would make one of these. They stand as they are ordered. */
static void names_are_compared_by_their_bytes(void **state)
{
    static const char *const users[] = {"ADA",    "Ada",        "ada",      "ada ",
                                        "ada  x", "ad\xc3\xa1", "\xc3\xa0", "\xf0\x9f\x90\xa6"};
    enum { COUNT = sizeof users / sizeof users[0] };
    struct registry_rig world;
    registry_rig_open(&world, *state);
    const struct registry_ops *ops = world.registry->ops;
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    for (size_t i = 0; i < COUNT; i++) {
        struct registry_ask *ask = registry_rig_ask_device(&world, ops->device_register, "demo", users[i], "p");
        assert_int_equal(ask->request.status, 0);
        assert_true(ask->request.out.created);
        registry_rig_ask_free(ask);
    }
    struct registry_ask *all = registry_rig_list(&world, ops->device_list, "demo", NULL, NULL, REGISTRY_PAGE_MAX);
    assert_int_equal(all->request.out.count, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_string_equal(all->devices[i].user, users[i]);
    registry_rig_ask_free(all);

    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "P"), 0);
    struct registry_ask *two = registry_rig_list(&world, ops->device_list, "demo", "ada", NULL, REGISTRY_PAGE_MAX);
    assert_int_equal(two->request.out.count, 2);
    assert_string_equal(two->devices[0].device, "P");
    registry_rig_ask_free(two);
    registry_rig_close(&world);
}

static void names_of_full_length_are_kept_whole(void **state)
{
    struct registry_rig world;
    char app[ROUTE_APP_MAX + 1], user[ROUTE_USER_MAX + 1], device[ROUTE_DEVICE_MAX + 1], label[REGISTRY_LABEL_MAX + 1];
    memset(app, 'a', sizeof app);
    memset(device, 'd', sizeof device);
    for (size_t i = 0; i < sizeof user; i += 2)
        memcpy(user + i, "\xc3\xa9", i + 2 < sizeof user ? 2 : 1);
    memcpy(label, user, sizeof label);
    app[ROUTE_APP_MAX] = user[ROUTE_USER_MAX] = device[ROUTE_DEVICE_MAX] = label[REGISTRY_LABEL_MAX] = '\0';

    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, app), 0);
    struct registry_ask *ask = registry_rig_ask_new(app);
    ask->request.in.user = bytes_str(user);
    ask->request.in.device = bytes_str(device);
    ask->request.in.label = bytes_str(label);
    assert_int_equal(registry_rig_ask(&world, ask, world.registry->ops->device_register), 0);
    registry_rig_ask_free(ask);
    struct registry_ask *rows = registry_rig_list(&world, world.registry->ops->device_list, app, user, NULL, 10);
    assert_int_equal(rows->request.out.count, 1);
    assert_string_equal(rows->devices[0].user, user);
    assert_string_equal(rows->devices[0].device, device);
    assert_string_equal(rows->devices[0].platform, label);
    registry_rig_ask_free(rows);
    registry_rig_close(&world);
}

/* ---- many at once, and the end ---- */

#define CROWD 400
struct crowd {
    struct registry_rig *world;
    struct member {
        struct registry_request request;
        struct crowd *crowd;
        char user[16];
        uint32_t done;
    } members[CROWD];
    uint32_t taken;
    struct loops_tally done;
};

static void on_member_done(struct registry_request *request)
{
    struct member *member = container_of(request, struct member, request);
    member->done++;
    loops_tally_add(&member->crowd->done, 1);
}

static void do_crowd(void *ctx)
{
    struct crowd *crowd = ctx;
    const struct registry_ops *ops = crowd->world->registry->ops;
    for (size_t i = 0; i < CROWD; i++) {
        struct member *member = &crowd->members[i];
        struct registry_request *request = &member->request;
        member->crowd = crowd;
        snprintf(member->user, sizeof member->user, "user-%zu", i / 4);
        request->home = crowd->world->loops.loops[i % 2];
        request->done = on_member_done;
        request->in.app = bytes_str(i % 8 == 7 ? "none" : "demo");
        request->in.user = bytes_str(member->user);
        request->in.device = bytes_str("phone");
        request->in.limit = 10;
        registry_op_fn *op = i % 4 == 2 ? ops->device_list : ops->device_register;
        crowd->taken += op(crowd->world->registry, request) == 0;
    }
}

static struct crowd *ask_crowd(struct registry_rig *world)
{
    struct crowd *crowd = object_zalloc(sizeof *crowd);
    crowd->world = world;
    loops_tally_init(&crowd->done);
    loops_run_on(&world->loops, 0, do_crowd, crowd);
    assert_int_equal(crowd->taken, CROWD);
    return crowd;
}

static void check_crowd(struct crowd *crowd)
{
    assert_true(loops_tally_wait(&crowd->done, CROWD));
    for (size_t i = 0; i < CROWD; i++) {
        const struct member *member = &crowd->members[i];
        assert_int_equal(member->done, 1);
        assert_int_equal(member->request.status, i % 8 == 7 ? PETREL_E_NOT_FOUND : 0);
        if (i % 4 == 2) /* sees what was asked for before it */
            assert_int_equal(member->request.out.count, 1);
        else if (i % 8 != 7)
            assert_int_equal(member->request.out.created, i % 4 == 0);
    }
    loops_tally_destroy(&crowd->done);
    free(crowd);
}

static void many_at_once_are_done_in_order_and_once(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    check_crowd(ask_crowd(&world));
    registry_rig_close(&world);
}

static void close_finishes_what_was_taken(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    struct crowd *crowd = ask_crowd(&world);
    registry_rig_reopen(&world);
    check_crowd(crowd);
    registry_rig_close(&world);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_device_is_registered_and_updated),
        cmocka_unit_test(a_user_has_so_many_live_devices),
        cmocka_unit_test(a_revoked_device_stays_on_record_and_may_return),
        cmocka_unit_test(devices_are_listed_by_user_and_by_app),
        cmocka_unit_test(names_are_compared_by_their_bytes),
        cmocka_unit_test(names_of_full_length_are_kept_whole),
        cmocka_unit_test(many_at_once_are_done_in_order_and_once),
        cmocka_unit_test(close_finishes_what_was_taken),
    };
    return registry_rig_run(cases, sizeof cases / sizeof cases[0]);
}
