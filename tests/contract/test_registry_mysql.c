/* The registry on MySQL when its server dies, restarts, hangs or refuses. */
#include "contract/registry_rig.h"

#include "base/log.h"
#include "driver/mysqldb.h"
#include "lib/until.h"
#include "registry/registry_mysql.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define SERVER_MS 60000
#define RECOVERY_MS 30000
#define NEVER_MS 600000
#define SHOTS 100
#define FULL_ROWS 2000

static bool is_in_snapshot(struct registry_rig *world, const char *app)
{
    struct snapshot *snapshot = registry_rig_newest(world);
    const bool found = snapshot_find_app(snapshot, bytes_str(app)) != NULL;
    snapshot_unref(snapshot);
    return found;
}

struct attempt {
    struct registry_rig *world;
    const char *app;
};

/* A write that may have been done before, since a failed one may. */
static bool is_created(void *ctx)
{
    const struct attempt *attempt = ctx;
    const int status = registry_rig_create_app(attempt->world, attempt->app);
    return status == 0 || status == PETREL_E_EXISTS;
}

static bool shows(void *ctx)
{
    const struct attempt *attempt = ctx;
    return is_in_snapshot(attempt->world, attempt->app);
}

static void restart(struct registry_rig *world, int signal)
{
    assert_true(mariadb_server_stop(world->server, signal, SERVER_MS));
    assert_true(mariadb_server_start(world->server, SERVER_MS));
}

static void a_killed_server_is_waited_for(void **state)
{
    struct registry_rig world, other;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    registry_rig_open(&world, *state);
    registry_rig_prepare_beside(&other, &world);
    assert_int_equal(registry_rig_try_open(&other), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", NULL, text, id), 0);

    assert_true(mariadb_server_stop(world.server, SIGKILL, SERVER_MS));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(registry_rig_create_app(&world, "later"), PETREL_E_UNAVAILABLE);
        struct registry_ask *rows = registry_rig_list(&world, world.registry->ops->app_list, NULL, NULL, NULL, 10);
        assert_int_equal(rows->request.status, PETREL_E_UNAVAILABLE);
        assert_int_equal(rows->request.out.count, 0);
        registry_rig_ask_free(rows);
    }
    assert_true(registry_rig_key_opens(&world, text, "demo"));
    assert_false(is_in_snapshot(&world, "later"));

    assert_true(mariadb_server_start(world.server, SERVER_MS));
    struct attempt here = {&world, "later"}, there = {&other, "later"};
    assert_true(until(is_created, &here, RECOVERY_MS));
    assert_true(is_in_snapshot(&world, "later"));
    assert_true(registry_rig_key_opens(&world, text, "demo"));
    /* Nobody asked the other for anything. */
    assert_true(until(shows, &there, RECOVERY_MS));
    registry_rig_close(&other);
    registry_rig_close(&world);
}

