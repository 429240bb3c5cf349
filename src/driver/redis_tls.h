/* redis_tls.h: TLS of a connection to a node: whose certificate is expected, and what to say of a connection that came to nothing. */
#ifndef PETREL_DRIVER_REDIS_TLS_H
#define PETREL_DRIVER_REDIS_TLS_H

#include "driver/redis_private.h"
#include "loop/stream.h"

#define REDIS_TLS_WHY_SIZE (TLS_WHY_SIZE + 256)

/* Right after stream_connect(); nothing where the client has no TLS. */
void redis_tls_secure(const struct redis *redis, struct stream *stream, const struct redis_address *address);

/* Why a connection to that node ended with status before the node answered, where that is more than that it is away: what is wrong, and
 * which setting is to be looked at. NULL: status says all. is_open: it had been connected, with TLS past the handshake. Within what
 * ended it, since tls_loop_why() is. */
const char *redis_tls_why(const struct redis *redis, const struct redis_address *address, bool is_open, int status,
                          char out[REDIS_TLS_WHY_SIZE]);

#endif
