/* The registry on MySQL as many nodes share it: what one writes the others see, the schema, what deleted apps leave. */
#include "contract/registry_rig.h"

#include "driver/mysqldb.h"
#include "lib/until.h"

#include <string.h>

#define SEEN_MS 30000
#define NODES 6
#define NEWEST 3 /* version of the schema */
#define PURGED 1300

static void open_two(struct registry_rig *here, struct registry_rig *there, void *backend)
{
    registry_rig_open(here, backend);
    registry_rig_prepare_beside(there, here);
    assert_int_equal(registry_rig_try_open(there), 0);
}

struct look {
    struct registry_rig *world;
    const char *app; /* is in the snapshot, or the key is one of it */
    const char *key;
};

static bool shows(void *ctx)
{
    const struct look *look = ctx;
    if (look->key != NULL)
        return registry_rig_key_opens(look->world, look->key, look->app);
    struct snapshot *snapshot = registry_rig_newest(look->world);
    const bool found = snapshot_find_app(snapshot, bytes_str(look->app)) != NULL;
    snapshot_unref(snapshot);
    return found;
}

static bool hides(void *ctx)
{
    return !shows(ctx);
}

static void a_node_sees_what_others_change(void **state)
{
    struct registry_rig here, there;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    open_two(&here, &there, *state);
    assert_int_equal(registry_rig_create_app(&here, "demo"), 0);
    assert_int_equal(registry_rig_create_key(&here, "demo", NULL, text, id), 0);
    struct look key = {&there, "demo", text};
    assert_true(until(shows, &key, SEEN_MS));

    /* The same secrets: a token that one signed is good on the other. */
    struct snapshot *ours = registry_rig_newest(&here), *theirs = registry_rig_newest(&there);
    const struct snapshot_app *a = snapshot_find_app(ours, bytes_str("demo"));
    const struct snapshot_app *b = snapshot_find_app(theirs, bytes_str("demo"));
    assert_memory_equal(&a->secrets[0], &b->secrets[0], sizeof a->secrets[0]);
    assert_int_equal(snapshot_version(ours), snapshot_version(theirs));
    snapshot_unref(ours);
    snapshot_unref(theirs);

    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.key_id = bytes_str(id);
    assert_int_equal(registry_rig_ask(&here, ask, here.registry->ops->key_revoke), 0);
    registry_rig_ask_free(ask);
    assert_true(until(hides, &key, SEEN_MS));

    struct look app = {&here, "demo", NULL};
    assert_int_equal(registry_rig_delete_app(&there, "demo"), 0);
    assert_true(until(hides, &app, SEEN_MS));
    assert_int_equal(registry_rig_create_app(&here, "demo"), PETREL_E_EXISTS);
    registry_rig_close(&there);
    registry_rig_close(&here);
}

static void devices_need_no_snapshot_to_be_seen(void **state)
{
    struct registry_rig here, there;
    open_two(&here, &there, *state);
    const struct registry_ops *ops = here.registry->ops;
    assert_int_equal(registry_rig_create_app(&here, "demo"), 0);
    assert_int_equal(registry_rig_device(&here, ops->device_register, "demo", "ada", "phone"), 0);
    assert_int_equal(registry_rig_device(&there, ops->device_revoke, "demo", "ada", "phone"), 0);
    struct registry_ask *rows = registry_rig_list(&here, ops->device_list, "demo", "ada", NULL, 10);
    assert_int_equal(rows->request.out.count, 1);
    assert_int_equal(rows->devices[0].revoked_ms, WALL_MS);
    registry_rig_ask_free(rows);
    registry_rig_close(&there);
    registry_rig_close(&here);
}

/* ---- both at once ---- */

struct race {
    struct registry_rig *world;
    const char *prefix;
    struct runner {
        struct registry_request request;
        struct race *race;
        char device[16];
    } runners[ROUTE_DEVICES_MAX];
    struct loops_tally ended;
};

static void on_runner_done(struct registry_request *request)
{
    struct runner *runner = container_of(request, struct runner, request);
    loops_tally_add(&runner->race->ended, 1);
}

