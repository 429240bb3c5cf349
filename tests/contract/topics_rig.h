/* topics_rig.h: topics of any implementation under test, their loops, and calls that wait for their answers.
 *
 * To hold another implementation to the contract: one more row in topics_rig.c's backends. Everything on the test's thread. */
#ifndef PETREL_TESTS_CONTRACT_TOPICS_RIG_H
#define PETREL_TESTS_CONTRACT_TOPICS_RIG_H

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "contract/loops.h"
#include "store/topics.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TOPICS_RIG_T0 1800000000000ULL /* when tests begin, UTC ms */
#define TOPICS_RIG_DAY 86400000ULL
#define TOPICS_RIG_TEXTS 16384

struct store_rig_redis;

struct topics_rig {
    const struct topics_rig_subject *subject;
    struct topics_limits limits;
    struct clock clock;
    _Atomic uint64_t ms;
    struct metrics *metrics;
    struct loops loops;
    struct topics *topics;
    bool restored; /* when it is opened next: the data is older than what was answered */
    char folder[64];
    char path[96];
};

/* A page, and what it held as text: messages apart by spaces, each with its condition in brackets if it has one. */
struct topics_rig_page {
    struct topics_page page; /* the entries' messages and conditions are gone */
    char texts[TOPICS_RIG_TEXTS];
};

/* With limits of 4 entries and 40 bytes. */
void topics_rig_open(struct topics_rig *rig, const void *subject);
/* Limits NULL: the same. */
void topics_rig_open_with(struct topics_rig *rig, const void *subject, const struct topics_limits *limits,
                          size_t loops);
void topics_rig_reopen(struct topics_rig *rig);
void topics_rig_close(struct topics_rig *rig);
/* The servers behind it; NULL: none. */
struct store_rig_redis *topics_rig_redis(const struct topics_rig *rig);

struct id topics_rig_id(const char *text);
/* An append of this text under its own id, for a day; the caller gives the message back. */
struct topics_append topics_rig_message(const struct topics_rig *rig, const char *topic, const char *text);

/* Each runs one operation on the first loop and waits: its status. */
int topics_rig_append(struct topics_rig *rig, const struct topics_append *append, struct topics_appended *out);
/* The same for a text, with its time to live. */
int topics_rig_send(struct topics_rig *rig, const char *topic, const char *text, uint64_t ttl_ms,
                    struct topics_appended *out);
/* The same for a day, which must succeed: the position. */
struct position topics_rig_put(struct topics_rig *rig, const char *topic, const char *text);
int topics_rig_fetch(struct topics_rig *rig, const char *topic, struct position at, uint32_t max_entries,
                     uint32_t max_bytes, struct topics_rig_page *out);
/* The same for as much as a page holds, which must succeed. */
struct topics_rig_page topics_rig_read(struct topics_rig *rig, const char *topic, struct position at);
int topics_rig_interest(struct topics_rig *rig, const char *topic, uint32_t node, uint64_t incarnation,
                        uint64_t lease_ms, struct position *head);
int topics_rig_subscribe(struct topics_rig *rig, const char *device, const char *topic, struct position at,
                         struct topics_subscribed *out);
/* topic NULL: all. Must succeed: the version. */
uint64_t topics_rig_unsubscribe(struct topics_rig *rig, const char *device, const char *topic);
/* The same, all of the answer. */
struct topics_subscribed topics_rig_end(struct topics_rig *rig, const char *device, const char *topic);
struct topics_set topics_rig_set(struct topics_rig *rig, const char *device);
/* What a session of the device is told that follows this version; must succeed. */
enum peer_verdict topics_rig_check(struct topics_rig *rig, const char *device, uint64_t version);
/* The same of several: a verdict for each. */
int topics_rig_check_all(struct topics_rig *rig, const char *const *devices, const uint64_t *versions, uint32_t count,
                         enum peer_verdict *verdicts);

/* Devices "d0" and on, as many as a request of checks holds: names, the versions that their sessions follow, what is told. */
struct topics_rig_group {
    const char *devices[PEER_CHECKS_MAX];
    char names[PEER_CHECKS_MAX][16];
    uint64_t versions[PEER_CHECKS_MAX];
    enum peer_verdict verdicts[PEER_CHECKS_MAX];
};

/* Every so manyth follows the topic, the others nothing; the versions are as they are. */
void topics_rig_group_open(struct topics_rig *rig, struct topics_rig_group *group, const char *topic, uint32_t every);
/* Have the first count of them checked: the status. */
int topics_rig_group_check(struct topics_rig *rig, struct topics_rig_group *group, uint32_t count);

/* Run the tests against every backend, or against the one of this name. */
int topics_rig_main(const char *group, const struct CMUnitTest *tests, size_t count);
int topics_rig_main_on(const char *backend, const char *group, const struct CMUnitTest *tests, size_t count);
/* What a test gets as its state for SQLite: to hold another one beside it. */
const void *topics_rig_sqlite(void);

#endif
