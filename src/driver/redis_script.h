/* redis_script.h: scripts and the SHA-1 by which Redis knows them. */
#ifndef PETREL_DRIVER_REDIS_SCRIPT_H
#define PETREL_DRIVER_REDIS_SCRIPT_H

#include "base/bytes.h"

#define REDIS_SCRIPT_SHA_LEN 40

struct redis_script {
    size_t index; /* among the client's */
    char sha[REDIS_SCRIPT_SHA_LEN + 1];
    size_t len;
    uint8_t text[];
};

/* Freed with free(). */
struct redis_script *redis_script_new(size_t index, struct bytes text);

#endif
