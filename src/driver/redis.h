/* redis.h: Redis as the stores use it: one client per loop, to one server or a Redis Cluster, pipelined, on our own streams.
 * hiredis is the codec and nothing else. Thin: requests go to the node that has the key's slot, redirections are followed, deadlines
 * kept; what a reply means is the store's. Everything on the client's loop.
 *
 * request      a script call or a command for one key, one reply
 * node         a server; connections to it: one for plain requests, one of its own for replicated ones
 * slot map     which node has which of the 16,384 slots; from CLUSTER SHARDS (Redis 7), refreshed when a reply says it is old
 * replicated   after the request's write on the same connection, WAIT for all replicas of the shard, one WAIT per batch (PROMISE §5)
 *
 * What is retried here, until the request's deadline: connecting, MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING, READONLY, NOSCRIPT, and
 * a connection that broke before the request was written. What broke after it was written is UNAVAILABLE: it may have acted. */
#ifndef PETREL_DRIVER_REDIS_H
#define PETREL_DRIVER_REDIS_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/metrics.h"
#include "loop/loop.h"
#include "loop/tls.h"

#define REDIS_ARGS_MAX 40
#define REDIS_SEEDS_MAX 16
#define REDIS_SCRIPTS_MAX 32                      /* of a client, functions included; as many texts */
#define REDIS_REQUEST_BYTES_MAX (8 * 1024 * 1024) /* of one request, asserted */
#define REDIS_REPLY_BYTES_MAX (16 * 1024 * 1024) /* of one reply, decoded or not; a server that sends more is cut off */

struct redis;

struct redis_seed {
    char host[64]; /* numeric */
    uint16_t port;
};

struct redis_config {
    size_t seeds_count;
    struct redis_seed seeds[REDIS_SEEDS_MAX];
    bool cluster;
    const char *username; /* NULL: none; copied, as is the password, and never logged */
    const char *password;
    struct tls_client *tls; /* whom connections trust and what they show; NULL: no TLS. References are taken */
    const char *tls_name;   /* in the certificates of all servers; NULL: each one's address. Copied */
    uint32_t
        timeout_ms; /* of one try; a connection whose reply is later is closed, its replies never used; default 1,000 */
    uint32_t deadline_ms;   /* of a request with all its tries; default 5,000 */
    uint32_t replicated_ms; /* of a replicated one; default 10,000 */
    uint32_t max_inflight;  /* requests under way; beyond: BUSY; default 65,536 */
    bool
        unwatched; /* another client of the loop has the same servers: it tells of them by STORE_DOWN and REDIS_UNSAFE */
};

/* A reply, decoded; borrowed from the request until its callback returns. */
enum redis_type { REDIS_NIL, REDIS_STATUS, REDIS_STRING, REDIS_INTEGER, REDIS_ARRAY, REDIS_ERROR };
struct redis_value {
    enum redis_type type;
    int64_t integer;
    struct bytes text; /* STATUS, STRING, ERROR: the whole line */
    size_t count;      /* ARRAY */
    const struct redis_value *items;
};

/* Lua that a node keeps, registered once per client, sent whole where a node does not have it: a script, called by its SHA-1 (EVALSHA),
 * or a library of functions, called by name (FCALL): the library is run once when it is loaded, a script's every line at each call. */
struct redis_text;
/* What a request calls. */
struct redis_script;

struct redis_request;
typedef void redis_done_fn(struct redis_request *request);

/* Embedded by the caller, left alone until done; what argv and key borrow, too. */
struct redis_request {
    const struct redis_script *script; /* NULL: argv is a whole command */
    struct bytes key;                  /* decides the node; KEYS[1] of a script */
    struct bytes second_key;           /* KEYS[2] of a script, of the same slot; absent: none */
    size_t argc;
    struct bytes argv[REDIS_ARGS_MAX]; /* ARGV of a script */
    bool replicated;
    bool readonly; /* has no effect, so it is tried again also after it was written */
    redis_done_fn *done;
    /* result */
    int status; /* 0; see redis_ask() */
    const struct redis_value
        *reply; /* NULL unless status is 0; may be of type ERROR, with an error that is the script's own */
    /* the client's own */
    struct list node;
    void *state;
    uint64_t deadline_ms;
    uint64_t due_ms; /* while it waits to be tried again */
    uint32_t tries;
    bool written;
    bool asking; /* its next node takes it only after ASKING */
};

/* 0, or PETREL_E_INVALID: a seed that is no numeric address, or none, or several without cluster. Any thread. */
int redis_check(const struct redis_config *config);
/* Nothing is connected before the first request. 0, or what redis_check() says. */
int redis_new(struct redis **out, struct loop *loop, const struct redis_config *config, struct metrics_shard *metrics);
/* The script's text is copied. Before the first request that uses it. Lives as long as the client, as do libraries and functions. */
const struct redis_script *redis_script_add(struct redis *redis, struct bytes text);
/* A library, without its first line. Its name is <prefix>_<digest of the text>, so that those of two versions never meet; the text finds
 * it in the local `library`, and must put it and a _ before the names of its functions. Nothing deletes one: see deploy/README.md. */
const struct redis_text *redis_library_add(struct redis *redis, const char *prefix, struct bytes text);
/* A function that the library registers as library .. '_' .. name. */
const struct redis_script *redis_function_add(struct redis *redis, const struct redis_text *library, const char *name);

/* 0: done runs exactly once, later. PETREL_E_BUSY, PETREL_E_CLOSING: never. Statuses: 0; UNAVAILABLE: may have acted; TIMEOUT: the same;
 * BUSY: did not act, no node took it before the deadline (down, loading, no master for the slot); FULL: OOM or a disk error of
 * Redis's own refused the write (OOM, MISCONF): did not act; CLOSING. A replicated request that not all replicas confirmed is
 * UNAVAILABLE: the caller repeats it, which is safe under the same id. */
int redis_ask(struct redis *redis, struct redis_request *request);

/* Look at the cluster anew, with the eyes of another node than the one that has this key: its answer was older than what is known
 * elsewhere, and so may be its map, for some time. Returns a number for redis_is_refreshed(), which tells whether that look is over.
 * Nothing without a cluster. */
uint64_t redis_refresh(struct redis *redis, struct bytes key);
bool redis_is_refreshed(const struct redis *redis, uint64_t look);
#define REDIS_LOOK_MS 50       /* from asking that to asking it again */
#define REDIS_LOOK_MAX_MS 2000 /* who waits for a look waits no longer */

/* The slot of a key: CRC16 of what is between the first { and }, or of all, modulo 16,384. */
uint32_t redis_slot(struct bytes key);
/* Tell ctx on the client's loop whenever another node became master of some slots, and when a connection broke. is_lost: the last one
 * broke, or was replaced while it had slots left: what it had may be forgotten, and sessions are to check (PROMISE §3). */
typedef void redis_change_fn(void *ctx, bool is_lost);
void redis_watch(struct redis *redis, redis_change_fn *on_change, void *ctx);

/* Requests under way end with CLOSING; then connections close, memory is freed, done(ctx). */
void redis_close(struct redis **redis, void (*done)(void *ctx), void *ctx);

#endif
