#include "driver/tls_refusal.h"

#include <stddef.h>
#include <string.h>

/* What an alert says of the certificate that it answers. OpenSSL's words for what is wrong with a server's have no "alert". */
static const char *const words[] = {"certificate", "unknown ca", "access denied"};

bool tls_refusal_is_of_ours(const char *why)
{
    const char *alert = strstr(why, "alert");
    for (size_t i = 0; alert != NULL && i < sizeof words / sizeof words[0]; i++) {
        if (strcasestr(alert, words[i]) != NULL)
            return true;
    }
    return false;
}
