/* tenant.h: the app that the ledger is, its key, and its devices: made through the server's own APIs. */
#ifndef PETREL_LEDGER_TENANT_H
#define PETREL_LEDGER_TENANT_H

#include "system/ledger/ledger.h"

/* Make the app and the key by the admin API at `admin`, wait until every send API takes the key, register all devices: tokens[device]
 * is then the caller's to free. Blocks. Whether it was done; if not the reason is told to ledger_fail(). */
bool tenant_set_up(struct ledger *ledger, const char *admin, const char *admin_token, char **tokens);

#endif
