/* redis_script.h: scripts and functions, the texts they stand in, and the names by which Redis knows them. */
#ifndef PETREL_DRIVER_REDIS_SCRIPT_H
#define PETREL_DRIVER_REDIS_SCRIPT_H

#include "base/bytes.h"

#define REDIS_TEXT_NAME_MAX 64 /* a library's; a script's is its SHA-1, 40 hexadecimal digits */

struct redis_text {
    size_t index; /* among the client's */
    bool is_library;
    char name[REDIS_TEXT_NAME_MAX + 1];
    size_t len;
    uint8_t text[];
};

struct redis_script {
    const struct redis_text *text;
    char name[2 * REDIS_TEXT_NAME_MAX + 1];
};

/* Each is freed with free(). */
struct redis_text *redis_script_text(size_t index, struct bytes text);
struct redis_text *redis_script_library(size_t index, const char *prefix, struct bytes text);
/* function: NULL for a script. */
struct redis_script *redis_script_new(const struct redis_text *text, const char *function);

#endif
