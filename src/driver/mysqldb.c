#include "driver/mysqldb.h"

#include "base/err.h"
#include "base/log.h"
#include "driver/mysqldb_private.h"
#include "driver/tls_refusal.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

/* Names that MySQL and MariaDB do not share. */
#define STATEMENT_TIMEOUT_MARIADB 1969
#define STATEMENT_TIMEOUT_MYSQL 3024
#define NO_PASSWORD_MARIADB 1698

#define SERVER_MAX 256 /* of its address in the log; what is longer is cut */

static bool is_read_only(unsigned code)
{
    return code == ER_OPTION_PREVENTS_STATEMENT || code == ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION ||
           code == ER_READ_ONLY_MODE;
}

static int error_of(unsigned code)
{
    if (is_read_only(code))
        return PETREL_E_FORBIDDEN;
    switch (code) {
    case 0:
        return 0;
    case ER_DUP_ENTRY:
        return PETREL_E_EXISTS;
    case ER_RECORD_FILE_FULL:
    case ER_DISK_FULL:
        return PETREL_E_FULL;
    case ER_LOCK_DEADLOCK:
        return PETREL_E_LOCKED;
    case ER_LOCK_WAIT_TIMEOUT:
    case STATEMENT_TIMEOUT_MARIADB:
    case STATEMENT_TIMEOUT_MYSQL:
        return PETREL_E_TIMEOUT;
    case ER_ACCESS_DENIED_ERROR:
    case ER_DBACCESS_DENIED_ERROR:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
    case NO_PASSWORD_MARIADB:
        return PETREL_E_FORBIDDEN;
    case ER_BAD_DB_ERROR:
        return PETREL_E_NOT_FOUND;
    case ER_NO_SUCH_TABLE:
    case ER_BAD_FIELD_ERROR:
    case ER_PARSE_ERROR:
        return PETREL_E_INVALID;
    default:
        return PETREL_E_UNAVAILABLE;
    }
}

int mysqldb_report(struct mysqldb *db, unsigned code, const char *text, const char *what)
{
    const int err = error_of(code);
    if (err == PETREL_E_UNAVAILABLE)
        db->usable = false;
    if (is_read_only(code))
        db->read_only = true;
    if (err != 0 && err != PETREL_E_EXISTS)
        log_at(LOG_WARN, "mysql", "operation failed", LOG_STR("what", what), LOG_STR("error", text),
               LOG_NUM("code", code));
    return err;
}

static int report(struct mysqldb *db, const char *what)
{
    return mysqldb_report(db, mysql_errno(db->handle), mysql_error(db->handle), what);
}

static int query(struct mysqldb *db, const char *sql)
{
    object_check(db, MYSQLDB_MAGIC);
    return mysql_real_query(db->handle, sql, strlen(sql)) == 0 ? 0 : report(db, sql);
}

int mysqldb_exec(struct mysqldb *db, const char *sql)
{
    const int err = query(db, sql);
    if (err != 0)
        return err;
    MYSQL_RES *rows = mysql_store_result(db->handle);
    mysql_free_result(rows);
    return rows == NULL && mysql_field_count(db->handle) != 0 ? report(db, sql) : 0;
}

int mysqldb_number(struct mysqldb *db, const char *sql, int64_t *out)
{
    *out = 0;
    const int err = query(db, sql);
    if (err != 0)
        return err;
    MYSQL_RES *rows = mysql_store_result(db->handle);
    if (rows == NULL)
        return report(db, sql);
    const MYSQL_ROW row = mysql_fetch_row(rows);
    if (row != NULL && row[0] != NULL)
        *out = strtoll(row[0], NULL, 10);
    mysql_free_result(rows);
    return 0;
}

static unsigned seconds_of(uint32_t ms)
{
    return ms <= 1000 ? 1 : (ms + 999) / 1000;
}

static int set_option(MYSQL *handle, enum mysql_option option, unsigned value)
{
    return mysql_optionsv(handle, option, &value);
}

