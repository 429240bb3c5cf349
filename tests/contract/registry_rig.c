#include "contract/registry_rig.h"

#include "driver/mysqldb.h"
#include "registry/registry_mysql.h"
#include "registry/registry_sqlite.h"

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SERVER_MS 60000

static void on_snapshot(void *ctx, struct snapshot *snapshot)
{
    struct registry_rig *world = ctx;
    pthread_mutex_lock(&world->lock);
    snapshot_unref(world->snapshot);
    world->snapshot = snapshot_ref(snapshot);
    world->snapshots++;
    pthread_mutex_unlock(&world->lock);
}

static char *file_path(const struct registry_rig *world, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", world->folder, name);
    return path;
}

static int sqlite_row_open(struct registry_rig *world)
{
    char path[128];
    const struct registry_sqlite_config config = {
        .path = file_path(world, "registry.db", path),
        .clock = &world->clock.clock,
        .on_snapshot = on_snapshot,
        .ctx = world,
    };
    return registry_sqlite_open(&world->registry, &config);
}

static bool file_holds(const char *path, struct bytes needle)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    struct bytebuf text = {0};
    size_t got;
    do {
        got = fread(bytes_reserve(&text, 65536), 1, 65536, file);
        text.len += got;
    } while (got > 0);
    fclose(file);
    const bool found = text.len > 0 && memmem(text.ptr, text.len, needle.ptr, needle.len) != NULL;
    bytes_reset(&text);
    return found;
}

static bool sqlite_row_holds(struct registry_rig *world, struct bytes needle)
{
    char path[128];
    return file_holds(file_path(world, "registry.db", path), needle) ||
           file_holds(file_path(world, "registry.db-wal", path), needle);
}

/* A file size limit that every write is beyond. */
static void sqlite_row_fill(struct registry_rig *world, bool full)
{
    (void)world;
    struct rlimit limit;
    petrel_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    int rc = getrlimit(RLIMIT_FSIZE, &limit);
    petrel_assert(rc == 0);
    limit.rlim_cur = full ? 1 : limit.rlim_max;
    rc = setrlimit(RLIMIT_FSIZE, &limit);
    petrel_assert(rc == 0);
}

char *registry_rig_copy_path(const struct registry_rig *world, char path[128])
{
    return file_path(world, "registry.copy", path);
}

static int mysql_row_open(struct registry_rig *world)
{
    char path[128];
    const struct registry_mysql_config config = {
        .server = {.socket = world->server->socket,
                   .user = REGISTRY_RIG_USER,
                   .password = REGISTRY_RIG_PASSWORD,
                   .database = world->database,
                   .connect_timeout_ms = world->timeout_ms,
                   .timeout_ms = world->timeout_ms},
        .poll_ms = world->poll_ms,
        .clock = &world->clock.clock,
        .metrics = metrics_shard(world->metrics, 0),
        .copy_path = world->keeps_copy ? registry_rig_copy_path(world, path) : NULL,
        .on_snapshot = on_snapshot,
        .ctx = world,
    };
    return registry_mysql_open(&world->registry, &config);
}

/* Tables and logs of all kinds. */
static bool folder_holds(const char *folder, struct bytes needle)
{
    char path[1024];
    bool found = false;
    DIR *dir = opendir(folder);
    petrel_assert(dir != NULL);
    for (struct dirent *entry = readdir(dir); entry != NULL && !found; entry = readdir(dir)) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_type == DT_REG)
            found = file_holds(path, needle);
        else if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            found = folder_holds(path, needle);
    }
    closedir(dir);
    return found;
}

static bool mysql_row_holds(struct registry_rig *world, struct bytes needle)
{
    return folder_holds(world->server->data, needle);
}

/* A server that takes no writes: what a full one of a cluster is made, too. */
static void mysql_row_fill(struct registry_rig *world, bool full)
{
    registry_rig_sql(world, full ? "SET GLOBAL read_only = 1" : "SET GLOBAL read_only = 0");
}

