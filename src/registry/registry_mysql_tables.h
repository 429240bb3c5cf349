/* registry_mysql_tables.h: the registry's tables in a MySQL or MariaDB database. The room's own; on the worker's thread only. */
#ifndef PETREL_REGISTRY_REGISTRY_MYSQL_TABLES_H
#define PETREL_REGISTRY_REGISTRY_MYSQL_TABLES_H

#include "driver/mysqldb.h"
#include "registry/tables.h"

/* Connect, migrate, prepare. 0, or the errors of registry_mysql_open() and PETREL_E_UNAVAILABLE. */
int registry_mysql_tables_open(struct tables **out, const struct mysqldb_config *config);
/* Whether the server has refused a write because it takes none. */
bool registry_mysql_tables_read_only(struct tables *tables);

#endif
