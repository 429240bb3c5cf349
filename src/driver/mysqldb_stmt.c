#include "base/err.h"
#include "driver/mysqldb_private.h"

#include <stdlib.h>

struct column {
    int64_t number;
    unsigned long len;
    my_bool is_null;
    bool is_number;
    uint8_t text[MYSQLDB_COLUMN_MAX];
};

struct mysqldb_stmt {
    struct list node;
    struct mysqldb *db;
    MYSQL_STMT *handle;
    const char *sql;
    unsigned params_count;
    unsigned columns_count;
    bool executed;
    MYSQL_BIND params[MYSQLDB_PLACES_MAX];
    int64_t numbers[MYSQLDB_PLACES_MAX]; /* what integer parameters point to */
    MYSQL_BIND binds[MYSQLDB_PLACES_MAX];
    struct column columns[MYSQLDB_PLACES_MAX];
};

void mysqldb_stmt_free(struct list *node)
{
    struct mysqldb_stmt *stmt = container_of(node, struct mysqldb_stmt, node);
    mysql_stmt_close(stmt->handle);
    /* Secrets of apps pass through. */
    explicit_bzero(stmt->columns, sizeof stmt->columns);
    free(stmt);
}

static int report(struct mysqldb_stmt *stmt)
{
    return mysqldb_report(stmt->db, mysql_stmt_errno(stmt->handle), mysql_stmt_error(stmt->handle), stmt->sql);
}

static bool is_number(enum enum_field_types type)
{
    return type == MYSQL_TYPE_TINY || type == MYSQL_TYPE_SHORT || type == MYSQL_TYPE_INT24 || type == MYSQL_TYPE_LONG ||
           type == MYSQL_TYPE_LONGLONG;
}

static void bind_column(struct mysqldb_stmt *stmt, unsigned index, enum enum_field_types type)
{
    struct column *column = &stmt->columns[index];
    column->is_number = is_number(type);
    stmt->binds[index] = (MYSQL_BIND){
        .buffer_type = column->is_number ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_BLOB,
        .buffer = column->is_number ? (void *)&column->number : (void *)column->text,
        .buffer_length = column->is_number ? sizeof column->number : sizeof column->text,
        .length = &column->len,
        .is_null = &column->is_null,
    };
}

static int bind_columns(struct mysqldb_stmt *stmt)
{
    MYSQL_RES *described = mysql_stmt_result_metadata(stmt->handle);
    if (described == NULL)
        return mysql_stmt_errno(stmt->handle) != 0 ? report(stmt) : 0;
    stmt->columns_count = mysql_num_fields(described);
    petrel_assert(stmt->columns_count <= MYSQLDB_PLACES_MAX);
    for (unsigned i = 0; i < stmt->columns_count; i++)
        bind_column(stmt, i, mysql_fetch_field_direct(described, i)->type);
    mysql_free_result(described);
    return mysql_stmt_bind_result(stmt->handle, stmt->binds) == 0 ? 0 : report(stmt);
}

int mysqldb_stmt_prepare(struct mysqldb_stmt **out, struct mysqldb *db, const char *sql)
{
    object_check(db, MYSQLDB_MAGIC);
    struct mysqldb_stmt *stmt = object_zalloc(sizeof *stmt);
    stmt->db = db;
    stmt->sql = sql;
    stmt->handle = mysql_stmt_init(db->handle);
    petrel_assert(stmt->handle != NULL);
    list_push_back(&db->stmts, &stmt->node);
    *out = stmt;
    if (mysql_stmt_prepare(stmt->handle, sql, strlen(sql)) != 0)
        return report(stmt);
    stmt->params_count = (unsigned)mysql_stmt_param_count(stmt->handle);
    petrel_assert(stmt->params_count <= MYSQLDB_PLACES_MAX);
    return bind_columns(stmt);
}

static MYSQL_BIND *param_of(struct mysqldb_stmt *stmt, unsigned index)
{
    petrel_assert(index >= 1 && index <= stmt->params_count && !stmt->executed);
    return &stmt->params[index - 1];
}

void mysqldb_stmt_bind_int(struct mysqldb_stmt *stmt, unsigned index, int64_t value)
{
    MYSQL_BIND *param = param_of(stmt, index);
    stmt->numbers[index - 1] = value;
    *param = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &stmt->numbers[index - 1]};
}

void mysqldb_stmt_bind_bytes(struct mysqldb_stmt *stmt, unsigned index, struct bytes value)
{
    MYSQL_BIND *param = param_of(stmt, index);
    *param = (MYSQL_BIND){
        .buffer_type = value.ptr != NULL ? MYSQL_TYPE_BLOB : MYSQL_TYPE_NULL,
        .buffer = (void *)(uintptr_t)value.ptr,
        .buffer_length = value.len,
    };
}

/* The whole result is taken at once: a statement that is left early leaves nothing on the connection. */
static int execute(struct mysqldb_stmt *stmt)
{
    struct mysqldb *db = stmt->db;
    if ((stmt->params_count > 0 && mysql_stmt_bind_param(stmt->handle, stmt->params) != 0) ||
        mysql_stmt_execute(stmt->handle) != 0 ||
        (stmt->columns_count > 0 && mysql_stmt_store_result(stmt->handle) != 0))
        return report(stmt);
    stmt->executed = true;
    db->changes = stmt->columns_count > 0 ? 0 : (int64_t)mysql_stmt_affected_rows(stmt->handle);
    db->last_id = (int64_t)mysql_stmt_insert_id(stmt->handle);
    return 0;
}

int mysqldb_stmt_step(struct mysqldb_stmt *stmt)
{
    if (!stmt->executed) {
        const int err = execute(stmt);
        if (err != 0)
            return err;
    }
    if (stmt->columns_count == 0)
        return 0;
    const int rc = mysql_stmt_fetch(stmt->handle);
    if (rc == 0)
        return 1;
    if (rc == MYSQL_DATA_TRUNCATED)
        return PETREL_E_INVALID;
    return rc == MYSQL_NO_DATA ? 0 : report(stmt);
}

static struct column *column_of(struct mysqldb_stmt *stmt, unsigned index)
{
    petrel_assert(index < stmt->columns_count);
    return &stmt->columns[index];
}

int64_t mysqldb_stmt_int(struct mysqldb_stmt *stmt, unsigned index)
{
    const struct column *column = column_of(stmt, index);
    petrel_assert(column->is_number);
    return column->is_null ? 0 : column->number;
}

struct bytes mysqldb_stmt_bytes(struct mysqldb_stmt *stmt, unsigned index)
{
    const struct column *column = column_of(stmt, index);
    petrel_assert(!column->is_number);
    return column->is_null ? (struct bytes){NULL, 0} : bytes_of(column->text, column->len);
}

void mysqldb_stmt_reset(struct mysqldb_stmt *stmt)
{
    if (stmt->executed && stmt->columns_count > 0)
        mysql_stmt_free_result(stmt->handle);
    stmt->executed = false;
}

int mysqldb_stmt_run(struct mysqldb_stmt *stmt)
{
    int rc;
    do {
        rc = mysqldb_stmt_step(stmt);
    } while (rc == 1);
    mysqldb_stmt_reset(stmt);
    return rc;
}
