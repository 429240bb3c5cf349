/* registry_sqlite_tables.h: the registry's tables in an SQLite file. The room's own; on the worker's thread only. */
#ifndef PETREL_REGISTRY_REGISTRY_SQLITE_TABLES_H
#define PETREL_REGISTRY_REGISTRY_SQLITE_TABLES_H

#include "driver/sqlite.h"
#include "registry/tables.h"

/* 0, or the errors of sqlite_open(). */
int registry_sqlite_tables_open(struct tables **out, const char *path);
/* For what is SQLite's own: backups, giving space back. */
struct sqlite *registry_sqlite_tables_file(struct tables *tables);

#endif
