/* A node whose MySQL is away when it starts, or answers in ways that must not be an administrator's trouble; and what a node asks
 * when it is shown a key that it does not know. */
#include "contract/registry_rig.h"

#include "driver/mysqldb.h"
#include "lib/until.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVER_MS 60000
#define RECOVERY_MS 30000
#define NEVER_MS 600000

struct key {
    struct registry_rig *world;
    char text[REGISTRY_KEY_TEXT_MAX];
    char id[17];
};

static bool opens(void *ctx)
{
    const struct key *key = ctx;
    return registry_rig_key_opens(key->world, key->text, "demo");
}

static void make_key(struct key *key, struct registry_rig *world)
{
    key->world = world;
    assert_int_equal(registry_rig_create_key(world, "demo", NULL, key->text, key->id), 0);
}

static void revoke_key(struct registry_rig *world, const struct key *key)
{
    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.key_id = bytes_str(key->id);
    assert_int_equal(registry_rig_ask(world, ask, world->registry->ops->key_revoke), 0);
    registry_rig_ask_free(ask);
}

static int64_t down(const struct registry_rig *world)
{
    return metrics_get(world->metrics, METRIC_REGISTRY_DOWN);
}

static void stop_server(const struct registry_rig *world)
{
    assert_true(mariadb_server_stop(world->server, SIGKILL, SERVER_MS));
}

static void start_server(const struct registry_rig *world)
{
    assert_true(mariadb_server_start(world->server, SERVER_MS));
}

static void close_only_the_registry(struct registry_rig *world)
{
    world->registry->ops->close(world->registry);
    world->registry = NULL;
    snapshot_unref(world->snapshot);
    world->snapshot = NULL;
}

/* ---- looks that are asked for ---- */

/* Neither node asks by itself: what is seen, refresh() has shown. */
static void a_refresh_shows_what_another_node_changed(void **state)
{
    struct registry_rig here, there;
    struct key key;
    registry_rig_prepare(&here, *state);
    here.poll_ms = NEVER_MS;
    assert_int_equal(registry_rig_try_open(&here), 0);
    registry_rig_prepare_beside(&there, &here);
    assert_int_equal(registry_rig_try_open(&there), 0);
    assert_int_equal(registry_rig_create_app(&here, "demo"), 0);
    make_key(&key, &here);
    assert_false(registry_rig_key_opens(&there, key.text, "demo"));
    assert_int_equal(registry_rig_refresh(&there), 0);
    assert_true(registry_rig_key_opens(&there, key.text, "demo"));

    revoke_key(&here, &key);
    assert_int_equal(registry_rig_refresh(&there), 0);
    assert_false(registry_rig_key_opens(&there, key.text, "demo"));
    registry_rig_close(&there);
    registry_rig_close(&here);
}

#define LOOKS 300

struct look {
    struct registry_request request;
    struct looks *looks;
};

struct looks {
    struct registry_rig *world;
    struct look all[LOOKS];
    struct loops_tally ended;
};

static void on_look_done(struct registry_request *request)
{
    loops_tally_add(&container_of(request, struct look, request)->looks->ended, 1);
}

static void ask_looks(void *ctx)
{
    struct looks *looks = ctx;
    struct registry *registry = looks->world->registry;
    for (size_t i = 0; i < LOOKS; i++) {
        struct look *look = &looks->all[i];
        look->looks = looks;
        look->request.home = looks->world->loops.loops[1];
        look->request.done = on_look_done;
        const int taken = registry->ops->refresh(registry, &look->request);
        petrel_assert(taken == 0);
    }
}

static void many_refreshes_are_few_questions(void **state)
{
    struct registry_rig world;
    registry_rig_prepare(&world, *state);
    world.poll_ms = NEVER_MS;
    assert_int_equal(registry_rig_try_open(&world), 0);
    struct looks *looks = object_zalloc(sizeof *looks);
    looks->world = &world;
    loops_tally_init(&looks->ended);
    const char *executed = "SELECT variable_value FROM information_schema.global_status"
                           " WHERE variable_name = 'COM_STMT_EXECUTE'";
    const int64_t before = registry_rig_number(&world, executed);
    loops_run_on(&world.loops, 1, ask_looks, looks);
    assert_true(loops_tally_wait(&looks->ended, LOOKS));
    const int64_t asked = registry_rig_number(&world, executed) - before;
    for (size_t i = 0; i < LOOKS; i++)
        assert_int_equal(looks->all[i].request.status, 0);
    assert_in_range(asked, 1, LOOKS / 10);
    loops_tally_destroy(&looks->ended);
    free(looks);
    registry_rig_close(&world);
}

