/* sim_topics_impl.h: what the files of the topics' store share: sim_topics.c (its network), sim_topics_rows.c (what it writes, and
 * its crashes) and sim_topics_read.c (what it answers). Nobody else includes it. */
#ifndef PETREL_SIM_SIM_TOPICS_IMPL_H
#define PETREL_SIM_SIM_TOPICS_IMPL_H

#include "sim/sim_link.h"
#include "sim/sim_topics.h"

#define SIM_EPOCHS_MAX 64
#define SIM_LOG_MAX 256 /* entries; the cap is less */

enum sim_row_type { SIM_ROW_APPEND, SIM_ROW_INTEREST, SIM_ROW_SUBSCRIBE, SIM_ROW_UNSUBSCRIBE };

struct sim_row {
    enum sim_row_type type;
    uint64_t now_ms; /* of the wall's clock, with the epoch of the store that wrote it */
    uint64_t epoch;
    uint32_t topic;
    struct position position; /* append: what it became; subscribe: where it begins */
    union {
        struct {
            struct id id;
            uint64_t expires_ms;
            struct buf *message;
            struct buf *condition; /* NULL: none */
        } append;
        struct {
            uint32_t node;
            uint64_t incarnation;
            uint64_t until_ms;
        } interest;
        struct {
            uint32_t device;
            uint64_t version;
        } set;
    };
};

struct sim_lease {
    uint64_t incarnation;
    uint64_t until_ms; /* 0: none */
};

struct sim_log {
    bool exists;
    uint64_t epoch;
    uint64_t birth; /* the head before the first entry ever */
    uint64_t head;
    uint64_t floor;
    struct {
        uint64_t epoch;
        uint64_t base;
    } epochs[SIM_EPOCHS_MAX];
    uint32_t epochs_count;
    struct sim_row *entries[SIM_LOG_MAX];
    uint32_t count;
    uint64_t bytes;
    struct sim_lease leases[SIM_NODES_MAX];
};

struct sim_set {
    uint64_t version; /* 0: none */
    bool subscribed[SIM_TOPICS_MAX];
    struct position begins[SIM_TOPICS_MAX];
};

struct sim_topics {
    struct topics base;
    struct sim *sim;
    struct sim_book *book;
    struct sim_topics_config config;
    uint64_t epoch;
    struct sim_log logs[SIM_TOPICS_MAX];
    struct sim_set sets[SIM_DEVICES_MAX];
    struct sim_row **rows;
    size_t rows_count;
    uint64_t down_until_us;
    uint64_t full_until_us;
    struct list ops;
};

/* sim_topics_rows.c: carry out what changes something; the answer is in *out, as in topics.h. */
int sim_topics_append(struct sim_topics *topics, const struct peer_topic_send *send, struct topics_appended *out);
int sim_topics_interest(struct sim_topics *topics, const struct peer_topic_interest *interest, struct position *head);
int sim_topics_subscribe(struct sim_topics *topics, const struct peer_subscribe *subscribe,
                         struct topics_subscribed *out);
int sim_topics_unsubscribe(struct sim_topics *topics, const struct peer_subscribe *unsubscribe,
                           struct topics_subscribed *out);
void sim_topics_forget_rows(struct sim_topics *topics, size_t from);
uint64_t sim_topics_bytes(const struct sim_row *row);

/* sim_topics_read.c */
int sim_topics_fetch(struct sim_topics *topics, const struct peer_topic_fetch *fetch, struct topics_page *page);
/* 0: nothing is in the device's set. */
uint64_t sim_topics_version(const struct sim_topics *topics, const struct peer_target *device);
void sim_topics_set(struct sim_topics *topics, const struct peer_target *device, struct topics_set *set);

#endif
