#include "wire/session_code.h"

#include <stddef.h>

struct code {
    uint32_t number;
    const char *name;
    const char *text;
};

static const struct code CODES[] = {
#define CODE_ROW(num, name, text) {(num), #name, text},
    SESSION_CODE_TABLE(CODE_ROW)
#undef CODE_ROW
};

static const struct code UNKNOWN = {0, "UNKNOWN", "a code that this version does not know"};

static const struct code *find(uint32_t number)
{
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        if (CODES[i].number == number)
            return &CODES[i];
    }
    return &UNKNOWN;
}

const char *session_code_name(uint32_t code)
{
    return find(code)->name;
}

const char *session_code_text(uint32_t code)
{
    return find(code)->text;
}
