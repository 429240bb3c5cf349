#include "registry/registry_sqlite_db.h"

#include "base/err.h"
#include "base/object.h"
#include "base/utf8.h"

#include <stdlib.h>

#define APPLICATION_ID 0x50745267 /* "PtRg" */
#define PURGE_ROWS 512
#define PURGE_PAGES 256

int registry_sqlite_db_open(struct registry_sqlite_db **out, const char *path)
{
    static const char *const versions[] = {REGISTRY_SQLITE_SCHEMA_1};
    static const struct sqlite_schema schema = {
        .name = "registry",
        .application_id = APPLICATION_ID,
        .versions_count = sizeof versions / sizeof versions[0],
        .versions = versions,
    };
    static const char *const texts[] = {
#define REGISTRY_SQLITE_TEXT(name, sql) sql,
        REGISTRY_SQLITE_STATEMENTS(REGISTRY_SQLITE_TEXT)
#undef REGISTRY_SQLITE_TEXT
    };
    struct sqlite *sqlite;
    const int err = sqlite_open(&sqlite, path, &schema);
    if (err != 0)
        return err;
    struct registry_sqlite_db *db = object_zalloc(sizeof *db);
    db->sqlite = sqlite;
    for (size_t i = 0; i < REGISTRY_SQLITE_STATEMENTS_COUNT; i++)
        db->stmts[i] = sqlite_prepare(sqlite, texts[i]);
    *out = db;
    return 0;
}

void registry_sqlite_db_close(struct registry_sqlite_db **db)
{
    if (*db == NULL)
        return;
    sqlite_close(&(*db)->sqlite);
    free(*db);
    *db = NULL;
}

int registry_sqlite_db_failure(int err)
{
    petrel_assert(err < 0);
    return err == PETREL_E_FULL ? PETREL_E_FULL : PETREL_E_UNAVAILABLE;
}

int registry_sqlite_db_run(struct registry_sqlite_db *db, enum registry_sqlite_statement which)
{
    const int err = sqlite_run(db->stmts[which]);
    return err == 0 ? 0 : registry_sqlite_db_failure(err);
}

int registry_sqlite_db_bump(struct registry_sqlite_db *db)
{
    db->changed = true;
    return registry_sqlite_db_run(db, REGISTRY_SQLITE_VERSION_BUMP);
}

void registry_sqlite_db_text(struct sqlite_stmt *stmt, int column, char *out, size_t size)
{
    const struct bytes text = sqlite_column_text(stmt, column);
    const size_t len = text.len < size ? text.len : size - 1;
    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

struct bytes registry_sqlite_db_or_empty(struct bytes text)
{
    return text.ptr != NULL ? text : bytes_str("");
}

bool registry_sqlite_db_valid_label(struct bytes text)
{
    return text.ptr == NULL || (text.len <= REGISTRY_LABEL_MAX && utf8_printable(text));
}

/* What a snapshot is made of, while it is read. */
struct reading {
    struct snapshot_app *apps;
    int64_t *app_ids;
    size_t apps_count;
    struct snapshot_key *keys;
    size_t keys_count;
};

/* Room for one more: doubled when count has reached a power of two. */
static void *room_for_one(void *array, size_t count, size_t size)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    return object_realloc(array, (count == 0 ? 1 : count * 2) * size);
}

static int read_apps(struct registry_sqlite_db *db, struct reading *reading)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_APP_ALL];
    int rc;
    while ((rc = sqlite_step(stmt)) == 1) {
        reading->app_ids = room_for_one(reading->app_ids, reading->apps_count, sizeof reading->app_ids[0]);
        reading->apps = room_for_one(reading->apps, reading->apps_count, sizeof reading->apps[0]);
        struct snapshot_app *app = &reading->apps[reading->apps_count];
        memset(app, 0, sizeof *app);
        reading->app_ids[reading->apps_count++] = sqlite_column_int(stmt, 0);
        registry_sqlite_db_text(stmt, 1, app->name, sizeof app->name);
        app->key_window_ms = (uint64_t)sqlite_column_int(stmt, 2);
    }
    sqlite_reset(stmt);
    return rc;
}

