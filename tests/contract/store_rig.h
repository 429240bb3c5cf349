/* store_rig.h: a store of any implementation under test, its loops, and calls that wait for their answers.
 *
 * To hold another store to the contract: one more row in store_rig_backends. Everything on the test's thread. */
#ifndef PETREL_TESTS_CONTRACT_STORE_RIG_H
#define PETREL_TESTS_CONTRACT_STORE_RIG_H

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "base/object.h"
#include "contract/loops.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define STORE_RIG_T0 1800000000000ULL /* when tests begin, UTC ms */
#define STORE_RIG_HOUR 3600000ULL
#define STORE_RIG_DAY (24 * STORE_RIG_HOUR)

struct store_rig;

struct store_rig_backend {
    const char *name;
    bool keeps_routes; /* a store that is opened again finds the routes it had: they are not its process's */
    /* The servers it needs, started once per program; NULL: none. clear: as if they were new, before each test. */
    void *(*start)(void);
    void (*clear)(void *servers);
    void (*stop)(void *servers);
    int (*open)(struct store_rig *rig);
};

/* What tests get as their state: a backend and its servers. */
struct store_rig_subject {
    const struct store_rig_backend *backend;
    void *servers;
};

/* What a test may set before store_rig_open(). */
struct store_rig_options {
    struct store_limits limits;
    size_t loops;
    uint64_t checkpoint_bytes;
    uint64_t memory_bytes;
    uint64_t min_free_bytes;
    bool restored;
    const char *username; /* of a server that asks for one; NULL: none */
    const char *password;
};

/* Moved by the test, read by the store's thread. */
struct store_rig_clock {
    struct clock clock;
    _Atomic uint64_t ms;
};

struct store_rig {
    const struct store_rig_subject *subject;
    struct store_rig_options options;
    struct store_rig_clock clock;
    struct metrics *metrics;
    struct loops loops;
    struct store *store;
    char folder[64];
    char path[96];
    struct buf **kept; /* messages that pages lent, until the end */
    size_t kept_count;
};

struct store_rig_options store_rig_options(void);
/* All but the loops and the store: for a test that forks. */
void store_rig_prepare(struct store_rig *rig, const void *subject, const struct store_rig_options *options);
void store_rig_start(struct store_rig *rig);
/* Close the store and the loops: no thread is left; start again or close. */
void store_rig_stop(struct store_rig *rig);
/* prepare and start. options NULL: store_rig_options(). */
void store_rig_open(struct store_rig *rig, const void *subject, const struct store_rig_options *options);
void store_rig_close(struct store_rig *rig);
/* Close the store and open it again, as a restart does. */
void store_rig_reopen(struct store_rig *rig);
void store_rig_advance(struct store_rig *rig, uint64_t ms);

/* Run one operation and wait: its status. What it lends is copied to *into (a peer_bound, peer_page, peer_checked, peer_stated
 * or peer_user; else NULL). */
int store_rig_run(struct store_rig *rig, enum store_op op, struct store_request *request, void *into);

struct peer_target store_rig_target(const char *user, const char *device);
struct route store_rig_route(uint32_t slot);
/* The id of a text, so that tests can name messages. */
struct id store_rig_id(const char *text);

/* A send of this text to all devices of the user, expiring in a day; the message is a reference of the rig's. */
struct peer_send store_rig_send(struct store_rig *rig, const char *user, const char *text);
int store_rig_append(struct store_rig *rig, const struct peer_send *send, struct store_append_out *out);
/* The same, which must succeed: the seq. */
uint64_t store_rig_put(struct store_rig *rig, const char *user, const char *text);
/* The route's slot is the attempt. */
int store_rig_bind(struct store_rig *rig, const char *user, const char *device, uint64_t attempt, struct position at,
                   struct peer_bound *bound);
/* The same without a position, which must succeed. */
struct peer_bound store_rig_bound(struct store_rig *rig, const char *user, const char *device, uint64_t attempt);
void store_rig_unbind(struct store_rig *rig, const char *user, const char *device, uint64_t attempt);
int store_rig_enrol(struct store_rig *rig, const char *user, const char *device);
int store_rig_remove(struct store_rig *rig, const char *user, const char *device, uint64_t revoked_ms);
int store_rig_fetch(struct store_rig *rig, const char *user, const char *device, struct position at, uint64_t told,
                    struct peer_page *page);
int store_rig_ack(struct store_rig *rig, const char *user, const char *device, struct position at);
enum peer_verdict store_rig_check(struct store_rig *rig, const char *user, const char *device, uint64_t attempt,
                                  struct position at);
/* In one request, of routes of one loop: what each is told. */
int store_rig_check_all(struct store_rig *rig, const struct peer_check *checks, uint32_t count,
                        enum peer_verdict *verdicts);
int store_rig_recall(struct store_rig *rig, const char *user, const char *text);
/* UNKNOWN when not found. */
enum peer_state store_rig_state(struct store_rig *rig, const char *user, const char *text);
int store_rig_user(struct store_rig *rig, const char *user, struct peer_user *into);

/* Bytes in all files of the store. */
uint64_t store_rig_file_bytes(const struct store_rig *rig);

/* The page holds exactly these texts, separated by spaces. */
void store_rig_expect(const struct peer_page *page, const char *texts);

/* Run the tests against every backend, or against the one of this name. */
int store_rig_main(const char *group, const struct CMUnitTest *tests, size_t count);
int store_rig_main_on(const char *backend, const char *group, const struct CMUnitTest *tests, size_t count);

#endif
