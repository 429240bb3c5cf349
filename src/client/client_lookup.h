/* client_lookup.h: asks lookup servers, one after the other, which session servers to try. Private to this room.
 *
 * Over the client's one connection, while it has no other use: begin, then open the connection to each server in turn, write the
 * request, feed what comes, until one answers. The very first is chosen at random. */
#ifndef PETREL_CLIENT_CLIENT_LOOKUP_H
#define PETREL_CLIENT_CLIENT_LOOKUP_H

#include "base/bytes.h"
#include "client/client_uv.h"

#define CLIENT_LOOKUP_ANSWER_MAX 16384

struct client_lookup;

/* servers: "host:port[,host:port...]". NULL: it is no such list. */
struct client_lookup *client_lookup_new(const char *servers, uint64_t random);
void client_lookup_free(struct client_lookup **lookup);

/* A new question: all servers are there to be asked. */
void client_lookup_begin(struct client_lookup *lookup);
/* Open a connection to the next server; there is none. False: all were asked. */
bool client_lookup_open(struct client_lookup *lookup, struct client_uv *uv, uint32_t timeout_ms);
/* The connection stands: append the request. */
void client_lookup_request(const struct client_lookup *lookup, struct bytebuf *out);

enum client_lookup_event {
    CLIENT_LOOKUP_MORE,
    CLIENT_LOOKUP_ANSWER, /* *body is the 200's, valid until the next call */
    CLIENT_LOOKUP_NONE,   /* this server gives no answer; client_lookup_open() goes on to the next */
};
/* Bytes came; {NULL, 0}: the connection ended. For NONE client_lookup_why() tells people why. */
enum client_lookup_event client_lookup_feed(struct client_lookup *lookup, struct bytes in, struct bytes *body);
const char *client_lookup_why(const struct client_lookup *lookup);
/* The answer was a good one: its server is asked first next time. */
void client_lookup_keep(struct client_lookup *lookup);

#endif