/* Rows come in the order of their app's number, as the apps did: walk both. False: no such app. */
static bool walk_to(const struct reading *reading, int64_t app_id, size_t *place)
{
    while (*place < reading->apps_count && reading->app_ids[*place] < app_id)
        (*place)++;
    return *place < reading->apps_count && reading->app_ids[*place] == app_id;
}

static int read_secrets(struct registry_sqlite_db *db, struct reading *reading)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_SECRET_ALL];
    size_t place = 0;
    int rc;
    while ((rc = sqlite_step(stmt)) == 1) {
        const struct bytes secret = sqlite_column_blob(stmt, 2);
        if (secret.len != SNAPSHOT_SECRET_BYTES || !walk_to(reading, sqlite_column_int(stmt, 0), &place))
            continue;
        struct snapshot_app *app = &reading->apps[place];
        if (app->secrets_count == SNAPSHOT_SECRETS_MAX)
            continue;
        struct snapshot_secret *to = &app->secrets[app->secrets_count++];
        registry_sqlite_db_text(stmt, 1, to->kid, sizeof to->kid);
        memcpy(to->secret, secret.ptr, sizeof to->secret);
    }
    sqlite_reset(stmt);
    return rc;
}

static int read_keys(struct registry_sqlite_db *db, struct reading *reading)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_KEY_ALL];
    size_t place = 0;
    int rc;
    while ((rc = sqlite_step(stmt)) == 1) {
        const struct bytes sha256 = sqlite_column_blob(stmt, 2);
        struct snapshot_key key = {0};
        if (sha256.len != sizeof key.sha256 || !walk_to(reading, sqlite_column_int(stmt, 0), &place))
            continue;
        registry_sqlite_db_text(stmt, 1, key.id, sizeof key.id);
        memcpy(key.sha256, sha256.ptr, sizeof key.sha256);
        key.app = (uint32_t)place;
        reading->keys = room_for_one(reading->keys, reading->keys_count, sizeof key);
        reading->keys[reading->keys_count++] = key;
    }
    sqlite_reset(stmt);
    return rc;
}

int registry_sqlite_db_snapshot(struct registry_sqlite_db *db, struct snapshot **out)
{
    struct reading reading = {0};
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_VERSION];
    int rc = sqlite_step(stmt);
    const uint64_t version = rc == 1 ? (uint64_t)sqlite_column_int(stmt, 0) : 0;
    sqlite_reset(stmt);
    if (rc == 1)
        rc = read_apps(db, &reading);
    if (rc == 0)
        rc = read_secrets(db, &reading);
    if (rc == 0)
        rc = read_keys(db, &reading);
    if (rc == 0)
        *out = snapshot_new(version, reading.apps, reading.apps_count, reading.keys, reading.keys_count);
    if (reading.apps != NULL)
        explicit_bzero(reading.apps, reading.apps_count * sizeof reading.apps[0]);
    free(reading.apps);
    free(reading.app_ids);
    free(reading.keys);
    return rc == 0 ? 0 : registry_sqlite_db_failure(rc);
}

/* In a transaction. 1: more are left, 0: this app's are gone, or an error of the driver. */
static int purge_app(struct registry_sqlite_db *db, int64_t app_id)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_PURGE_DEVICES];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_int(stmt, 2, PURGE_ROWS);
    const int err = sqlite_run(stmt);
    if (err != 0)
        return err;
    if (sqlite_changes(db->sqlite) == PURGE_ROWS)
        return 1;
    stmt = db->stmts[REGISTRY_SQLITE_PURGE_DONE];
    sqlite_bind_int(stmt, 1, app_id);
    return sqlite_run(stmt);
}

int registry_sqlite_db_purge(struct registry_sqlite_db *db)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_PURGE_NEXT];
    int rc = sqlite_step(stmt);
    const int64_t app_id = rc == 1 ? sqlite_column_int(stmt, 0) : 0;
    sqlite_reset(stmt);
    if (rc == 0)
        return 0;
    if (rc == 1)
        rc = sqlite_begin(db->sqlite);
    if (rc == 0)
        rc = purge_app(db, app_id);
    if (rc < 0) {
        sqlite_rollback(db->sqlite);
        return registry_sqlite_db_failure(rc);
    }
    rc = sqlite_commit(db->sqlite);
    if (rc == 0)
        rc = sqlite_shrink(db->sqlite, PURGE_PAGES);
    return rc == 0 ? 1 : registry_sqlite_db_failure(rc);
}