static void start_race(void *ctx)
{
    struct race *race = ctx;
    for (size_t i = 0; i < ROUTE_DEVICES_MAX; i++) {
        struct runner *runner = &race->runners[i];
        struct registry *registry = race->world->registry;
        runner->race = race;
        snprintf(runner->device, sizeof runner->device, "%s%zu", race->prefix, i);
        runner->request.home = race->world->loops.loops[1];
        runner->request.done = on_runner_done;
        runner->request.in.app = bytes_str("demo");
        runner->request.in.user = bytes_str("ada");
        runner->request.in.device = bytes_str(runner->device);
        const int taken = registry->ops->device_register(registry, &runner->request);
        petrel_assert(taken == 0);
    }
}

static void two_nodes_keep_to_one_limit(void **state)
{
    struct registry_rig worlds[2];
    struct race *races = object_zalloc(2 * sizeof *races);
    open_two(&worlds[0], &worlds[1], *state);
    assert_int_equal(registry_rig_create_app(&worlds[0], "demo"), 0);
    for (size_t i = 0; i < 2; i++) {
        races[i].world = &worlds[i];
        races[i].prefix = i == 0 ? "left-" : "right-";
        loops_tally_init(&races[i].ended);
    }
    for (size_t i = 0; i < 2; i++)
        loops_run_on(&worlds[i].loops, 1, start_race, &races[i]);
    size_t in = 0, out = 0;
    for (size_t i = 0; i < 2; i++) {
        assert_true(loops_tally_wait(&races[i].ended, ROUTE_DEVICES_MAX));
        loops_tally_destroy(&races[i].ended);
        for (size_t j = 0; j < ROUTE_DEVICES_MAX; j++) {
            in += races[i].runners[j].request.status == 0;
            out += races[i].runners[j].request.status == PETREL_E_TOO_LARGE;
        }
    }
    assert_int_equal(in, ROUTE_DEVICES_MAX);
    assert_int_equal(out, ROUTE_DEVICES_MAX);
    free(races);
    registry_rig_close(&worlds[1]);
    registry_rig_close(&worlds[0]);
}

struct starter {
    struct registry_rig world;
    pthread_t thread;
    int result;
};

static void *start_node(void *arg)
{
    struct starter *starter = arg;
    starter->result = registry_rig_try_open(&starter->world);
    return NULL;
}

static void nodes_that_start_at_once_make_one_schema(void **state)
{
    struct starter *nodes = object_zalloc(NODES * sizeof *nodes);
    for (size_t i = 0; i < NODES; i++) {
        if (i == 0)
            registry_rig_prepare(&nodes[i].world, *state);
        else
            registry_rig_prepare_beside(&nodes[i].world, &nodes[0].world);
    }
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(pthread_create(&nodes[i].thread, NULL, start_node, &nodes[i]), 0);
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(pthread_join(nodes[i].thread, NULL), 0);
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(nodes[i].result, 0);
    assert_int_equal(registry_rig_number(&nodes[0].world, "SELECT count(*) FROM petrel_schema"), 1);
    assert_int_equal(registry_rig_number(&nodes[0].world, "SELECT version FROM petrel_schema"), NEWEST);
    assert_int_equal(registry_rig_number(&nodes[0].world, "SELECT count(*) FROM registry_version"), 1);
    assert_int_equal(registry_rig_create_app(&nodes[NODES - 1].world, "demo"), 0);
    struct look look = {&nodes[0].world, "demo", NULL};
    assert_true(until(shows, &look, SEEN_MS));
    for (size_t i = NODES; i-- > 0;)
        registry_rig_close(&nodes[i].world);
    free(nodes);
}

/* ---- the schema ---- */

