/* tables_statements.h: every statement on the registry's tables, in the SQL that SQLite and MySQL share. The room's own.
 *
 * purge_devices is what they do not share: delete at most ?2 of the devices of app ?1. */
#ifndef PETREL_REGISTRY_TABLES_STATEMENTS_H
#define PETREL_REGISTRY_TABLES_STATEMENTS_H

#define TABLES_APP_COLUMNS                                                                                             \
    "SELECT id, name, created_ms, key_window_ms, (SELECT count(*) FROM app_secret WHERE app_id = app.id)"              \
    " + (SELECT count(*) FROM app_token_key WHERE app_id = app.id AND algorithm = 'HS256'),"                           \
    " (SELECT count(*) FROM app_token_key WHERE app_id = app.id AND algorithm <> 'HS256')," TABLES_OWN
/* What the app has none of its own of is 0: as the server is configured. */
#define TABLES_OWN                                                                                                     \
    " COALESCE(per_second, 0), COALESCE(key_per_second, 0), COALESCE(connects_per_second, 0), COALESCE(origins, '')"   \
    " FROM app LEFT JOIN app_limit ON app_limit.app_id = app.id LEFT JOIN app_edge ON app_edge.app_id = app.id"
/* A key from before there were scopes has no grant: it may do everything, for ever. */
#define TABLES_GRANTED                                                                                                 \
    " COALESCE(scopes, 0), COALESCE(expires_ms, 0) FROM api_key"                                                       \
    " LEFT JOIN api_key_grant ON api_key_grant.app_id = api_key.app_id AND key_id = id"
#define TABLES_KEY_COLUMNS "SELECT id, label, created_ms, revoked_ms," TABLES_GRANTED
#define TABLES_AUDIT_COLUMNS "SELECT id, at_ms, who, origin, node, action, app, target, outcome FROM audit"
#define TABLES_DEVICE_COLUMNS "SELECT user, device, platform, created_ms, updated_ms, revoked_ms FROM device"

