/* topics_redis_private.h: what the files of the topics in Redis share. Words as in store_redis_private.h.
 *
 * Files, in the order to read them: topics_redis.c (port, seats), _call.c (arguments), _check.c (checks, which call no function),
 * _reply.c (answers), _script.c (texts). */
#ifndef PETREL_STORE_TOPICS_REDIS_PRIVATE_H
#define PETREL_STORE_TOPICS_REDIS_PRIVATE_H

#include "loop/mailbox.h"
#include "loop/timer.h"
#include "store/topics_redis.h"

#include <stdatomic.h>

#define TOPICS_REDIS_OPS (TOPICS_SUBSCRIPTIONS + 1) /* that are functions */

/* How a device's set begins (lua/subscription.lua): form, version, when it was last asked for. */
#define TOPICS_REDIS_SET_HEADER 14
#define TOPICS_REDIS_SET_FORM 1

struct topics_redis;

struct topics_redis_seat {
    _Alignas(64) struct topics_redis *topics;
    _Atomic(struct loop *) loop; /* NULL until the client is made */
    struct redis *redis;
    bool left; /* there will be no client any more */
    const struct redis_script *scripts[TOPICS_REDIS_OPS];
    struct list doubtful; /* calls that will be asked again */
    struct mail leave;
};

struct topics_redis {
    struct topics base;
    uint32_t magic;
    struct topics_redis_config config; /* texts owned */
    atomic_bool closing;
    /* One for who opened it, one for each client and each mail under way: the last frees. */
    atomic_uint refs;
    struct topics_redis_seat *seats;
};

struct topics_redis_call {
    struct redis_request ask;
    struct topics_redis_seat *seat;
    struct topics_request *request;
    uint64_t until_ms; /* of the loop: an append is repeated, a look at the cluster waited for, no longer */
    uint64_t look;     /* that a doubted one waits for */
    struct list node;  /* in `doubtful` */
    struct timer timer;
    bool doubted;           /* asked again already */
    bool repeated;          /* an append that was asked before, with no answer */
    struct bytebuf rules;   /* now and the limits */
    struct bytebuf numbers; /* the operation's own */
    struct bytebuf keys;
    struct bytebuf entry;
};

/* A call of the request's function, ready to be asked. */
struct topics_redis_call *topics_redis_call_new(struct topics_redis_seat *seat, struct topics_request *request);
void topics_redis_call_free(struct topics_redis_call *call);
/* The key of the device's set. */
void topics_redis_call_put_set_key(struct bytebuf *out, const struct peer_target *of);

/* As of topics_ops, with the seat's client there. */
int topics_redis_check_submit(struct topics_redis_seat *seat, struct topics_request *request);

/* An operation ended so: the store's figures. */
void topics_redis_count(const struct topics_redis_seat *seat, const struct topics_request *request, int status);

/* Read the function's answer into request->out: the request's status. */
int topics_redis_reply_read(struct topics_request *request, const struct redis_value *reply, uint64_t now_ms);
/* The version of a set that holds something, from how its value begins; 0: there is none. The same statuses. */
int topics_redis_reply_version(const struct redis_value *reply, uint64_t *version);
/* Whether the answer says that a position is ahead of the log, or that there is no log: of a master that is none any more, perhaps. */
bool topics_redis_reply_is_doubtful(const struct topics_request *request, const struct redis_value *reply);

/* Name the functions of all operations to a client. */
void topics_redis_script_add(struct redis *redis, const struct redis_script *scripts[TOPICS_REDIS_OPS]);

#endif
