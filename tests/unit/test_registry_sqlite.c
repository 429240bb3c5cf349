/* What is the SQLite registry's own: clean-up in slices, backups, whose file it opens. */
#include "base/err.h"
#include "base/object.h"
#include "contract/loops.h"
#include "registry/registry_sqlite.h"
#include "registry/registry_sqlite_tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define WALL_MS 1700000000000
#define DEVICES 1300
#define BACKUPS 3

struct place {
    char folder[64];
    char live[96];
    char copy[96];
    char wal[96];
};

static void make_place(struct place *place)
{
    snprintf(place->folder, sizeof place->folder, "%s", "/tmp/petrel-registry-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->live, sizeof place->live, "%s/live.db", place->folder);
    snprintf(place->copy, sizeof place->copy, "%s/copy.db", place->folder);
    snprintf(place->wal, sizeof place->wal, "%s/live.db-wal", place->folder);
}

static void clear_place(struct place *place)
{
    (void)unlink(place->live);
    (void)unlink(place->wal);
    (void)unlink(place->copy);
    assert_int_equal(rmdir(place->folder), 0);
}

static void commit(struct tables *tables)
{
    assert_int_equal(tables->ops->commit(tables), 0);
}

static void fill(struct tables *tables, const char *app, uint32_t devices)
{
    struct registry_request request = {.in = {.app = bytes_str(app), .device = bytes_str("phone"), .limit = 1}};
    assert_int_equal(tables->ops->begin(tables, true), 0);
    assert_int_equal(tables_apps_create(tables, &request), 0);
    free(request.out.rows);
    for (uint32_t i = 0; i < devices; i++) {
        char user[16];
        snprintf(user, sizeof user, "user-%u", i);
        request.in.user = bytes_str(user);
        assert_int_equal(tables_devices_register(tables, &request), 0);
        free(request.out.rows);
    }
    commit(tables);
}

static int64_t count_rows(struct tables *tables, const char *sql)
{
    struct sqlite_stmt *stmt = sqlite_prepare(registry_sqlite_tables_file(tables), sql);
    assert_int_equal(sqlite_step(stmt), 1);
    const int64_t count = sqlite_column_int(stmt, 0);
    sqlite_reset(stmt);
    return count;
}

static void a_deleted_apps_devices_go_in_slices(void **state)
{
    (void)state;
    struct place place;
    struct tables *tables;
    struct registry_request request = {.in.app = bytes_str("demo")};
    make_place(&place);
    assert_int_equal(registry_sqlite_tables_open(&tables, place.live), 0);
    assert_int_equal(tables_purge(tables), 0);
    fill(tables, "demo", DEVICES);
    assert_int_equal(tables_purge(tables), 0); /* nothing was deleted yet */
    assert_int_equal(tables->ops->begin(tables, true), 0);
    assert_int_equal(tables_apps_delete(tables, &request), 0);
    commit(tables);
    fill(tables, "other", 2); /* another app keeps its own */

    int64_t left = count_rows(tables, "SELECT count(*) FROM device");
    assert_int_equal(left, DEVICES + 2);
    int slices = 0;
    for (; tables_purge(tables) == 1; slices++) {
        const int64_t now = count_rows(tables, "SELECT count(*) FROM device");
        assert_true(now < left);
        left = now;
    }
    assert_in_range(slices, 2, 20);
    assert_int_equal(count_rows(tables, "SELECT count(*) FROM device"), 2);
    assert_int_equal(count_rows(tables, "SELECT count(*) FROM purge_app"), 0);
    tables->ops->close(tables);
    clear_place(&place);
}

/* A file as the version before scopes, limits, added token keys and the audit left it. */
static void keys_of_an_older_file_keep_their_rights(void **state)
{
    (void)state;
    struct place place;
    struct tables *tables;
    struct snapshot *snapshot;
    char text[REGISTRY_KEY_TEXT_MAX];
    struct registry_request request = {.in.app = bytes_str("demo")};
    make_place(&place);
    assert_int_equal(registry_sqlite_tables_open(&tables, place.live), 0);
    fill(tables, "demo", 1);
    assert_int_equal(tables->ops->begin(tables, true), 0);
    assert_int_equal(tables_keys_create(tables, &request), 0);
    memcpy(text, request.out.key_text, sizeof text);
    free(request.out.rows);
    commit(tables);
    assert_int_equal(sqlite_exec(registry_sqlite_tables_file(tables),
                                 "DROP TABLE app_token_key; DROP TABLE app_limit; DROP TABLE api_key_grant;"
                                 "DROP TABLE audit; DROP TABLE app_edge; PRAGMA user_version = 2"),
                     0);
    tables->ops->close(tables);

    assert_int_equal(registry_sqlite_tables_open(&tables, place.live), 0);
    assert_int_equal(tables_snapshot(tables, NULL, &snapshot), 0);
    const struct snapshot_key *key = snapshot_find_key(snapshot, bytes_str(text));
    assert_non_null(key);
    assert_int_equal(key->scopes, 0);
    assert_int_equal(key->expires_ms, 0);
    assert_int_equal(snapshot_key_app(snapshot, key)->secrets_count, 1);
    snapshot_unref(snapshot);
    tables->ops->close(tables);
    clear_place(&place);
}

static void a_file_of_something_else_is_refused(void **state)
{
    (void)state;
    static const char *const versions[] = {"CREATE TABLE other (id INTEGER)"};
    static const struct sqlite_schema schema = {
        .name = "other", .application_id = 77, .versions_count = 1, .versions = versions};
    struct place place;
    struct sqlite *other;
    struct tables *tables = NULL;
    make_place(&place);
    assert_int_equal(sqlite_open(&other, place.live, &schema), 0);
    assert_int_equal(registry_sqlite_tables_open(&tables, place.live), PETREL_E_LOCKED);
    sqlite_close(&other);
    assert_int_equal(registry_sqlite_tables_open(&tables, place.live), PETREL_E_UNSUPPORTED);
    assert_null(tables);
    clear_place(&place);
}

/* ---- backups ---- */

struct one_backup {
    struct registry_sqlite_backup backup;
    int result;
    struct loops_tally *done;
};

/* A live registry whose worker waits, inside the publication of the app "demo", until the gate opens: so that what is posted
 * meanwhile comes to it as one batch. */
struct live {
    struct clock_manual clock;
    struct registry *registry;
    struct loops loops;
    struct registry_request create;
    struct one_backup backups[3];
    size_t apps;
    struct loops_tally held, gate, done;
};

static void on_snapshot(void *ctx, struct snapshot *snapshot)
{
    struct live *live = ctx;
    live->apps = snapshot_apps_count(snapshot);
    if (live->apps == 0)
        return;
    loops_tally_add(&live->held, 1);
    (void)loops_tally_wait(&live->gate, 1);
}

static void on_created(struct registry_request *request)
{
    loops_tally_add(&container_of(request, struct live, create)->done, 1);
}

static void on_backup(struct registry_sqlite_backup *backup)
{
    loops_tally_add(container_of(backup, struct one_backup, backup)->done, 1);
}

static void open_live(struct live *live, const char *path)
{
    memset(live, 0, sizeof *live);
    clock_manual_init(&live->clock, 0, WALL_MS);
    loops_tally_init(&live->held);
    loops_tally_init(&live->gate);
    loops_tally_init(&live->done);
    const struct registry_sqlite_config config = {
        .path = path, .clock = &live->clock.clock, .on_snapshot = on_snapshot, .ctx = live};
    assert_int_equal(registry_sqlite_open(&live->registry, &config), 0);
    loops_open(&live->loops, 1);
    loops_start(&live->loops);
}

static void end_loops(struct live *live)
{
    loops_stop(&live->loops);
    loops_free(&live->loops);
    loops_tally_destroy(&live->held);
    loops_tally_destroy(&live->gate);
    loops_tally_destroy(&live->done);
}

static void create(struct live *live)
{
    live->create = (struct registry_request){.home = live->loops.loops[0], .done = on_created};
    live->create.in.app = bytes_str("demo");
    assert_int_equal(live->registry->ops->app_create(live->registry, &live->create), 0);
}

static void back_up(struct live *live, size_t index, const char *path)
{
    struct one_backup *one = &live->backups[index];
    one->backup.path = path;
    one->done = &live->done;
    assert_int_equal(registry_sqlite_backup(live->registry, &one->backup, live->loops.loops[0], on_backup), 0);
}

static void a_backup_is_a_registry_of_its_own(void **state)
{
    (void)state;
    struct place place;
    struct live live;
    make_place(&place);
    open_live(&live, place.live);
    create(&live);
    assert_true(loops_tally_wait(&live.held, 1));
    back_up(&live, 0, place.copy);
    back_up(&live, 1, place.copy); /* while the first runs */
    loops_tally_add(&live.gate, 1);
    assert_true(loops_tally_wait(&live.done, 3));
    assert_int_equal(live.create.status, 0);
    assert_int_equal(live.backups[0].backup.status, 0);
    assert_int_equal(live.backups[1].backup.status, PETREL_E_BUSY);
    back_up(&live, 2, place.copy);
    assert_true(loops_tally_wait(&live.done, 4));
    assert_int_equal(live.backups[2].backup.status, PETREL_E_EXISTS);
    live.registry->ops->close(live.registry);
    end_loops(&live);

    struct tables *tables;
    assert_int_equal(registry_sqlite_tables_open(&tables, place.copy), 0);
    assert_int_equal(count_rows(tables, "SELECT count(*) FROM app WHERE name = 'demo'"), 1);
    tables->ops->close(tables);
    clear_place(&place);
}

/* The copy is many slices long: the end mostly comes before its last. Either way there is a whole file or none. */
static void a_backup_that_close_gives_up_leaves_no_file(void **state)
{
    (void)state;
    struct place place;
    struct live live;
    struct tables *tables;
    make_place(&place);
    assert_int_equal(registry_sqlite_tables_open(&tables, place.live), 0);
    assert_int_equal(sqlite_exec(registry_sqlite_tables_file(tables),
                                 "CREATE TABLE ballast AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT"
                                 " i + 1 FROM n WHERE i < 3000) SELECT i, zeroblob(4000) AS b FROM n"),
                     0);
    tables->ops->close(tables);
    open_live(&live, place.live);
    back_up(&live, 0, place.copy);
    live.registry->ops->close(live.registry);
    assert_true(loops_tally_wait(&live.done, 1));
    const bool given_up = live.backups[0].backup.status == PETREL_E_CLOSING;
    const bool finished = live.backups[0].backup.status == 0;
    assert_true(given_up || finished);
    assert_int_equal(access(place.copy, F_OK), finished ? 0 : -1);
    end_loops(&live);
    clear_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deleted_apps_devices_go_in_slices),
        cmocka_unit_test(keys_of_an_older_file_keep_their_rights),
        cmocka_unit_test(a_file_of_something_else_is_refused),
        cmocka_unit_test(a_backup_is_a_registry_of_its_own),
        cmocka_unit_test(a_backup_that_close_gives_up_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
