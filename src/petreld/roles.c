#include "petreld/roles.h"

#include "base/err.h"

#include <string.h>

int roles_parse(const char *text, uint32_t *roles)
{
    static const struct {
        const char *name;
        enum discovery_role role;
    } names[] = {{"session", DISCOVERY_SESSION}, {"message", DISCOVERY_MESSAGE}, {"api", DISCOVERY_API}};
    *roles = 0;
    for (;;) {
        text += strspn(text, " ");
        size_t len = strcspn(text, ", ");
        uint32_t role = 0;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strlen(names[i].name) == len && memcmp(names[i].name, text, len) == 0)
                role = names[i].role;
        if (role == 0)
            return PETREL_E_INVALID;
        *roles |= role;
        text += len;
        text += strspn(text, " ");
        if (*text == '\0')
            return 0;
        if (*text++ != ',')
            return PETREL_E_INVALID;
    }
}
