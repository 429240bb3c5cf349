#include "driver/redis_tls.h"

#include "base/err.h"
#include "driver/tls_refusal.h"

#include <stdio.h>
#include <string.h>

/* The name is an address, or was looked at when it was configured. */
static const char *expected_name(const struct redis *redis, const struct redis_address *address)
{
    return redis->config.tls_name != NULL ? redis->config.tls_name : address->host;
}

void redis_tls_secure(const struct redis *redis, struct stream *stream, const struct redis_address *address)
{
    if (redis->config.tls == NULL)
        return;
    const int rc = stream_secure_client(stream, redis->config.tls, expected_name(redis, address), (struct bytes){0});
    petrel_assert(rc == 0);
}

/* A server that speaks no TLS waits for the end of a line, and one that wants a certificate may end without an alert, or with one that
 * says no more than that: what is not said has to be guessed from how far it came. Who sends an alert does speak TLS. */
const char *redis_tls_why(const struct redis *redis, const struct redis_address *address, bool is_open, int status,
                          char out[REDIS_TLS_WHY_SIZE])
{
    const bool secure = redis->config.tls != NULL;
    const char *why = tls_loop_why(redis->loop);
    const bool ended = status != PETREL_E_TIMEOUT && status != PETREL_E_CLOSING;
    if (why != NULL && status == PETREL_E_UNAUTHENTICATED)
        (void)snprintf(out, REDIS_TLS_WHY_SIZE,
                       "TLS: its certificate, expected for %.64s, is refused: %s (store.redis_tls_ca, "
                       "store.redis_tls_name)",
                       expected_name(redis, address), why);
    else if (why != NULL && tls_refusal_is_of_ours(why))
        (void)snprintf(out, REDIS_TLS_WHY_SIZE, "TLS: it refuses our certificate: %s (store.redis_tls_cert)", why);
    else if (why != NULL && !is_open && strstr(why, "alert") == NULL)
        (void)snprintf(out, REDIS_TLS_WHY_SIZE, "TLS: %s (store.redis has to name its tls-port)", why);
    else if (why != NULL)
        (void)snprintf(out, REDIS_TLS_WHY_SIZE,
                       "TLS: %s: it may ask for a certificate that it trusts (store.redis_tls_cert)", why);
    else if (secure && !is_open && status == PETREL_E_TIMEOUT)
        return "TLS: no answer to the handshake in time: it hangs, or speaks no TLS at that port (store.redis has to "
               "name its tls-port)";
    else if (secure && is_open && ended)
        return "TLS: it ended the connection instead of an answer: it may ask for a certificate that it trusts "
               "(store.redis_tls_cert)";
    else if (!secure && is_open && ended)
        return "it ended the connection instead of an answer: it may take TLS only at that port (store.redis_tls)";
    else
        return NULL;
    return out;
}
