/* sim_plan.h: what a seed makes of a run: how large, how fast, how careful, and what happens when.
 *
 * act   something from outside: a message, or a fault. Acts are numbered, so that a run can leave some out
 *
 * To add a fault: a line in SIM_ACTS, its numbers in sim_plan.c, what it does in sim_run.c. */
#ifndef PETREL_SIM_SIM_PLAN_H
#define PETREL_SIM_SIM_PLAN_H

#include "sim/sim_cluster.h"

#define SIM_ACTS(X)                                                                                                    \
    X(SEND, "send")                                                                                                    \
    X(PUBLISH, "publish")                                                                                              \
    X(RECALL, "recall")                                                                                                \
    X(START, "a device starts")                                                                                        \
    X(DROP, "a connection drops")                                                                                      \
    X(VANISH, "a device vanishes")                                                                                     \
    X(STALL, "a device stops reading")                                                                                 \
    X(CRASH, "an app crashes")                                                                                         \
    X(OFF, "a device is switched off")                                                                                 \
    X(SUBSCRIBE, "a subscription")                                                                                     \
    X(UNSUBSCRIBE, "a subscription ends")                                                                              \
    X(KILL, "a node is killed")                                                                                        \
    X(DRAIN, "a node drains")                                                                                          \
    X(EMPTY, "a node sends its sessions away")                                                                         \
    X(MOVE, "a node sends some of its sessions away")                                                                  \
    X(PAUSE, "a node stands still")                                                                                    \
    X(CUT, "a wire is cut")                                                                                            \
    X(STORE_CRASH, "the store crashes")                                                                                \
    X(STORE_DOWN, "the store is away")                                                                                 \
    X(STORE_FULL, "the store is full")                                                                                 \
    X(TOPICS_CRASH, "the topics' store crashes")                                                                       \
    X(TOPICS_DOWN, "the topics' store is away")                                                                        \
    X(TOPICS_FULL, "the topics' store is full")

enum sim_act_kind {
#define SIM_ACTS_ENUM(id, text) SIM_ACT_##id,
    SIM_ACTS(SIM_ACTS_ENUM)
#undef SIM_ACTS_ENUM
};

struct sim_act {
    uint64_t at_us;
    enum sim_act_kind kind;
    uint32_t number;
    uint32_t whom; /* node or device */
    uint32_t
        other; /* the wire's other end; messages until the crash; rows to forget; sessions to move, or a second; topic */
    uint64_t us; /* for how long */
    bool flag;
    struct sim_send send;
    struct sim_publish publish;
};

#define SIM_ACTS_MAX 512

struct sim_plan {
    uint64_t seed;
    uint32_t users;
    uint32_t devices;
    uint32_t device_user[SIM_DEVICES_MAX];
    bool device_topics[SIM_DEVICES_MAX]; /* takes topics */
    bool device_late[SIM_DEVICES_MAX];   /* enrolled by its first bind only */
    bool fails_over;                     /* the store's crashes forget */
    uint64_t end_us;                     /* of the faults */
    struct sim_cluster_config cluster;
    uint32_t acts_count;
    struct sim_act acts[SIM_ACTS_MAX]; /* by time */
};

void sim_plan_make(struct sim_plan *plan, uint64_t seed);
const char *sim_plan_act_text(const struct sim_act *act);

#endif