/* The library asks for TLS only, and takes any certificate, unless it is told otherwise. */
static int set_tls(MYSQL *handle, const struct mysqldb_config *config)
{
    const my_bool yes = 1;
    if (config->tls_ca == NULL)
        return 0;
    int rc = mysql_optionsv(handle, MYSQL_OPT_SSL_ENFORCE, &yes);
    rc |= mysql_optionsv(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
    rc |= mysql_optionsv(handle, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
    rc |= mysql_optionsv(handle, MYSQL_OPT_SSL_CA, config->tls_ca);
    if (config->tls_cert != NULL) {
        rc |= mysql_optionsv(handle, MYSQL_OPT_SSL_CERT, config->tls_cert);
        rc |= mysql_optionsv(handle, MYSQL_OPT_SSL_KEY, config->tls_key);
    }
    return rc;
}

static void set_options(struct mysqldb *db, const struct mysqldb_config *config)
{
    const unsigned timeout = seconds_of(config->timeout_ms) + 1;
    int rc = set_option(db->handle, MYSQL_OPT_CONNECT_TIMEOUT, seconds_of(config->connect_timeout_ms));
    rc |= set_option(db->handle, MYSQL_OPT_READ_TIMEOUT, timeout);
    rc |= set_option(db->handle, MYSQL_OPT_WRITE_TIMEOUT, timeout);
    /* A server that was taken over must not be able to ask for this host's files. */
    rc |= set_option(db->handle, MYSQL_OPT_LOCAL_INFILE, 0);
    /* "localhost" would mean a socket of the library's choice. */
    rc |= set_option(db->handle, MYSQL_OPT_PROTOCOL,
                     config->socket != NULL ? (unsigned)MYSQL_PROTOCOL_SOCKET : (unsigned)MYSQL_PROTOCOL_TCP);
    rc |= mysql_optionsv(db->handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    rc |= set_tls(db->handle, config);
    petrel_assert(rc == 0);
}

/* A setting that only MariaDB, or only MySQL, knows. */
static int set_if_known(struct mysqldb *db, const char *sql)
{
    if (mysql_real_query(db->handle, sql, strlen(sql)) == 0 || mysql_errno(db->handle) == ER_UNKNOWN_SYSTEM_VARIABLE)
        return 0;
    return report(db, sql);
}

/* A statement ends on the server before the connection gives it up, and waiting for a lock ends before that, so that the usual
 * troubles leave the connection whole. A node that hangs inside a transaction loses its locks. */
static int set_session(struct mysqldb *db, const struct mysqldb_config *config)
{
    const unsigned timeout = seconds_of(config->timeout_ms);
    char sql[256];
    db->lock_seconds = timeout > 1 ? timeout - 1 : 1;
    snprintf(sql, sizeof sql,
             "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1,"
             " innodb_lock_wait_timeout = %u",
             db->lock_seconds);
    int err = mysqldb_exec(db, sql);
    if (err == 0)
        err = mysqldb_exec(db, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    snprintf(sql, sizeof sql, "SET SESSION max_statement_time = %u", timeout);
    if (err == 0)
        err = set_if_known(db, sql);
    snprintf(sql, sizeof sql, "SET SESSION idle_transaction_timeout = %u", timeout);
    return err == 0 ? set_if_known(db, sql) : err;
}

/* Whether TLS failed by the connection's end: the library has one code for whatever fails in TLS, and its text then is that of EOF, or
 * ends with errno. */
static bool is_cut(const char *text)
{
    const char *number = strrchr(text, '(');
    return strstr(text, "unexpected eof") != NULL ||
           (number != NULL && strcmp(number + 1 + strspn(number + 1, "0123456789"), ")") == 0);
}

/* Which settings decide what the connecting failed at. The server's word is the same whether a password is wrong, TLS is missing or a
 * certificate is. Where it does not take ours it may come with an alert, or with nothing but the connection's end: the alert is lost
 * where the server closes upon what we have sent meanwhile. */
static const char *settings_of(const struct mysqldb_config *config, int err, unsigned code, const char *text)
{
    const bool secure = config->tls_ca != NULL;
    if (err == PETREL_E_NOT_FOUND)
        return "registry.mysql_database";
    if (err == PETREL_E_FORBIDDEN && secure)
        return "registry.mysql_user, registry.mysql_password_file, registry.mysql_tls_cert";
    if (err == PETREL_E_FORBIDDEN)
        return "registry.mysql_user, registry.mysql_password_file, registry.mysql_tls";
    if (code == CR_SSL_CONNECTION_ERROR && tls_refusal_is_of_ours(text))
        return "registry.mysql_tls_cert (the server has to trust it)";
    if (code == CR_SSL_CONNECTION_ERROR && !is_cut(text))
        return "registry.mysql_tls, registry.mysql_tls_ca, registry.mysql_host (its certificate has to be for that)";
    if (secure)
        return "registry.mysql_host, registry.mysql_port, registry.mysql_tls_cert";
    return config->socket != NULL ? "registry.mysql_socket" : "registry.mysql_host, registry.mysql_port";
}

static int report_connect(const struct mysqldb *db, const struct mysqldb_config *config)
{
    char server[SERVER_MAX];
    const unsigned code = mysql_errno(db->handle);
    const char *text = mysql_error(db->handle);
    const int err = error_of(code);
    if (config->socket != NULL)
        snprintf(server, sizeof server, "%s", config->socket);
    else
        snprintf(server, sizeof server, "%s:%u", config->host, config->port);
    log_at(LOG_WARN, "mysql", "cannot connect", LOG_STR("server", server), LOG_STR("error", text),
           LOG_NUM("code", code), LOG_STR("settings", settings_of(config, err, code, text)));
    return err;
}

static int connect_to(struct mysqldb *db, const struct mysqldb_config *config)
{
    if (mysql_real_connect(db->handle, config->socket != NULL ? NULL : config->host, config->user, config->password,
                           config->database, config->port, config->socket, 0) == NULL)
        return report_connect(db, config);
    return set_session(db, config);
}

int mysqldb_open(struct mysqldb **out, const struct mysqldb_config *config)
{
    *out = NULL;
    struct mysqldb *db = object_zalloc(sizeof *db);
    db->magic = MYSQLDB_MAGIC;
    db->usable = true;
    list_init(&db->stmts);
    db->handle = mysql_init(NULL);
    petrel_assert(db->handle != NULL);
    set_options(db, config);
    const int err = connect_to(db, config);
    if (err != 0) {
        mysqldb_close(&db);
        return err == PETREL_E_FORBIDDEN || err == PETREL_E_NOT_FOUND ? err : PETREL_E_UNAVAILABLE;
    }
    *out = db;
    return 0;
}

void mysqldb_close(struct mysqldb **out)
{
    struct mysqldb *db = *out;
    if (db == NULL)
        return;
    object_check(db, MYSQLDB_MAGIC);
    struct list *node;
    while ((node = list_pop_front(&db->stmts)) != NULL)
        mysqldb_stmt_free(node);
    mysql_close(db->handle);
    db->magic = 0;
    free(db);
    *out = NULL;
}

bool mysqldb_usable(const struct mysqldb *db)
{
    object_check(db, MYSQLDB_MAGIC);
    return db->usable;
}

bool mysqldb_read_only(const struct mysqldb *db)
{
    object_check(db, MYSQLDB_MAGIC);
    return db->read_only;
}

int mysqldb_begin(struct mysqldb *db)
{
    return mysqldb_exec(db, "START TRANSACTION");
}

int mysqldb_begin_snapshot(struct mysqldb *db)
{
    return mysqldb_exec(db, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
}

int mysqldb_commit(struct mysqldb *db)
{
    const int err = mysqldb_exec(db, "COMMIT");
    if (err != 0)
        db->usable = false;
    return err;
}

void mysqldb_rollback(struct mysqldb *db)
{
    if (db->usable && mysqldb_exec(db, "ROLLBACK") != 0)
        db->usable = false;
}

int64_t mysqldb_changes(const struct mysqldb *db)
{
    object_check(db, MYSQLDB_MAGIC);
    return db->changes;
}

int64_t mysqldb_last_id(const struct mysqldb *db)
{
    object_check(db, MYSQLDB_MAGIC);
    return db->last_id;
}