static const struct registry_fixture fixtures[] = {
    {"sqlite", false, sqlite_row_open, sqlite_row_holds, sqlite_row_fill},
    {"mysql", true, mysql_row_open, mysql_row_holds, mysql_row_fill},
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* ---- the server ---- */

static struct mysqldb *administrator(const struct mariadb_server *server, const char *database)
{
    const struct mysqldb_config config = {
        .socket = server->socket,
        .user = "root",
        .password = "",
        .database = database,
        .connect_timeout_ms = 10000,
        .timeout_ms = 20000,
    };
    struct mysqldb *db = NULL;
    assert_int_equal(mysqldb_open(&db, &config), 0);
    return db;
}

struct mysqldb *registry_rig_administrator(const struct registry_rig *world)
{
    return administrator(world->server, world->database);
}

void registry_rig_sql(struct registry_rig *world, const char *sql)
{
    struct mysqldb *db = registry_rig_administrator(world);
    assert_int_equal(mysqldb_exec(db, sql), 0);
    mysqldb_close(&db);
}

int64_t registry_rig_number(struct registry_rig *world, const char *sql)
{
    struct mysqldb *db = registry_rig_administrator(world);
    int64_t number;
    assert_int_equal(mysqldb_number(db, sql, &number), 0);
    mysqldb_close(&db);
    return number;
}

static void make_database(struct registry_rig *world)
{
    char sql[256];
    snprintf(world->database, sizeof world->database, "r%s", world->folder + strlen(world->folder) - 6);
    struct mysqldb *db = administrator(world->server, NULL);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", world->database);
    assert_int_equal(mysqldb_exec(db, sql), 0);
    snprintf(sql, sizeof sql,
             "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON %s.* TO '%s'@'localhost' IDENTIFIED BY '%s'",
             world->database, REGISTRY_RIG_USER, REGISTRY_RIG_PASSWORD);
    assert_int_equal(mysqldb_exec(db, sql), 0);
    mysqldb_close(&db);
}

/* ---- the world ---- */

void registry_rig_prepare(struct registry_rig *world, const struct registry_backend *backend)
{
    memset(world, 0, sizeof *world);
    world->fixture = backend->fixture;
    world->server = backend->server;
    world->poll_ms = 50;
    world->metrics = metrics_new(1);
    clock_manual_init(&world->clock, 0, WALL_MS);
    assert_int_equal(pthread_mutex_init(&world->lock, NULL), 0);
    snprintf(world->folder, sizeof world->folder, "%s", "/tmp/petrel-registry-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    if (world->server != NULL)
        make_database(world);
    loops_open(&world->loops, 2);
    loops_start(&world->loops);
}

int registry_rig_try_open(struct registry_rig *world)
{
    return world->fixture->open(world);
}

void registry_rig_open(struct registry_rig *world, const struct registry_backend *backend)
{
    registry_rig_prepare(world, backend);
    assert_int_equal(registry_rig_try_open(world), 0);
}

void registry_rig_prepare_beside(struct registry_rig *world, const struct registry_rig *first)
{
    const struct registry_backend backend = {first->fixture, first->server};
    registry_rig_prepare(world, &backend);
    memcpy(world->database, first->database, sizeof world->database);
    world->timeout_ms = first->timeout_ms;
    world->poll_ms = first->poll_ms;
}

static void close_registry(struct registry_rig *world)
{
    if (world->registry != NULL)
        world->registry->ops->close(world->registry);
    world->registry = NULL;
    snapshot_unref(world->snapshot);
    world->snapshot = NULL;
}

void registry_rig_reopen(struct registry_rig *world)
{
    close_registry(world);
    assert_int_equal(world->fixture->open(world), 0);
}

void registry_rig_close(struct registry_rig *world)
{
    close_registry(world);
    loops_stop(&world->loops);
    loops_free(&world->loops);
    pthread_mutex_destroy(&world->lock);
    metrics_free(&world->metrics);
    assert_int_equal(nftw(world->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

struct snapshot *registry_rig_newest(struct registry_rig *world)
{
    pthread_mutex_lock(&world->lock);
    struct snapshot *snapshot = world->snapshot != NULL ? snapshot_ref(world->snapshot) : NULL;
    pthread_mutex_unlock(&world->lock);
    return snapshot;
}

static size_t row_size(const struct registry_ask *ask)
{
    const struct registry_ops *ops = ask->world->registry->ops;
    if (ask->op == ask->world->registry->audit->list)
        return sizeof ask->audit[0];
    if (ask->op == ops->app_create || ask->op == ops->app_list || ask->op == ops->app_change ||
        ask->op == ops->app_delete)
        return sizeof ask->apps[0];
    if (ask->op == ops->key_create || ask->op == ops->key_list || ask->op == ops->key_revoke)
        return sizeof ask->keys[0];
    return sizeof ask->devices[0];
}

static void on_done(struct registry_request *request)
{
    struct registry_ask *ask = container_of(request, struct registry_ask, request);
    ask->on_home = pthread_equal(pthread_self(), ask->home) != 0;
    ask->snapshot = registry_rig_newest(ask->world);
    if (request->out.rows != NULL && request->out.count <= REGISTRY_PAGE_MAX)
        memcpy(ask->audit, request->out.rows, request->out.count * row_size(ask));
    loops_tally_add(&ask->done, 1);
}

static void do_ask(void *ctx)
{
    struct registry_ask *ask = ctx;
    ask->home = pthread_self();
    ask->result = ask->op(ask->world->registry, &ask->request);
}

int registry_rig_ask(struct registry_rig *world, struct registry_ask *ask, registry_op_fn *op)
{
    ask->world = world;
    ask->op = op;
    ask->request.home = world->loops.loops[1];
    ask->request.done = on_done;
    loops_tally_init(&ask->done);
    loops_run_on(&world->loops, 1, do_ask, ask);
    assert_int_equal(ask->result, 0);
    assert_true(loops_tally_wait(&ask->done, 1));
    assert_true(ask->on_home);
    loops_tally_destroy(&ask->done);
    return ask->request.status;
}

struct registry_ask *registry_rig_ask_new(const char *app)
{
    struct registry_ask *ask = object_zalloc(sizeof *ask);
    ask->request.in.app = bytes_str(app);
    ask->request.in.limit = REGISTRY_PAGE_MAX;
    return ask;
}

void registry_rig_ask_free(struct registry_ask *ask)
{
    snapshot_unref(ask->snapshot);
    free(ask);
}

int registry_rig_create_app(struct registry_rig *world, const char *app)
{
    struct registry_ask *ask = registry_rig_ask_new(app);
    const int status = registry_rig_ask(world, ask, world->registry->ops->app_create);
    registry_rig_ask_free(ask);
    return status;
}

int registry_rig_delete_app(struct registry_rig *world, const char *app)
{
    struct registry_ask *ask = registry_rig_ask_new(app);
    const int status = registry_rig_ask(world, ask, world->registry->ops->app_delete);
    registry_rig_ask_free(ask);
    return status;
}

int registry_rig_create_key(struct registry_rig *world, const char *app, const char *label,
                            char text[REGISTRY_KEY_TEXT_MAX], char id[17])
{
    struct registry_ask *ask = registry_rig_ask_new(app);
    ask->request.in.label = bytes_str(label);
    const int status = registry_rig_ask(world, ask, world->registry->ops->key_create);
    memcpy(text, ask->request.out.key_text, REGISTRY_KEY_TEXT_MAX);
    memcpy(id, ask->keys[0].id, 17);
    registry_rig_ask_free(ask);
    return status;
}

struct registry_ask *registry_rig_ask_device(struct registry_rig *world, registry_op_fn *op, const char *app,
                                             const char *user, const char *device)
{
    struct registry_ask *ask = registry_rig_ask_new(app);
    ask->request.in.user = bytes_str(user);
    ask->request.in.device = bytes_str(device);
    (void)registry_rig_ask(world, ask, op);
    return ask;
}

int registry_rig_device(struct registry_rig *world, registry_op_fn *op, const char *app, const char *user,
                        const char *device)
{
    struct registry_ask *ask = registry_rig_ask_device(world, op, app, user, device);
    const int status = ask->request.status;
    registry_rig_ask_free(ask);
    return status;
}

struct registry_ask *registry_rig_list(struct registry_rig *world, registry_op_fn *op, const char *app,
                                       const char *user, const char *after, uint32_t limit)
{
    struct registry_ask *ask = registry_rig_ask_new(app);
    ask->request.in.user = bytes_str(user);
    ask->request.in.after = bytes_str(after);
    ask->request.in.limit = limit;
    (void)registry_rig_ask(world, ask, op);
    return ask;
}

int registry_rig_refresh(struct registry_rig *world)
{
    struct registry_ask *ask = registry_rig_ask_new(NULL);
    const int status = registry_rig_ask(world, ask, world->registry->ops->refresh);
    registry_rig_ask_free(ask);
    return status;
}

bool registry_rig_key_opens(struct registry_rig *world, const char *text, const char *app)
{
    struct snapshot *snapshot = registry_rig_newest(world);
    const struct snapshot_key *found = snapshot != NULL ? snapshot_find_key(snapshot, bytes_str(text)) : NULL;
    const bool opens = found != NULL && strcmp(snapshot_key_app(snapshot, found)->name, app) == 0;
    snapshot_unref(snapshot);
    return opens;
}

static bool start_server(struct mariadb_server *server)
{
    char log[2048];
    if (mariadb_server_init(server) && mariadb_server_start(server, SERVER_MS))
        return true;
    fprintf(stderr, "the server does not start:\n%s\n", mariadb_server_log_tail(server, log, sizeof log));
    return false;
}

static int run_fixture(const struct registry_fixture *fixture, const struct CMUnitTest *cases, size_t count)
{
    struct mariadb_server server;
    struct registry_backend backend = {fixture, NULL};
    if (fixture->on_server) {
        if (!start_server(&server)) {
            mariadb_server_free(&server);
            return (int)count;
        }
        backend.server = &server;
    }
    struct CMUnitTest *tests = object_alloc(count * sizeof *tests);
    memcpy(tests, cases, count * sizeof *tests);
    for (size_t i = 0; i < count; i++)
        tests[i].initial_state = &backend;
    const int failed = _cmocka_run_group_tests(fixture->name, tests, count, NULL, NULL);
    free(tests);
    if (backend.server != NULL)
        mariadb_server_free(&server);
    return failed;
}

int registry_rig_run(const struct CMUnitTest *cases, size_t count)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++)
        failed += run_fixture(&fixtures[i], cases, count);
    return failed;
}

int registry_rig_run_on(const char *name, const struct CMUnitTest *cases, size_t count)
{
    int failed = (int)count;
    for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++) {
        if (strcmp(fixtures[i].name, name) == 0)
            failed = run_fixture(&fixtures[i], cases, count);
    }
    return failed;
}
