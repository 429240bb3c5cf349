/* roles.h: what a process does: the text of the key `roles`. */
#ifndef PETREL_PETRELD_ROLES_H
#define PETREL_PETRELD_ROLES_H

#include "discovery/discovery.h"

#define ROLES_ALL (DISCOVERY_SESSION | DISCOVERY_MESSAGE | DISCOVERY_API)

/* "session,api" as a set of enum discovery_role. 0, or PETREL_E_INVALID: empty, or a name that is no role. */
int roles_parse(const char *text, uint32_t *roles);

#endif
