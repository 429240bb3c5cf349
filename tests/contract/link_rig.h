/* link_rig.h: what the suites of links share: the implementations, and a process of some loops whose roles write down what they see.
 * To add an implementation: a row in link_rig.c. */
#ifndef PETREL_TESTS_CONTRACT_LINK_RIG_H
#define PETREL_TESTS_CONTRACT_LINK_RIG_H

#include "base/object.h"
#include "contract/loops.h"
#include "discovery/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LINK_RIG_LOOPS 3
#define LINK_RIG_NODE 7
#define LINK_RIG_INCARNATION 1700000000123
#define LINK_RIG_DELIVERS 16

/* An implementation: links for all loops of one process. */
struct link_fixture {
    const char *name;
    void *(*open)(struct loop *const *loops, size_t count);
    struct link *(*at)(void *links, size_t index);
    void (*free)(void *links);
    uint32_t waiting_max; /* tells under way to one loop */
};

/* The roles of one loop, and what they saw. Written on the loop, read by the test after a tally. */
struct link_rig_role {
    struct link *link;
    struct link_call *held; /* calls are kept here instead of answered */
    bool hold;
    uint32_t delivers;
    struct peer_deliver first[LINK_RIG_DELIVERS]; /* the first few, without their bufs' references */
    uint8_t first_byte[LINK_RIG_DELIVERS];
    uint32_t evicts;
    uint32_t apps;
    uint32_t dirty;
    bool out_of_order;
    uint64_t last_seq;
    bool entered; /* a tell came since this was last cleared */
    pthread_t thread;
    struct loops_tally seen; /* tells, dirts and calls */
};

struct link_rig {
    const struct link_fixture *fixture;
    struct loops loops;
    void *links;
    struct link_rig_role roles[LINK_RIG_LOOPS];
};

/* served: every loop has both roles. */
void link_rig_open(struct link_rig *rig, const struct link_fixture *fixture, bool served);
/* Close all links, then everything. */
void link_rig_close(struct link_rig *rig);
/* The same, when the test has closed its links and stopped its loops. */
void link_rig_free(struct link_rig *rig);
/* Close one link, on its loop. */
void link_rig_close_link(struct link_rig *rig, size_t index);
/* Wait until the loop has come back from what it was doing. */
void link_rig_settle(struct link_rig *rig, size_t index);

/* The cases against every implementation. Returns how many failed. */
int link_rig_run(const struct CMUnitTest *cases, size_t count);

#endif
