/* sim_link_impl.h: what the two files of the links share: sim_link.c (wires and calls) and sim_link_tell.c (tells, and links that lost
 * some). Nobody else includes it. */
#ifndef PETREL_SIM_SIM_LINK_IMPL_H
#define PETREL_SIM_SIM_LINK_IMPL_H

#include "sim/loop/sim_loop.h"
#include "sim/sim_link.h"
#include "sim/sim_msg.h"

struct wire {
    bool cut;
    bool dirty;
    uint32_t breaks; /* what left before the last one is lost */
    uint64_t last_us[2];
};

/* A node's end of all its wires. */
struct end {
    struct link link;
    struct sim_links *links;
    uint32_t node;
    uint64_t incarnation;
    bool up;
    bool serves;
    struct sim_event notice;
    struct mail dirty;
    bool dirty_mailed;
};

struct sim_links {
    struct sim *sim;
    struct sim_link_config config;
    struct end ends[SIM_NODES_MAX];
    struct wire wires[SIM_NODES_MAX][SIM_NODES_MAX]; /* [less][greater] */
    struct list calls;
    struct list tells;
    sim_links_tamper_fn *tamper;
    sim_links_late_fn *late;
    void *late_ctx;
    bool forget_dirty;
};

struct call {
    struct list node;
    struct sim_links *links;
    struct link_call *asked; /* NULL: answered */
    struct link_call there;
    struct end *from;
    struct end *to;
    uint32_t breaks;
    struct sim_msg in;
    struct sim_reply reply;
    int verdict; /* how it ends without a reply */
    bool replied;
    bool serving;
    struct mail serve;
    struct mail finish;
    bool serve_mailed;
    bool finish_mailed;
    struct sim_event travel;
    struct sim_event deadline;
};

struct tell {
    struct list node;
    struct sim_links *links;
    struct end *from;
    struct end *to;
    uint32_t breaks;
    struct sim_msg in;
    struct sim_event travel;
    struct mail mail;
};

/* sim_link.c */
struct wire *sim_link_wire(struct sim_links *links, uint32_t a, uint32_t b);
uint64_t sim_link_travel_us(const struct end *from, const struct end *to);

/* sim_link_tell.c */
int sim_link_tell(struct link *link, uint32_t node, uint16_t loop, const struct peer_msg *msg);
int sim_link_tell_node(struct link *link, uint32_t node, const struct peer_msg *msg);
void sim_link_tell_free(struct tell *tell);
/* Tell it now, or some time later, that hints may be lost. */
void sim_link_dirty(struct end *end);
void sim_link_dirty_later(struct end *end);

#endif
