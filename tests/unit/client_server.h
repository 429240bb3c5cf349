/* client_server.h: a scripted session server on the client's own loop, and the application of the client: what both saw, in order,
 * is one line of text, so that a test says "first this, then that".
 *
 * A server answers CONNECT with `answer`, and tells of it as "<name> CONNECT 7/5#2 token; "; of ACK, DISCONNECT and the end of
 * the connection likewise. Callbacks never assert: tests do, outside of the loop. */
#ifndef PETREL_TESTS_CLIENT_SERVER_H
#define PETREL_TESTS_CLIENT_SERVER_H

#include "petrel/client.h"
#include "wire/session.h"

#include <uv.h>

struct rig;

enum answer { ANSWER_CONNECTED, ANSWER_MESSAGES, ANSWER_ERROR, ANSWER_GOAWAY, ANSWER_NOTHING, ANSWER_CLOSE };

struct server {
    struct rig *rig;
    const char *name;
    uv_tcp_t listener;
    uint16_t port;
    uv_tcp_t *peer; /* the newest connection; NULL when it is gone */
    struct frame_reader reader;
    enum answer answer;
    uint32_t code;             /* of ANSWER_ERROR, once: then it is ANSWER_CONNECTED */
    uint64_t messages;         /* of ANSWER_MESSAGES */
    const struct server *next; /* of ANSWER_GOAWAY */
};

struct rig {
    uv_loop_t loop;
    uv_timer_t limit;
    bool too_late;
    struct server one;
    struct server two;
    struct session_codec *codec;
    struct petrel_client *client;
    struct bytebuf seen;
    bool quiet; /* messages are counted, not told */
    uint64_t messages;
    const char *tokens[4]; /* for fetch_token, in turn; NULL after the last */
    size_t tokens_used;
    const char *lookup;   /* lookup servers for the client, in place of a host */
    const char *close_in; /* the callback that closes the client: "message", "disconnected", "fetch" */
};

void server_rig_begin(struct rig *rig);
/* Close what is open and run the loop to its end. Whether nothing was left. */
bool server_rig_end(struct rig *rig);
/* A client of server one, or of what rig->lookup names. token NULL: fetch_token is given, if `fetch`. */
void server_rig_client(struct rig *rig, const char *host, const char *token, bool fetch);
/* Run until `text` was seen or 10 s are over. Whether it was. */
bool server_rig_until(struct rig *rig, const char *text);
/* Close the client; whether on_closed came. */
bool server_rig_close(struct rig *rig);
const char *server_rig_seen(struct rig *rig);
/* Close the newest connection of the server's. */
void server_drop(struct server *server);

#endif
