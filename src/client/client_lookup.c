#include "client/client_lookup.h"

#include "base/object.h"
#include "client/client_tls.h"
#include "client/hostport.h"
#include "petrel/client.h"
#include "wire/http_answer.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOKUP_MAGIC OBJECT_MAGIC('C', 'L', 'L', 'K')
#define STATUS_OK 200

struct lookup_server {
    char host[HOSTPORT_HOST_MAX + 1];
    uint16_t port;
};

struct client_lookup {
    uint32_t magic;
    struct lookup_server servers[PETREL_LOOKUP_SERVERS];
    size_t count;
    size_t first; /* to be asked */
    size_t asked; /* of this question */
    struct http_answer *answer;
    char why[64];
};

struct client_lookup *client_lookup_new(const char *servers, uint64_t random)
{
    size_t count = hostport_count(servers);
    if (count == 0 || count > PETREL_LOOKUP_SERVERS)
        return NULL;
    struct client_lookup *lookup = object_zalloc(sizeof *lookup);
    lookup->magic = LOOKUP_MAGIC;
    for (; lookup->count < count; lookup->count++) {
        struct lookup_server *server = &lookup->servers[lookup->count];
        size_t len = strcspn(servers, ",");
        server->port = hostport_split(servers, len, server->host);
        servers += len + 1;
    }
    lookup->first = (size_t)(random % lookup->count);
    return lookup;
}

void client_lookup_free(struct client_lookup **lookup)
{
    struct client_lookup *gone = *lookup;
    *lookup = NULL;
    if (gone == NULL)
        return;
    object_check(gone, LOOKUP_MAGIC);
    http_answer_free(&gone->answer);
    gone->magic = 0;
    free(gone);
}

void client_lookup_begin(struct client_lookup *lookup)
{
    object_check(lookup, LOOKUP_MAGIC);
    lookup->asked = 0;
}

static size_t current(const struct client_lookup *lookup)
{
    return (lookup->first + lookup->asked - 1) % lookup->count;
}

bool client_lookup_open(struct client_lookup *lookup, struct client_uv *uv, uint32_t timeout_ms)
{
    object_check(lookup, LOOKUP_MAGIC);
    http_answer_free(&lookup->answer);
    if (lookup->asked == lookup->count)
        return false;
    lookup->asked++;
    lookup->answer = http_answer_new(CLIENT_LOOKUP_ANSWER_MAX);
    const struct lookup_server *server = &lookup->servers[current(lookup)];
    client_uv_open(uv, server->host, server->port, CLIENT_TLS_LOOKUP, timeout_ms);
    return true;
}

void client_lookup_keep(struct client_lookup *lookup)
{
    lookup->first = current(lookup);
}

void client_lookup_request(const struct client_lookup *lookup, struct bytebuf *out)
{
    const struct lookup_server *server = &lookup->servers[current(lookup)];
    bool is_ipv6 = strchr(server->host, ':') != NULL;
    bytes_printf(out,
                 "GET /v1/lookup HTTP/1.1\r\nHost: %s%s%s:%u\r\nUser-Agent: libpetrel/%s\r\n"
                 "Accept: application/json\r\nConnection: close\r\n\r\n",
                 is_ipv6 ? "[" : "", server->host, is_ipv6 ? "]" : "", (unsigned)server->port, petrel_version());
}

enum client_lookup_event client_lookup_feed(struct client_lookup *lookup, struct bytes in, struct bytes *body)
{
    object_check(lookup, LOOKUP_MAGIC);
    enum http_answer_event event =
        in.ptr != NULL ? http_answer_feed(lookup->answer, in) : http_answer_end(lookup->answer);
    if (event == HTTP_ANSWER_MORE)
        return CLIENT_LOOKUP_MORE;
    if (event == HTTP_ANSWER_BAD) {
        snprintf(lookup->why, sizeof lookup->why, "the answer is not HTTP, or not whole, or too large");
        return CLIENT_LOOKUP_NONE;
    }
    if (http_answer_status(lookup->answer) != STATUS_OK) {
        snprintf(lookup->why, sizeof lookup->why, "HTTP status %u", http_answer_status(lookup->answer));
        return CLIENT_LOOKUP_NONE;
    }
    snprintf(lookup->why, sizeof lookup->why, "the answer names no server");
    *body = http_answer_body(lookup->answer);
    return CLIENT_LOOKUP_ANSWER;
}

const char *client_lookup_why(const struct client_lookup *lookup)
{
    return lookup->why;
}
