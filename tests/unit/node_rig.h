/* node_rig.h: a node of two loops, on each a session role and a message role, before one SQLite store; calls to it, and devices that
 * connect to it. Everything on the test's thread. */
#ifndef PETREL_TESTS_UNIT_NODE_RIG_H
#define PETREL_TESTS_UNIT_NODE_RIG_H

#include "contract/loops.h"
#include "lib/tmpdir.h"
#include "loop/turnstile.h"
#include "store/store.h"
#include "store/topics.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NODE_RIG_LOOPS 2

struct message_role;

/* Zero: no topics, and defaults. */
struct node_rig_config {
    struct topics *topics; /* which the rig closes */
    uint32_t check_interval_s;
    uint32_t cap_entries; /* that the store keeps for a user, each of at most 1,000 bytes */
};

struct node_rig {
    struct node_rig_config config;
    struct tmpdir dir;
    char path[TMPDIR_PATH_MAX + 16];
    struct loops loops;
    struct link_local *links;
    struct metrics *metrics;
    struct store *store;
    struct session_role *sessions[NODE_RIG_LOOPS];
    struct message_role *messages[NODE_RIG_LOOPS];
    uint16_t ports[NODE_RIG_LOOPS];
    struct token_key *key;
    struct turnstile *broadcasts; /* one loop at a time */
    struct loops_tally closed;
};

void node_rig_open(struct node_rig *node, const struct node_rig_config *config);
void node_rig_close(struct node_rig *node);

/* A call to a loop's message role, and its answer. */
struct node_rig_asked {
    struct node_rig *node;
    size_t loop;
    struct link_call call;
    struct peer_user user; /* copied from the reply of USER */
    struct loops_tally done;
};

/* Ask and wait: the status. */
int node_rig_ask(struct node_rig_asked *asked);
/* Ada's; device NULL: all of them. */
struct peer_target node_rig_target(const char *device);

/* A token for ada's device for an hour, with a NUL behind it. */
void node_rig_token(const struct node_rig *node, const char *device, struct bytebuf *out);
/* One that takes no topics. */
void node_rig_connect(struct node_rig *node, size_t loop, struct client *client, const char *device, uint64_t attempt,
                      struct position at);

#endif
