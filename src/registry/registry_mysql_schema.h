/* registry_mysql_schema.h: what the registry keeps in MySQL, as statements. The room's own. deploy/sql/registry/ says the same for
 * operators, and a test compares them. */
#ifndef PETREL_REGISTRY_REGISTRY_MYSQL_SCHEMA_H
#define PETREL_REGISTRY_REGISTRY_MYSQL_SCHEMA_H

/* An app's number is never given twice, so that what a deleted app leaves behind is never another's. */
#define REGISTRY_MYSQL_SCHEMA_1                                                                                        \
    "CREATE TABLE IF NOT EXISTS app (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARBINARY(64) NOT NULL,"      \
    " created_ms BIGINT NOT NULL, key_window_ms BIGINT NOT NULL, UNIQUE KEY app_name (name)) ENGINE=InnoDB",           \
        "CREATE TABLE IF NOT EXISTS app_secret (app_id BIGINT NOT NULL, place INT NOT NULL, kid VARBINARY(16) NOT"     \
        " NULL, secret VARBINARY(32) NOT NULL, PRIMARY KEY (app_id, place)) ENGINE=InnoDB",                            \
        "CREATE TABLE IF NOT EXISTS api_key (app_id BIGINT NOT NULL, id VARBINARY(16) NOT NULL, label VARBINARY(128)"  \
        " NOT NULL, sha256 VARBINARY(32) NOT NULL, created_ms BIGINT NOT NULL, revoked_ms BIGINT NOT NULL,"            \
        " PRIMARY KEY (app_id, id), UNIQUE KEY api_key_id (id)) ENGINE=InnoDB",                                        \
        "CREATE TABLE IF NOT EXISTS device (app_id BIGINT NOT NULL, user VARBINARY(128) NOT NULL, device"              \
        " VARBINARY(64) NOT NULL, platform VARBINARY(128) NOT NULL, created_ms BIGINT NOT NULL, updated_ms BIGINT"     \
        " NOT NULL, revoked_ms BIGINT NOT NULL, PRIMARY KEY (app_id, user, device)) ENGINE=InnoDB",                    \
        "CREATE TABLE IF NOT EXISTS gone_app (name VARBINARY(64) NOT NULL PRIMARY KEY) ENGINE=InnoDB",                 \
        "CREATE TABLE IF NOT EXISTS purge_app (app_id BIGINT NOT NULL PRIMARY KEY) ENGINE=InnoDB",                     \
        "CREATE TABLE IF NOT EXISTS registry_version (id INT NOT NULL PRIMARY KEY, version BIGINT NOT NULL)"           \
        " ENGINE=InnoDB",                                                                                              \
        "INSERT IGNORE INTO registry_version (id, version) VALUES (1, 0)"

#define REGISTRY_MYSQL_STATEMENTS(X)                                                                                   \
    X(LOCK, "SELECT version FROM registry_version WHERE id = 1 FOR UPDATE")                                            \
    X(POLL, "SELECT version, EXISTS (SELECT 1 FROM purge_app) FROM registry_version WHERE id = 1")                     \
    X(VERSION_BUMP, "UPDATE registry_version SET version = version + 1 WHERE id = 1")                                  \
    X(APP_FIND, "SELECT id, name, created_ms, key_window_ms,"                                                          \
                " (SELECT count(*) FROM app_secret WHERE app_id = app.id) FROM app WHERE name = ?")                    \
    X(APP_LIST, "SELECT id, name, created_ms, key_window_ms,"                                                          \
                " (SELECT count(*) FROM app_secret WHERE app_id = app.id) FROM app"                                    \
                " WHERE name > ? ORDER BY name LIMIT ?")                                                               \
    X(APP_ALL, "SELECT id, name, key_window_ms FROM app ORDER BY id")                                                  \
    X(APP_INSERT, "INSERT INTO app (name, created_ms, key_window_ms) VALUES (?, ?, ?)")                                \
    X(APP_RETIRE, "INSERT INTO gone_app SELECT name FROM app WHERE id = ?")                                            \
    X(APP_IS_GONE, "SELECT 1 FROM gone_app WHERE name = ?")                                                            \
    X(APP_DELETE, "DELETE FROM app WHERE id = ?")                                                                      \
    X(SECRET_ALL, "SELECT app_id, kid, secret FROM app_secret ORDER BY app_id, place")                                 \
    X(SECRET_INSERT, "INSERT INTO app_secret (app_id, place, kid, secret) VALUES (?, ?, ?, ?)")                        \
    X(SECRET_DELETE, "DELETE FROM app_secret WHERE app_id = ?")                                                        \
    X(KEY_ALL, "SELECT app_id, id, sha256 FROM api_key WHERE revoked_ms = 0 ORDER BY app_id, id")                      \
    X(KEY_LIST, "SELECT id, label, created_ms, revoked_ms FROM api_key WHERE app_id = ? AND id > ?"                    \
                " ORDER BY id LIMIT ?")                                                                                \
    X(KEY_INSERT, "INSERT INTO api_key (app_id, id, label, sha256, created_ms, revoked_ms) VALUES (?, ?, ?, ?, ?, 0)") \
    X(KEY_REVOKE, "UPDATE api_key SET revoked_ms = ? WHERE app_id = ? AND id = ? AND revoked_ms = 0")                  \
    X(KEY_FIND, "SELECT id, label, created_ms, revoked_ms FROM api_key WHERE app_id = ? AND id = ?")                   \
    X(KEY_DELETE, "DELETE FROM api_key WHERE app_id = ?")                                                              \
    X(DEVICE_FIND, "SELECT user, device, platform, created_ms, updated_ms, revoked_ms FROM device"                     \
                   " WHERE app_id = ? AND user = ? AND device = ?")                                                    \
    X(DEVICE_COUNT, "SELECT count(*) FROM device WHERE app_id = ? AND user = ? AND revoked_ms = 0")                    \
    X(DEVICE_PUT,                                                                                                      \
      "INSERT INTO device (app_id, user, device, platform, created_ms, updated_ms, revoked_ms)"                        \
      " VALUES (?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE platform = VALUES(platform),"                             \
      " created_ms = VALUES(created_ms), updated_ms = VALUES(updated_ms), revoked_ms = VALUES(revoked_ms)")            \
    X(DEVICE_LIST, "SELECT user, device, platform, created_ms, updated_ms, revoked_ms FROM device"                     \
                   " WHERE app_id = ? AND user >= ? AND (user > ? OR device > ?) ORDER BY user, device LIMIT ?")       \
    X(DEVICE_OF_USER, "SELECT user, device, platform, created_ms, updated_ms, revoked_ms FROM device"                  \
                      " WHERE app_id = ? AND user = ? AND device > ? ORDER BY device LIMIT ?")                         \
    X(PURGE_ADD, "INSERT INTO purge_app (app_id) VALUES (?)")                                                          \
    X(PURGE_NEXT, "SELECT app_id FROM purge_app ORDER BY app_id LIMIT 1")                                              \
    X(PURGE_DEVICES, "DELETE FROM device WHERE app_id = ? ORDER BY user, device LIMIT ?")                              \
    X(PURGE_DONE, "DELETE FROM purge_app WHERE app_id = ?")

#endif
