/* session_rig.h: a session role on a loop of its own, with the test as its message role and as its clients.
 *
 * Every call of the role is handed to the test, which looks at it and answers when it likes: races are written down as the
 * order of lines. Clients are blocking sockets. Waits end after half a minute, by failing. Time is the machine's plus what
 * rig_advance() added. Assertions are the main thread's. */
#ifndef PETREL_TESTS_SESSION_RIG_H
#define PETREL_TESTS_SESSION_RIG_H

#include "base/clock.h"
#include "discovery/link_local.h"
#include "session/session_role.h"
#include "wire/token.h"

#define RIG_NODE 7
#define RIG_INCARNATION 1700000000000ULL
#define RIG_EPOCH 5ULL /* of the logs */

struct rig {
    struct clock clock; /* first: its callbacks find the rig by it */
    atomic_ullong offset_ms;
    atomic_ullong stopped_ms; /* the machine's time when it was stopped; 0: it runs */
    struct loop *loop;
    struct link_local *links;
    struct link *link;
    struct metrics *metrics;
    struct session_role *role;
    uint16_t port;
    struct token_key *key;
    int calls[2];  /* pointers to calls, from the loop to the test */
    int ran[2];    /* a byte when something asked of the loop was done */
    int closed[2]; /* a byte when the role is gone */
    atomic_bool answers_all;
    atomic_bool answers_checks; /* CHECK is SAME at once; on unless a test wants to see them */
    atomic_int checks;
};

/* Defaults with waits of milliseconds, on 127.0.0.1. */
struct session_config rig_config(void);
/* NULL: rig_config(). The app "demo" and its key are told to the role. */
struct rig *rig_new(const struct session_config *config);
/* The same, before the list of apps has come. */
struct rig *rig_new_untold(const struct session_config *config);
/* Closes the role; calls that wait are answered UNAVAILABLE. */
void rig_free(struct rig **rig);

/* Run fn on the loop and wait until it has returned. */
void rig_run(struct rig *rig, void (*fn)(struct rig *rig, void *arg), void *arg);
/* Let the loop take a few whole turns. */
void rig_turns(struct rig *rig);
/* Close the role; whether it is gone; wait until it is. */
void rig_begin_close_role(struct rig *rig);
bool rig_role_closed(struct rig *rig);
void rig_wait_role_closed(struct rig *rig);
void rig_drain(struct rig *rig, uint32_t code, uint32_t deadline_ms, uint32_t spread_ms);
/* Time moves at once; the loop sees it as a stall. */
void rig_advance(struct rig *rig, uint64_t ms);
/* From here on time moves by rig_advance() alone, so that what a pace lets through is a number. */
void rig_stop_clock(struct rig *rig);
/* Have the sweep visit all sessions, without a stall. */
void rig_wait_sweep(struct rig *rig);
/* Wait until the metric has that value. */
void rig_wait_metric(struct rig *rig, enum metric metric, int64_t value);

/* The next call, which is of that type. It stays as it is until it is answered. */
struct link_call *rig_take(struct rig *rig, enum peer_type type);
/* The next call, whatever it is. */
struct link_call *rig_take_any(struct rig *rig);
/* Fail if a call waits after the loop took some turns. */
void rig_expect_no_call(struct rig *rig);
void rig_answer(struct rig *rig, struct link_call *call, int status);
void rig_answer_bound(struct rig *rig, struct link_call *call, const struct peer_bound *bound);
void rig_answer_page(struct rig *rig, struct link_call *call, const struct peer_page *page);
/* An entry of a CHECK. */
struct peer_check rig_check(const struct link_call *call, uint32_t entry);
void rig_answer_differing(struct rig *rig, struct link_call *call, const struct peer_checked *checked);
/* The same for all its entries. */
void rig_answer_checked(struct rig *rig, struct link_call *call, enum peer_verdict verdict);

/* text NULL: an advance. */
void rig_deliver(struct rig *rig, struct route route, struct position at, uint64_t prev, const char *text);
void rig_evict(struct rig *rig, struct route route, uint32_t code);
void rig_dirty(struct rig *rig);
/* The same, and the first check that follows from it. */
struct link_call *rig_provoke_check(struct rig *rig);
/* APPS of one app, with the rig's key. */
void rig_tell_app(struct rig *rig, const char *app, uint64_t version);
/* The same, with a limit of its own. */
void rig_limit_app(struct rig *rig, const char *app, uint64_t version, uint32_t connects_per_second);
/* An encoded message with text as payload; one reference. */
struct buf *rig_message(const char *text);
/* A page of RIG_EPOCH without entries, and with one more entry of that text; rig_page_free() gives the entries back. */
struct peer_page rig_page(uint64_t upto, uint64_t head);
void rig_page_add(struct peer_page *page, uint64_t seq, const char *text);
void rig_page_free(struct peer_page *page);

/* A token of the app "demo" for an hour, appended with a NUL. */
void rig_token(struct rig *rig, const char *user, const char *device, struct bytebuf *out);
void rig_token_with(const struct token_key *key, const struct token_claims *claims, struct bytebuf *out);
uint64_t rig_wall_s(struct rig *rig);

#endif