#define TABLES_STATEMENTS(X, purge_devices)                                                                            \
    X(POLL, "SELECT version, EXISTS (SELECT 1 FROM purge_app) FROM registry_version")                                  \
    X(VERSION_BUMP, "UPDATE registry_version SET version = version + 1")                                               \
    X(APP_FIND, TABLES_APP_COLUMNS " WHERE name = ?")                                                                  \
    X(APP_LIST, TABLES_APP_COLUMNS " WHERE name > ? ORDER BY name LIMIT ?")                                            \
    X(APP_ALL, "SELECT id, name, key_window_ms," TABLES_OWN " ORDER BY id")                                            \
    X(APP_INSERT, "INSERT INTO app (name, created_ms, key_window_ms) VALUES (?, ?, ?)")                                \
    X(APP_RETIRE, "INSERT INTO gone_app SELECT name FROM app WHERE id = ?")                                            \
    X(APP_IS_GONE, "SELECT 1 FROM gone_app WHERE name = ?")                                                            \
    X(APP_DELETE, "DELETE FROM app WHERE id = ?")                                                                      \
    X(SECRET_ALL, "SELECT app_id, kid, secret FROM app_secret ORDER BY app_id, place")                                 \
    X(SECRET_INSERT, "INSERT INTO app_secret (app_id, place, kid, secret) VALUES (?, ?, ?, ?)")                        \
    X(SECRET_DELETE, "DELETE FROM app_secret WHERE app_id = ?")                                                        \
    X(SECRET_HAS, "SELECT 1 FROM app_secret WHERE app_id = ? AND kid = ?")                                             \
    X(SECRET_RETIRE, "DELETE FROM app_secret WHERE app_id = ? AND kid = ?")                                            \
    X(TOKEN_KEY_ALL, "SELECT app_id, kid, algorithm, material, created_ms FROM app_token_key"                          \
                     " ORDER BY app_id, created_ms, kid")                                                              \
    X(TOKEN_KEY_HAS, "SELECT 1 FROM app_token_key WHERE app_id = ? AND kid = ?")                                       \
    X(TOKEN_KEY_INSERT, "INSERT INTO app_token_key (app_id, kid, algorithm, material, created_ms)"                     \
                        " VALUES (?, ?, ?, ?, ?)")                                                                     \
    X(TOKEN_KEY_RETIRE, "DELETE FROM app_token_key WHERE app_id = ? AND kid = ?")                                      \
    X(TOKEN_KEY_DELETE, "DELETE FROM app_token_key WHERE app_id = ?")                                                  \
    X(LIMIT_PUT, "REPLACE INTO app_limit (app_id, per_second, key_per_second) VALUES (?, ?, ?)")                       \
    X(LIMIT_DELETE, "DELETE FROM app_limit WHERE app_id = ?")                                                          \
    X(EDGE_PUT, "REPLACE INTO app_edge (app_id, connects_per_second, origins) VALUES (?, ?, ?)")                       \
    X(EDGE_DELETE, "DELETE FROM app_edge WHERE app_id = ?")                                                            \
    X(KEY_ALL,                                                                                                         \
      "SELECT api_key.app_id, id, sha256," TABLES_GRANTED " WHERE revoked_ms = 0 ORDER BY api_key.app_id, id")         \
    X(KEY_LIST, TABLES_KEY_COLUMNS " WHERE api_key.app_id = ? AND id > ? ORDER BY id LIMIT ?")                         \
    X(KEY_GRANT, "INSERT INTO api_key_grant (app_id, key_id, scopes, expires_ms) VALUES (?, ?, ?, ?)")                 \
    X(KEY_GRANT_DELETE, "DELETE FROM api_key_grant WHERE app_id = ?")                                                  \
    X(KEY_INSERT, "INSERT INTO api_key (app_id, id, label, sha256, created_ms, revoked_ms) VALUES (?, ?, ?, ?, ?, 0)") \
    X(KEY_REVOKE, "UPDATE api_key SET revoked_ms = ? WHERE app_id = ? AND id = ? AND revoked_ms = 0")                  \
    X(KEY_FIND, TABLES_KEY_COLUMNS " WHERE api_key.app_id = ? AND id = ?")                                             \
    X(KEY_DELETE, "DELETE FROM api_key WHERE app_id = ?")                                                              \
    X(DEVICE_FIND, TABLES_DEVICE_COLUMNS " WHERE app_id = ? AND user = ? AND device = ?")                              \
    X(DEVICE_COUNT, "SELECT count(*) FROM device WHERE app_id = ? AND user = ? AND revoked_ms = 0")                    \
    X(DEVICE_PUT, "REPLACE INTO device (app_id, user, device, platform, created_ms, updated_ms, revoked_ms)"           \
                  " VALUES (?, ?, ?, ?, ?, ?, ?)")                                                                     \
    X(DEVICE_LIST, TABLES_DEVICE_COLUMNS " WHERE app_id = ? AND user >= ? AND (user > ? OR device > ?)"                \
                                         " ORDER BY user, device LIMIT ?")                                             \
    X(DEVICE_OF_USER, TABLES_DEVICE_COLUMNS " WHERE app_id = ? AND user = ? AND device > ? ORDER BY device LIMIT ?")   \
    X(PURGE_ADD, "INSERT INTO purge_app (app_id) VALUES (?)")                                                          \
    X(PURGE_NEXT, "SELECT app_id FROM purge_app ORDER BY app_id LIMIT 1")                                              \
    X(PURGE_DEVICES, purge_devices)                                                                                    \
    X(PURGE_DONE, "DELETE FROM purge_app WHERE app_id = ?")                                                            \
    X(AUDIT_ADD, "INSERT INTO audit (at_ms, who, origin, node, action, app, target, outcome)"                          \
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?)")                                                                   \
    X(AUDIT_LIST, TABLES_AUDIT_COLUMNS " WHERE at_ms >= ? AND id < ? ORDER BY id DESC LIMIT ?")                        \
    X(AUDIT_OF_APP, TABLES_AUDIT_COLUMNS " WHERE app = ? AND at_ms >= ? AND id < ? ORDER BY id DESC LIMIT ?")          \
    X(AUDIT_CAP, "DELETE FROM audit WHERE id <= ?")                                                                    \
    X(AUDIT_EXPIRE, "DELETE FROM audit WHERE at_ms < ?")

enum tables_statement {
#define TABLES_ENUM(name, sql) TABLES_##name,
    TABLES_STATEMENTS(TABLES_ENUM, )
#undef TABLES_ENUM
        TABLES_STATEMENTS_COUNT
};

#endif
