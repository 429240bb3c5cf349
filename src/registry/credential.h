/* credential.h: how keys and secrets are made, the same in every implementation. */
#ifndef PETREL_REGISTRY_CREDENTIAL_H
#define PETREL_REGISTRY_CREDENTIAL_H

#include "registry/registry.h"

#define CREDENTIAL_ID_SIZE 17 /* 16 hex digits and the NUL */

/* A new API key: "pk_", its id, "_", 32 random bytes as base64url. The caller wipes the text. Any thread. */
void credential_make_key(char id[CREDENTIAL_ID_SIZE], char text[REGISTRY_KEY_TEXT_MAX]);
/* A new secret that signs tokens, and its id. The caller wipes it. Any thread. */
void credential_make_secret(struct snapshot_secret *secret);

#endif