static void a_schema_of_others_is_left_alone(void **state)
{
    struct registry_rig world;
    registry_rig_prepare(&world, *state);
    registry_rig_sql(&world, "CREATE TABLE orders (id INT)");
    assert_int_equal(registry_rig_try_open(&world), PETREL_E_UNSUPPORTED);
    assert_int_equal(
        registry_rig_number(&world, "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()"),
        1);
    registry_rig_sql(&world, "DROP TABLE orders");
    assert_int_equal(registry_rig_try_open(&world), 0);
    registry_rig_sql(&world, "UPDATE petrel_schema SET version = version + 1");
    struct registry_rig older;
    registry_rig_prepare_beside(&older, &world);
    assert_int_equal(registry_rig_try_open(&older), PETREL_E_UNSUPPORTED);
    registry_rig_close(&older);
    registry_rig_close(&world);
}

static void a_half_made_schema_is_completed(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    /* As a crash between two statements leaves it. */
    registry_rig_sql(&world, "DELETE FROM petrel_schema");
    registry_rig_sql(&world, "DROP TABLE purge_app");
    registry_rig_reopen(&world);
    assert_int_equal(registry_rig_number(&world, "SELECT version FROM petrel_schema"), NEWEST);
    assert_int_equal(registry_rig_delete_app(&world, "demo"), 0);
    registry_rig_close(&world);
}

static void keys_of_the_first_schema_keep_their_rights(void **state)
{
    struct registry_rig world;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", NULL, text, id), 0);
    registry_rig_sql(&world, "DROP TABLE app_token_key, app_limit, app_edge, api_key_grant, audit");
    registry_rig_sql(&world, "UPDATE petrel_schema SET version = 1");
    registry_rig_reopen(&world);
    assert_int_equal(registry_rig_number(&world, "SELECT version FROM petrel_schema"), NEWEST);
    const struct snapshot_key *key = snapshot_find_key(world.snapshot, bytes_str(text));
    assert_non_null(key);
    assert_int_equal(key->scopes, 0);
    assert_int_equal(key->expires_ms, 0);
    assert_int_equal(snapshot_key_app(world.snapshot, key)->secrets_count, 1);
    registry_rig_close(&world);
}

#define COLUMNS                                                                                                        \
    "SELECT CRC32(GROUP_CONCAT(CONCAT_WS(' ', table_name, ordinal_position, column_name, column_type, is_nullable,"    \
    " column_key, extra, column_default) ORDER BY table_name, ordinal_position)) FROM information_schema.columns"      \
    " WHERE table_schema = DATABASE()"
#define INDEXES                                                                                                        \
    "SELECT CRC32(GROUP_CONCAT(CONCAT_WS(' ', table_name, index_name, seq_in_index, column_name, non_unique)"          \
    " ORDER BY table_name, index_name, seq_in_index)) FROM information_schema.statistics"                              \
    " WHERE table_schema = DATABASE()"

