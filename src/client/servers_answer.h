/* servers_answer.h: what a lookup server answers, read and bounded. Private to this room. */
#ifndef PETREL_CLIENT_SERVERS_ANSWER_H
#define PETREL_CLIENT_SERVERS_ANSWER_H

#include "client/hostport.h"

#define SERVERS_ANSWER_MAX 5     /* servers; what comes after them is not read */
#define SERVERS_ANSWER_TTL_S 300 /* where the answer says nothing */
#define SERVERS_ANSWER_BACKOFF_MS 1000
#define SERVERS_ANSWER_WAIT_MAX_MS 60000 /* no answer can put a device off for longer */
#define SERVERS_ANSWER_TTL_MAX_S 86400

struct servers_answer {
    size_t count;                                       /* at least 1 */
    char servers[SERVERS_ANSWER_MAX][HOSTPORT_MAX + 1]; /* "host:port", best first */
    uint32_t ttl_s;
    uint32_t backoff_ms;
    uint32_t wait_ms; /* before the first is tried */
};

/* {"servers": [{"address": "host:port"}, ...], "ttl_s", "backoff_ms", "wait_ms"}; unknown members are passed over, so are servers whose
 * address is none. 0; PETREL_E_INVALID: no JSON, not of this form, or without a server. */
int servers_answer_read(const char *json, size_t len, struct servers_answer *out);

#endif
