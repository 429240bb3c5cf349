/* client_directory.h: a scripted lookup server on the client's own loop. What it is asked is told as "<name> asked; " in the rig's line of
 * text. It answers each question with the same bytes, or not at all. */
#ifndef PETREL_TESTS_CLIENT_DIRECTORY_H
#define PETREL_TESTS_CLIENT_DIRECTORY_H

#include "unit/client_server.h"

struct directory {
    struct rig *rig;
    const char *name;
    uv_tcp_t listener;
    uint16_t port;
    uv_tcp_t *peer; /* the newest connection; NULL when it is gone */
    struct bytebuf question;
    struct bytebuf answer; /* empty: none */
    bool closes;           /* after the answer; else that is left to the client */
};

void directory_begin(struct directory *directory, struct rig *rig, const char *name);
/* Close what is open, before server_rig_end(). */
void directory_end(struct directory *directory);
/* Nobody listens there any more. */
void directory_down(struct directory *directory);

/* What is answered from now on: these bytes; an HTTP answer around this body. */
void directory_answer(struct directory *directory, const char *bytes);
void directory_answer_json(struct directory *directory, unsigned status, const char *json);
/* A 200 that names the servers on these ports of 127.0.0.1 (0: none), with more members, as ",\"ttl_s\":0". */
void directory_names(struct directory *directory, uint16_t first, uint16_t second, const char *more);

#endif