static void a_refresh_without_the_server_says_so(void **state)
{
    struct registry_rig world;
    struct key key;
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    make_key(&key, &world);
    assert_int_equal(down(&world), 0);
    stop_server(&world);
    assert_int_equal(registry_rig_refresh(&world), PETREL_E_UNAVAILABLE);
    assert_int_equal(down(&world), 1);
    assert_true(opens(&key));
    start_server(&world);
    assert_true(until(opens, &key, RECOVERY_MS));
    registry_rig_close(&world);
}

/* ---- starting ---- */

struct gauge {
    const struct registry_rig *world;
    int64_t value;
};

static bool shows(void *ctx)
{
    const struct gauge *gauge = ctx;
    return down(gauge->world) == gauge->value;
}

static void a_node_starts_without_the_server(void **state)
{
    struct registry_rig world;
    struct key key;
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    make_key(&key, &world);
    close_only_the_registry(&world);

    stop_server(&world);
    assert_int_equal(registry_rig_try_open(&world), 0);
    assert_null(registry_rig_newest(&world));
    assert_int_equal(down(&world), 1);
    assert_int_equal(registry_rig_create_app(&world, "later"), PETREL_E_UNAVAILABLE);
    start_server(&world);
    assert_true(until(opens, &key, RECOVERY_MS));
    struct gauge gauge = {&world, 0};
    assert_true(until(shows, &gauge, RECOVERY_MS));
    registry_rig_close(&world);
}

