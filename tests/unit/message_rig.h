/* message_rig.h: a message role before a store, and topics, that the test scripts: what goes to them, what comes back, which hints follow.
 *
 * One thread: the loop runs in message_rig_ask() and message_rig_answer(), until there is nothing more to do. */
#ifndef PETREL_TESTS_MESSAGE_RIG_H
#define PETREL_TESTS_MESSAGE_RIG_H

#include "discovery/link_local.h"
#include "message/message_role.h"
#include "store/topics.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MESSAGE_RIG_NODE 3
#define MESSAGE_RIG_INCARNATION 1700000000000ULL
#define MESSAGE_RIG_TELLS_MAX 32

/* Each keeps every request until the test answers it. */
struct message_rig_store {
    struct store store; /* first */
    struct store_request *last;
    int submitted;
    int refusal;
};
struct message_rig_topics {
    struct topics topics; /* first */
    struct topics_request *last;
};

struct message_rig {
    struct loop *loop;
    struct link_local *links;
    struct link *link;
    struct metrics *metrics;
    struct message_role *role;
    struct message_rig_store store;
    struct message_rig_topics topics;
    struct peer_msg tells[MESSAGE_RIG_TELLS_MAX]; /* that sessions were sent */
    int tells_count;
    int closed;
};

struct message_rig_asked {
    struct link_call call;
    int answers;
    struct peer_checked checked; /* copied from the reply of CHECK */
};

/* max_inflight 0: the default. Calls about topics are UNSUPPORTED. */
void message_rig_open(struct message_rig *rig, uint32_t max_inflight);
void message_rig_open_with_topics(struct message_rig *rig);
/* Close the role; it goes when nothing is under way. */
void message_rig_begin_close(struct message_rig *rig);
void message_rig_close(struct message_rig *rig);
void message_rig_turn(struct message_rig *rig);

/* Of demo, ada, phone. */
struct peer_target message_rig_target(void);
/* A route to this very process. */
struct route message_rig_route(uint32_t slot);
/* A SEND of that message, which stays the test's. */
struct message_rig_asked message_rig_send(struct buf *message);
struct message_rig_asked message_rig_bind(struct route route);
void message_rig_ask(struct message_rig *rig, struct message_rig_asked *asked);
/* Have the store, or the topics, answer the last request. */
void message_rig_answer(struct message_rig *rig, int status);
void message_rig_answer_topics(struct message_rig *rig, int status);

#endif