/* Statements end with a semicolon at the end of a line. */
static void apply_file(struct registry_rig *world, const char *name)
{
    char path[1024], text[16384];
    snprintf(path, sizeof path, "%s/%s", PETREL_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    assert_in_range(len, 1, sizeof text - 2);
    text[len] = '\0';
    struct mysqldb *db = registry_rig_administrator(world);
    for (char *at = text, *end; (end = strstr(at, ";\n")) != NULL; at = end + 2) {
        *end = '\0';
        assert_int_equal(mysqldb_exec(db, at), 0);
    }
    mysqldb_close(&db);
}

static void apply_schema(struct registry_rig *world)
{
    apply_file(world, "deploy/sql/registry/001.sql");
    apply_file(world, "deploy/sql/registry/002.sql");
    apply_file(world, "deploy/sql/registry/003.sql");
}

static void the_operators_file_makes_the_same_schema(void **state)
{
    struct registry_rig made, applied;
    char sql[128];
    registry_rig_open(&made, *state);
    registry_rig_prepare(&applied, *state);
    for (int again = 0; again < 2; again++) /* it says that it may be run again */
        apply_schema(&applied);
    assert_true(registry_rig_number(&made, "SELECT count(*) FROM information_schema.columns"
                                           " WHERE table_schema = DATABASE()") > 25);
    assert_int_equal(registry_rig_number(&applied, COLUMNS), registry_rig_number(&made, COLUMNS));
    assert_int_equal(registry_rig_number(&applied, INDEXES), registry_rig_number(&made, INDEXES));

    snprintf(sql, sizeof sql, "REVOKE CREATE ON %s.* FROM '%s'@'localhost'", applied.database, REGISTRY_RIG_USER);
    registry_rig_sql(&applied, sql);
    assert_int_equal(registry_rig_try_open(&applied), 0);
    assert_int_equal(registry_rig_create_app(&applied, "demo"), 0);
    registry_rig_close(&applied);
    registry_rig_close(&made);
}

static bool is_gone(void *ctx)
{
    return registry_rig_number(ctx, "SELECT (SELECT count(*) FROM device) + (SELECT count(*) FROM purge_app)") == 0;
}

static void change(struct registry_rig *world, enum registry_change what, const char *kid)
{
    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.change = what;
    ask->request.in.kid = bytes_str(kid);
    ask->request.in.limits = (struct snapshot_limits){10, 5};
    assert_int_equal(registry_rig_ask(world, ask, world->registry->ops->app_change), 0);
    registry_rig_ask_free(ask);
}

static void change_everything(struct registry_rig *world)
{
    const struct registry_audit_row row = {.who = "test", .action = "test", .outcome = "OK"};
    change(world, REGISTRY_CHANGE_SECRET_ADD, "");
    change(world, REGISTRY_CHANGE_LIMITS, "");
    change(world, REGISTRY_CHANGE_LIMITS, "");
    char kid[17];
    struct snapshot *snapshot = registry_rig_newest(world);
    strcpy(kid, snapshot_find_app(snapshot, bytes_str("demo"))->secrets[0].kid);
    snapshot_unref(snapshot);
    change(world, REGISTRY_CHANGE_KEY_RETIRE, kid);
    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.scopes = SNAPSHOT_SCOPE_SEND;
    assert_int_equal(registry_rig_ask(world, ask, world->registry->ops->key_create), 0);
    registry_rig_ask_free(ask);
    ask = registry_rig_ask_new(NULL);
    ask->request.in.audit = &row;
    assert_int_equal(registry_rig_ask(world, ask, world->registry->audit->add), 0);
    registry_rig_ask_free(ask);
    ask = registry_rig_list(world, world->registry->audit->list, NULL, NULL, NULL, 1);
    assert_int_equal(ask->request.out.count, 1);
    registry_rig_ask_free(ask);
}

/* Every operation by a user who was granted what the operators' file says, on tables that the administrator made. */
static void the_operators_grants_are_enough_and_not_too_much(void **state)
{
    struct registry_rig world;
    char sql[256], text[REGISTRY_KEY_TEXT_MAX], id[17];
    registry_rig_prepare(&world, *state);
    snprintf(sql, sizeof sql, "REVOKE ALL ON %s.* FROM '%s'@'localhost'", world.database, REGISTRY_RIG_USER);
    registry_rig_sql(&world, sql);
    apply_schema(&world);
    snprintf(sql, sizeof sql, "CREATE OR REPLACE USER '%s'@'%%' IDENTIFIED BY '%s'", REGISTRY_RIG_USER,
             REGISTRY_RIG_PASSWORD);
    registry_rig_sql(&world, sql);
    snprintf(sql, sizeof sql, "DROP USER '%s'@'localhost'", REGISTRY_RIG_USER);
    registry_rig_sql(&world, sql);
    apply_file(&world, "deploy/sql/registry/grants.sql");
    assert_int_equal(registry_rig_try_open(&world), 0);

    const struct registry_ops *ops = world.registry->ops;
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", NULL, text, id), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "phone"), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "phone"), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_revoke, "demo", "ada", "phone"), 0);
    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.key_id = bytes_str(id);
    assert_int_equal(registry_rig_ask(&world, ask, ops->key_revoke), 0);
    registry_rig_ask_free(ask);
    change_everything(&world);
    assert_int_equal(registry_rig_refresh(&world), 0);
    assert_int_equal(registry_rig_delete_app(&world, "demo"), 0);
    assert_true(until(is_gone, &world, SEEN_MS));

    const struct mysqldb_config config = {.socket = world.server->socket,
                                          .user = REGISTRY_RIG_USER,
                                          .password = REGISTRY_RIG_PASSWORD,
                                          .database = world.database,
                                          .timeout_ms = 5000};
    static const char *const forbidden[] = {"DELETE FROM gone_app", "UPDATE app SET name = 'x'", "DROP TABLE device",
                                            "UPDATE petrel_schema SET version = 9", "DELETE FROM registry_version"};
    struct mysqldb *db;
    assert_int_equal(mysqldb_open(&db, &config), 0);
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        assert_int_equal(mysqldb_exec(db, forbidden[i]), PETREL_E_FORBIDDEN);
    mysqldb_close(&db);
    snprintf(sql, sizeof sql, "DROP USER '%s'@'%%'", REGISTRY_RIG_USER); /* the next world makes its own */
    registry_rig_sql(&world, sql);
    registry_rig_close(&world);
}

/* ---- what deleted apps leave ---- */

static bool is_purged(void *ctx)
{
    return registry_rig_number(ctx, "SELECT (SELECT count(*) FROM device) + (SELECT count(*) FROM purge_app)") == 1;
}

static void devices_of_deleted_apps_go_in_slices(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    const struct registry_ops *ops = world.registry->ops;
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_app(&world, "other"), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "other", "ada", "phone"), 0);
    char sql[256];
    snprintf(sql, sizeof sql,
             "INSERT INTO device SELECT app.id, CONCAT('user-', seq), 'phone', '', 0, 0, 0"
             " FROM app JOIN seq_1_to_%d WHERE name = 'demo'",
             PURGED);
    registry_rig_sql(&world, sql);
    assert_int_equal(registry_rig_number(&world, "SELECT count(*) FROM device"), PURGED + 1);
    assert_int_equal(registry_rig_delete_app(&world, "demo"), 0);
    assert_true(until(is_purged, &world, SEEN_MS));
    struct registry_ask *rows = registry_rig_list(&world, ops->device_list, "other", NULL, NULL, 10);
    assert_int_equal(rows->request.out.count, 1);
    registry_rig_ask_free(rows);
    registry_rig_close(&world);
}