static void a_restart_between_two_requests_is_not_noticed(void **state)
{
    struct registry_rig world;
    registry_rig_prepare(&world, *state);
    world.poll_ms = NEVER_MS; /* else the poll would find out */
    assert_int_equal(registry_rig_try_open(&world), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    restart(&world, SIGTERM);
    assert_int_equal(registry_rig_create_app(&world, "other"), 0);
    restart(&world, SIGKILL);
    struct registry_ask *rows = registry_rig_list(&world, world.registry->ops->app_list, NULL, NULL, NULL, 10);
    assert_int_equal(rows->request.status, 0);
    assert_int_equal(rows->request.out.count, 2);
    registry_rig_ask_free(rows);
    registry_rig_close(&world);
}

/* ---- under load ---- */

#define LOAD_KILLS 3
#define LOAD_BETWEEN 40

/* A backend that registers a device of one user after the other, each until it is told that it is registered. */
struct load {
    struct registry_rig *world;
    pthread_t thread;
    atomic_uint done;
    atomic_bool end;
};

static void *run_load(void *arg)
{
    struct load *load = arg;
    registry_op_fn *op = load->world->registry->ops->device_register;
    char user[32];
    while (!atomic_load(&load->end)) {
        snprintf(user, sizeof user, "user-%u", atomic_load(&load->done));
        const int status = registry_rig_device(load->world, op, "demo", user, "phone");
        petrel_assert(status == 0 || status == PETREL_E_UNAVAILABLE);
        atomic_fetch_add(&load->done, status == 0);
    }
    return NULL;
}

struct progress {
    struct load *load;
    unsigned done;
};

static bool has_progressed(void *ctx)
{
    const struct progress *progress = ctx;
    return atomic_load(&progress->load->done) >= progress->done;
}

static void wait_progress(struct load *load)
{
    struct progress progress = {load, atomic_load(&load->done) + LOAD_BETWEEN};
    assert_true(until(has_progressed, &progress, RECOVERY_MS));
}

/* What was answered is there, whenever the server died; and writes go on by themselves. */
static void a_server_killed_under_load_loses_nothing_that_was_answered(void **state)
{
    struct registry_rig world;
    struct load load = {.world = &world};
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(pthread_create(&load.thread, NULL, run_load, &load), 0);
    for (int kills = 0; kills < LOAD_KILLS; kills++) {
        wait_progress(&load);
        restart(&world, SIGKILL);
    }
    wait_progress(&load);
    atomic_store(&load.end, true);
    assert_int_equal(pthread_join(load.thread, NULL), 0);
    const int64_t done = atomic_load(&load.done);
    /* One more may be there: of the user whose last answer was a refusal in doubt. */
    assert_in_range(registry_rig_number(&world, "SELECT count(*) FROM device"), done, done + 1);
    registry_rig_close(&world);
}

/* ---- a server that does not answer ---- */

static void a_server_that_hangs_is_given_up_in_time(void **state)
{
    struct registry_rig world;
    registry_rig_prepare(&world, *state);
    world.timeout_ms = 1000;
    world.poll_ms = NEVER_MS; /* so that it is the write that finds the server hanging */
    assert_int_equal(registry_rig_try_open(&world), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);

    assert_true(mariadb_server_signal(world.server, SIGSTOP));
    const int status = registry_rig_create_app(&world, "late");
    const bool kept = is_in_snapshot(&world, "demo");
    assert_true(mariadb_server_signal(world.server, SIGCONT));
    assert_int_equal(status, PETREL_E_UNAVAILABLE);
    assert_true(kept);

    struct attempt late = {&world, "late"};
    assert_true(until(is_created, &late, RECOVERY_MS));
    assert_true(until(shows, &late, RECOVERY_MS));
    registry_rig_close(&world);
}

/* ---- closing while nothing answers ---- */

struct salvo;

struct shot {
    struct registry_request request;
    struct salvo *salvo;
    uint32_t done;
};

struct salvo {
    struct registry_rig *world;
    struct shot shots[SHOTS];
    uint32_t taken;
    struct loops_tally ended;
};

static void on_shot_done(struct registry_request *request)
{
    struct shot *shot = container_of(request, struct shot, request);
    shot->done++;
    loops_tally_add(&shot->salvo->ended, 1);
}

static void fire(void *ctx)
{
    struct salvo *salvo = ctx;
    struct registry_rig *world = salvo->world;
    for (size_t i = 0; i < SHOTS; i++) {
        struct shot *shot = &salvo->shots[i];
        shot->salvo = salvo;
        shot->request.home = world->loops.loops[1];
        shot->request.done = on_shot_done;
        shot->request.in.app = bytes_str("demo");
        shot->request.in.user = bytes_str("ada");
        shot->request.in.device = bytes_str("phone");
        salvo->taken += world->registry->ops->device_register(world->registry, &shot->request) == 0;
    }
}

static void close_ends_while_the_server_hangs(void **state)
{
    struct registry_rig world;
    registry_rig_prepare(&world, *state);
    world.timeout_ms = 1000;
    assert_int_equal(registry_rig_try_open(&world), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    struct salvo *salvo = object_zalloc(sizeof *salvo);
    salvo->world = &world;
    loops_tally_init(&salvo->ended);

    assert_true(mariadb_server_signal(world.server, SIGSTOP));
    loops_run_on(&world.loops, 1, fire, salvo);
    world.registry->ops->close(world.registry);
    world.registry = NULL;
    const bool ended = loops_tally_wait(&salvo->ended, salvo->taken);
    assert_true(mariadb_server_signal(world.server, SIGCONT));

    assert_int_equal(salvo->taken, SHOTS);
    assert_true(ended);
    for (size_t i = 0; i < SHOTS; i++) {
        assert_int_equal(salvo->shots[i].done, 1);
        assert_int_equal(salvo->shots[i].request.status, PETREL_E_UNAVAILABLE);
    }
    loops_tally_destroy(&salvo->ended);
    free(salvo);
    registry_rig_close(&world);
}

/* ---- locks ---- */

static void a_lock_that_is_kept_fails_writes_and_not_reads(void **state)
{
    struct registry_rig world;
    registry_rig_prepare(&world, *state);
    world.timeout_ms = 2000;
    assert_int_equal(registry_rig_try_open(&world), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    struct mysqldb *holder = registry_rig_administrator(&world);
    assert_int_equal(mysqldb_begin(holder), 0);
    assert_int_equal(mysqldb_exec(holder, "SELECT version FROM registry_version WHERE id = 1 FOR UPDATE"), 0);
    assert_int_equal(registry_rig_create_app(&world, "other"), PETREL_E_UNAVAILABLE);
    struct registry_ask *rows = registry_rig_list(&world, world.registry->ops->app_list, NULL, NULL, NULL, 10);
    assert_int_equal(rows->request.status, 0);
    assert_int_equal(rows->request.out.count, 1);
    registry_rig_ask_free(rows);
    mysqldb_close(&holder);
    assert_int_equal(registry_rig_create_app(&world, "other"), 0);
    registry_rig_close(&world);
}

/* A node that is stopped inside a transaction: the server takes the lock from it. */
static void a_node_that_hangs_loses_its_lock(void **state)
{
    struct registry_rig world;
    registry_rig_prepare(&world, *state);
    world.timeout_ms = 10000;
    assert_int_equal(registry_rig_try_open(&world), 0);
    const struct mysqldb_config config = {.socket = world.server->socket,
                                          .user = REGISTRY_RIG_USER,
                                          .password = REGISTRY_RIG_PASSWORD,
                                          .database = world.database,
                                          .timeout_ms = 1000};
    struct mysqldb *hanging;
    assert_int_equal(mysqldb_open(&hanging, &config), 0);
    assert_int_equal(mysqldb_begin(hanging), 0);
    assert_int_equal(mysqldb_exec(hanging, "UPDATE registry_version SET version = version + 5"), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_true(mysqldb_commit(hanging) < 0);
    assert_false(mysqldb_usable(hanging));
    mysqldb_close(&hanging);
    assert_int_equal(registry_rig_number(&world, "SELECT version FROM registry_version"), 1);
    registry_rig_close(&world);
}

/* A table that takes no more rows, by the server's own word. */
static void a_full_table_is_told_as_full(void **state)
{
    struct registry_rig world;
    char user[32];
    registry_rig_open(&world, *state);
    registry_op_fn *op = world.registry->ops->device_register;
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    struct mysqldb *db = registry_rig_administrator(&world);
    assert_int_equal(mysqldb_exec(db, "SET SESSION max_heap_table_size = 16384"), 0);
    assert_int_equal(mysqldb_exec(db, "ALTER TABLE device ENGINE = MEMORY"), 0);
    int status = 0;
    for (int i = 0; i < FULL_ROWS && status == 0; i++) {
        snprintf(user, sizeof user, "user-%d", i);
        status = registry_rig_device(&world, op, "demo", user, "phone");
    }
    assert_int_equal(status, PETREL_E_FULL);
    assert_int_equal(mysqldb_exec(db, "ALTER TABLE device ENGINE = InnoDB"), 0);
    mysqldb_close(&db);
    assert_int_equal(registry_rig_device(&world, op, "demo", user, "phone"), 0);
    registry_rig_close(&world);
}

/* ---- opening, and what is told about it ---- */

struct heard {
    pthread_mutex_t lock;
    bool refusal; /* the log has spoken of what is looked for */
    bool secret;
};

static void on_line(void *ctx, const char *line, size_t len)
{
    struct heard *heard = ctx;
    pthread_mutex_lock(&heard->lock);
    heard->refusal |= memmem(line, len, "Access denied", 13) != NULL;
    heard->secret |= memmem(line, len, REGISTRY_RIG_PASSWORD, strlen(REGISTRY_RIG_PASSWORD)) != NULL;
    pthread_mutex_unlock(&heard->lock);
}

static void ignore_snapshot(void *ctx, struct snapshot *snapshot)
{
    (void)ctx;
    (void)snapshot;
}

static int try_config(struct registry_rig *world, const struct mysqldb_config *server)
{
    const struct registry_mysql_config config = {
        .server = *server, .clock = &world->clock.clock, .on_snapshot = ignore_snapshot};
    struct registry *registry = NULL;
    const int err = registry_mysql_open(&registry, &config);
    if (err == 0)
        registry->ops->close(registry);
    else
        assert_null(registry);
    return err;
}

static void opening_says_what_is_wrong_and_no_secret(void **state)
{
    struct registry_rig world;
    struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
    char sql[256];
    registry_rig_prepare(&world, *state);
    struct mysqldb_config config = {.host = "127.0.0.1",
                                    .port = world.server->port,
                                    .user = REGISTRY_RIG_USER,
                                    .password = REGISTRY_RIG_PASSWORD,
                                    .database = world.database};
    log_set_sink(on_line, &heard);
    const int stranger = try_config(&world, &config); /* known on the socket alone */
    log_set_sink(NULL, NULL);
    assert_int_equal(stranger, PETREL_E_FORBIDDEN);
    assert_true(heard.refusal);
    assert_false(heard.secret);

    snprintf(sql, sizeof sql, "GRANT ALL ON %s.* TO '%s'@'127.0.0.1' IDENTIFIED BY '%s'", world.database,
             REGISTRY_RIG_USER, REGISTRY_RIG_PASSWORD);
    registry_rig_sql(&world, sql);
    assert_int_equal(try_config(&world, &config), 0);
    registry_rig_sql(&world, "CREATE USER IF NOT EXISTS 'observer'@'localhost' IDENTIFIED BY 'x'");
    registry_rig_sql(&world, "GRANT SELECT ON *.* TO 'observer'@'localhost'");
    const struct mysqldb_config nowhere = {
        .socket = world.server->socket, .user = "observer", .password = "x", .database = "nosuch"};
    assert_int_equal(try_config(&world, &nowhere), PETREL_E_NOT_FOUND);

    registry_rig_close(&world);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_killed_server_is_waited_for),
        cmocka_unit_test(a_restart_between_two_requests_is_not_noticed),
        cmocka_unit_test(a_server_killed_under_load_loses_nothing_that_was_answered),
        cmocka_unit_test(a_server_that_hangs_is_given_up_in_time),
        cmocka_unit_test(close_ends_while_the_server_hangs),
        cmocka_unit_test(a_lock_that_is_kept_fails_writes_and_not_reads),
        cmocka_unit_test(a_node_that_hangs_loses_its_lock),
        cmocka_unit_test(a_full_table_is_told_as_full),
        cmocka_unit_test(opening_says_what_is_wrong_and_no_secret),
    };
    return registry_rig_run_on("mysql", cases, sizeof cases / sizeof cases[0]);
}
