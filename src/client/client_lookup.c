#include "client/client_lookup.h"

#include "base/object.h"
#include "client/hostport.h"
#include "petrel/core.h"
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
    struct lookup_server servers[CLIENT_LOOKUP_SERVERS_MAX];
    size_t count;
    size_t first; /* to be asked */
    size_t asked; /* of this question */
    struct http_answer *answer;
};

static bool read_servers(struct client_lookup *lookup, const char *text)
{
    for (;;) {
        size_t len = strcspn(text, ",");
        if (lookup->count == CLIENT_LOOKUP_SERVERS_MAX)
            return false;
        struct lookup_server *server = &lookup->servers[lookup->count++];
        server->port = hostport_split(text, len, server->host);
        if (server->port == 0)
            return false;
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}

struct client_lookup *client_lookup_new(const char *servers, uint64_t random)
{
    struct client_lookup *lookup = object_zalloc(sizeof *lookup);
    lookup->magic = LOOKUP_MAGIC;
    if (!read_servers(lookup, servers)) {
        client_lookup_free(&lookup);
        return NULL;
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
    client_uv_open(uv, server->host, server->port, timeout_ms);
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
    if (event == HTTP_ANSWER_BAD || http_answer_status(lookup->answer) != STATUS_OK)
        return CLIENT_LOOKUP_NONE;
    *body = http_answer_body(lookup->answer);
    return CLIENT_LOOKUP_ANSWER;
}