/* A primary that became read-only is left when there is something to write: the address may be another's now. */
static void writes_go_on_when_the_server_takes_them_again(void **state)
{
    struct registry_rig here, there;
    open_two(&here, &there, *state);
    here.fixture->fill(&here, true);
    const int refused = registry_rig_create_app(&here, "demo");
    struct registry_ask *rows = registry_rig_list(&here, here.registry->ops->app_list, NULL, NULL, NULL, 10);
    here.fixture->fill(&here, false);
    assert_int_equal(refused, PETREL_E_UNAVAILABLE);
    assert_int_equal(rows->request.status, 0);
    registry_rig_ask_free(rows);
    assert_int_equal(registry_rig_create_app(&here, "demo"), 0);
    struct look look = {&there, "demo", NULL};
    assert_true(until(shows, &look, SEEN_MS));
    registry_rig_close(&there);
    registry_rig_close(&here);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_node_sees_what_others_change),
        cmocka_unit_test(devices_need_no_snapshot_to_be_seen),
        cmocka_unit_test(two_nodes_keep_to_one_limit),
        cmocka_unit_test(nodes_that_start_at_once_make_one_schema),
        cmocka_unit_test(a_schema_of_others_is_left_alone),
        cmocka_unit_test(a_half_made_schema_is_completed),
        cmocka_unit_test(keys_of_the_first_schema_keep_their_rights),
        cmocka_unit_test(the_operators_file_makes_the_same_schema),
        cmocka_unit_test(the_operators_grants_are_enough_and_not_too_much),
        cmocka_unit_test(devices_of_deleted_apps_go_in_slices),
        cmocka_unit_test(writes_go_on_when_the_server_takes_them_again),
    };
    return registry_rig_run_on("mysql", cases, sizeof cases / sizeof cases[0]);
}
