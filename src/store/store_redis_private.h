/* store_redis_private.h: what the files of the Redis store share.
 *
 * seat     what one loop has: its client, its scripts. Touched on that loop only, but for `loop`
 * call     one request under way: the script's arguments, which live as long as it
 *
 * Files, in the order to read them: store_redis.c (port, seats), _call.c (arguments), _check.c (entries of a check), _reply.c (answers), _script.c (texts). */
#ifndef PETREL_STORE_STORE_REDIS_PRIVATE_H
#define PETREL_STORE_STORE_REDIS_PRIVATE_H

#include "loop/mailbox.h"
#include "loop/timer.h"
#include "store/store_redis.h"

#include <stdatomic.h>

#define STORE_REDIS_OPS (STORE_USER + 1)
#define STORE_REDIS_LIMITS_BYTES 52

struct store_redis;

struct store_redis_seat {
    _Alignas(64) struct store_redis *store;
    _Atomic(struct loop *) loop; /* NULL until the client is made */
    struct redis *redis;
    bool left; /* there will be no client any more */
    void (*on_lost)(void *ctx);
    void *on_lost_ctx;
    const struct redis_script *scripts[STORE_REDIS_OPS];
    struct list doubtful;    /* calls that will be asked again */
    struct timer full_timer; /* runs for some time after an append was refused as FULL */
    struct mail leave;
};

struct store_redis {
    struct store base;
    uint32_t magic;
    struct store_redis_config config; /* texts owned */
    uint8_t limits[STORE_REDIS_LIMITS_BYTES];
    atomic_bool closing;
    /* One for who opened it, one for each client and each mail under way: the last frees. */
    atomic_uint refs;
    struct store_redis_seat *seats;
};

/* A CHECK under way: users lie in slots of their own, so its entries are asked one by one, side by side. */
struct store_redis_checks;

struct store_redis_call {
    struct redis_request ask;
    struct store_redis_seat *seat;
    struct store_request *request;
    struct store_redis_checks *checks; /* NULL: it is the whole request */
    struct peer_check check;           /* else this entry of it, */
    uint32_t entry;                    /* its number */
    uint64_t until_ms; /* of the loop: an append is repeated, a look at the cluster waited for, no longer */
    uint64_t look;     /* that a doubted one waits for */
    struct list node;  /* in `doubtful` */
    struct timer timer;
    bool doubted;          /* asked again already */
    struct route replaced; /* by a bind, when it was asked first */
    size_t used;
    size_t room;
    uint8_t memory[]; /* what key and arguments borrow */
};

/* A call of the request's script, ready to be asked. Freed with free(). check: the entry that it asks of a CHECK; else NULL. */
struct store_redis_call *store_redis_call_new(struct store_redis_seat *seat, struct store_request *request,
                                              const struct peer_check *check);
/* Say that it may have been carried out before: whoever it then found is answered as if it was now. */
void store_redis_call_repeat(struct store_redis_call *call);

/* The request's entries are noted as many times as there are, and it is released once. */
struct store_redis_checks *store_redis_check_new(struct store_request *request);
/* What an entry's call came to: status 0 with a verdict, or why there is none. Each of the two: true after the last of all, with
 * request->status and request->out filled, and the checks freed. The whole fails if no entry could be asked. */
bool store_redis_check_note(struct store_redis_checks *checks, uint32_t entry, int status, enum peer_verdict verdict);
bool store_redis_check_release(struct store_redis_checks *checks);

/* Read the script's answer into request->out: the request's status. Of a CHECK's entry, into *verdict. */
int store_redis_reply_read(struct store_request *request, const struct redis_value *reply);
int store_redis_reply_verdict(const struct redis_value *reply, enum peer_verdict *verdict);
/* Whether the answer says that a position is ahead of the log, or that there is no log: of a master that is none any more, perhaps. */
bool store_redis_reply_is_doubtful(const struct store_request *request, const struct redis_value *reply);
/* Free what a request that ended with 0 lends. */
void store_redis_reply_release(struct store_request *request);

/* Name the scripts of all operations to a client. */
void store_redis_script_add(struct redis *redis, const struct redis_script *scripts[STORE_REDIS_OPS]);

#endif