static void a_node_serves_the_snapshot_that_it_kept(void **state)
{
    struct registry_rig world, other;
    struct key kept, later;
    struct stat st;
    char path[128];
    registry_rig_prepare(&world, *state);
    world.keeps_copy = true;
    assert_int_equal(registry_rig_try_open(&world), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    make_key(&kept, &world);
    close_only_the_registry(&world);
    assert_int_equal(stat(registry_rig_copy_path(&world, path), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    /* Meanwhile the key is revoked by another, and there is a new one. */
    registry_rig_prepare_beside(&other, &world);
    assert_int_equal(registry_rig_try_open(&other), 0);
    make_key(&later, &other);
    revoke_key(&other, &kept);
    later.world = &world;
    registry_rig_close(&other);

    stop_server(&world);
    assert_int_equal(registry_rig_try_open(&world), 0);
    assert_true(opens(&kept));
    assert_false(opens(&later));
    assert_int_equal(registry_rig_create_app(&world, "other"), PETREL_E_UNAVAILABLE);
    assert_int_equal(registry_rig_refresh(&world), PETREL_E_UNAVAILABLE);
    start_server(&world);
    assert_true(until(opens, &later, RECOVERY_MS));
    assert_false(opens(&kept));
    registry_rig_close(&world);
}

/* As an operator leaves it who restored a backup: the version is less than the copy's. */
static void a_copy_is_replaced_by_what_the_database_says(void **state)
{
    struct registry_rig world;
    struct key key;
    registry_rig_prepare(&world, *state);
    world.keeps_copy = true;
    assert_int_equal(registry_rig_try_open(&world), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    make_key(&key, &world);
    close_only_the_registry(&world);
    registry_rig_sql(&world, "DELETE FROM api_key");
    stop_server(&world);
    assert_int_equal(registry_rig_try_open(&world), 0);
    assert_true(opens(&key));
    start_server(&world);
    struct gauge gauge = {&world, 0};
    assert_true(until(shows, &gauge, RECOVERY_MS));
    assert_int_equal(registry_rig_refresh(&world), 0);
    assert_false(opens(&key));
    registry_rig_close(&world);
}

/* ---- the server's own ways ---- */

static void end_connections(struct registry_rig *world)
{
    char sql[256];
    struct mysqldb *db = registry_rig_administrator(world);
    int64_t id = 0;
    snprintf(sql, sizeof sql,
             "SELECT id FROM information_schema.processlist WHERE user = '%s' AND db = '%s' ORDER BY id DESC LIMIT 1",
             REGISTRY_RIG_USER, world->database);
    assert_int_equal(mysqldb_number(db, sql, &id), 0);
    assert_int_not_equal(id, 0);
    snprintf(sql, sizeof sql, "KILL %lld", (long long)id);
    assert_int_equal(mysqldb_exec(db, sql), 0);
    mysqldb_close(&db);
}

static void a_connection_that_the_server_ends_is_not_noticed(void **state)
{
    struct registry_rig world;
    registry_rig_prepare(&world, *state);
    world.poll_ms = NEVER_MS; /* else the poll would find out */
    assert_int_equal(registry_rig_try_open(&world), 0);
    end_connections(&world);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    end_connections(&world);
    assert_int_equal(registry_rig_refresh(&world), 0);
    end_connections(&world);
    struct registry_ask *rows = registry_rig_list(&world, world.registry->ops->app_list, NULL, NULL, NULL, 10);
    assert_int_equal(rows->request.status, 0);
    assert_int_equal(rows->request.out.count, 1);
    registry_rig_ask_free(rows);
    registry_rig_close(&world);
}

struct creation {
    struct registry_rig *world;
    struct key key;
    int status;
};

static void *create_key(void *arg)
{
    struct creation *creation = arg;
    creation->status = registry_rig_create_key(creation->world, "demo", NULL, creation->key.text, creation->key.id);
    return NULL;
}

static bool is_waiting(void *ctx)
{
    return registry_rig_number(ctx, "SELECT variable_value FROM information_schema.global_status"
                                    " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'") > 0;
}

/* An administrator holds rows that the write wants, has written more than it, and asks for the row that it holds: the server
 * undoes the write. */
static void a_write_that_met_a_deadlock_is_done_anew(void **state)
{
    struct registry_rig world;
    pthread_t thread;
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    struct creation creation = {.world = &world};
    const char *deadlocks = "SELECT variable_value FROM information_schema.global_status"
                            " WHERE variable_name = 'INNODB_DEADLOCKS'";
    const int64_t before = registry_rig_number(&world, deadlocks);
    struct mysqldb *holder = registry_rig_administrator(&world);
    assert_int_equal(mysqldb_exec(holder, "SET SESSION innodb_lock_wait_timeout = 20"), 0);
    assert_int_equal(mysqldb_begin(holder), 0);
    assert_int_equal(mysqldb_exec(holder, "INSERT INTO gone_app SELECT CONCAT('gone-', seq) FROM seq_1_to_500"), 0);
    assert_int_equal(mysqldb_exec(holder, "SELECT * FROM api_key FOR UPDATE"), 0);
    assert_int_equal(pthread_create(&thread, NULL, create_key, &creation), 0);
    const bool waits = until(is_waiting, &world, RECOVERY_MS);
    const int asked = mysqldb_exec(holder, "SELECT * FROM registry_version FOR UPDATE");
    const int ended = mysqldb_commit(holder);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mysqldb_close(&holder);
    assert_true(waits);
    assert_int_equal(asked, 0);
    assert_int_equal(ended, 0);
    assert_int_equal(registry_rig_number(&world, deadlocks), before + 1);
    assert_int_equal(creation.status, 0);
    assert_true(registry_rig_key_opens(&world, creation.key.text, "demo"));
    assert_int_equal(registry_rig_number(&world, "SELECT count(*) FROM api_key"), 1);
    registry_rig_close(&world);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_refresh_shows_what_another_node_changed),
        cmocka_unit_test(many_refreshes_are_few_questions),
        cmocka_unit_test(a_refresh_without_the_server_says_so),
        cmocka_unit_test(a_node_starts_without_the_server),
        cmocka_unit_test(a_node_serves_the_snapshot_that_it_kept),
        cmocka_unit_test(a_copy_is_replaced_by_what_the_database_says),
        cmocka_unit_test(a_connection_that_the_server_ends_is_not_noticed),
        cmocka_unit_test(a_write_that_met_a_deadlock_is_done_anew),
    };
    return registry_rig_run_on("mysql", cases, sizeof cases / sizeof cases[0]);
}
