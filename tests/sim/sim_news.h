/* sim_news.h: what was promised of topics, and what came of it (PROMISE §9): the part of the book that is about them. Publishers, the
 * topics' store and devices report to it.
 *
 * item    one message to topics: a part in each log that its condition, brought to disjunctive form, needs
 * truth   whether a device is subscribed, as the store has it
 * view    whether it is, as the device was told
 * owed    an accepted part that lies after where the device's subscription begins; of `all`, after what the device had kept. Where the
 *         condition asks for what changed meanwhile, nothing is */
#ifndef PETREL_SIM_SIM_NEWS_H
#define PETREL_SIM_SIM_NEWS_H

#include "base/id.h"
#include "base/route.h"
#include "sim/sim.h"
#include "wire/condition.h"

#define SIM_DEVICES_MAX 12
#define SIM_TOPICS_MAX 4 /* `all`, which is number 0, and t1 .. t3 */
#define SIM_TOPIC_ALL 0
#define SIM_ITEMS_MAX 256

struct sim_book;

struct sim_part {
    bool meant;    /* it goes into this log */
    bool appended; /* it is in the log, or was */
    bool forgotten;
    bool dropped; /* by the cap */
    bool revived; /* the store forgot that it was dropped: who was told a gap for it may get it, or not */
    struct position position;
    uint64_t appended_us;
    uint32_t followed; /* by which devices it was, when it was appended */
    size_t row;
    size_t dropped_row;
};

struct sim_item {
    struct id id;
    struct condition condition; /* no terms: for all followers */
    uint64_t sent_us;
    uint64_t accepted_us; /* 0: not told so */
    uint64_t expires_ms;
    struct sim_part parts[SIM_TOPICS_MAX];
    uint8_t delivered[SIM_DEVICES_MAX];
};

struct sim_follow {
    bool truth;
    bool view;
    struct position begins; /* of the truth */
    uint64_t truth_us;      /* of the last change */
    uint64_t forgot_us; /* when the store forgot changes of it: what was in the log before may be behind the device */
    uint64_t view_us;
    uint64_t kept_us;      /* of `all`: since when the device keeps a position; 0: it does not */
    uint64_t last_sent_us; /* the latest sending time of what it was delivered */
    uint64_t lost_at_most; /* told in all */
};

struct sim_news {
    struct sim_item items[SIM_ITEMS_MAX];
    uint32_t items_count;
    struct sim_follow follows[SIM_DEVICES_MAX][SIM_TOPICS_MAX];
    uint64_t connected_us[SIM_DEVICES_MAX]; /* the session that is there, or was last */
    bool takes[SIM_DEVICES_MAX];            /* the device's client understands topics */
    bool unsure[SIM_DEVICES_MAX];           /* its subscriptions were changed after whoever asked had given up */
    bool dropped[SIM_TOPICS_MAX];           /* by the cap, some time */
    uint64_t deliveries;
};

/* All names in one place. */
void sim_news_topic(uint32_t topic, char out[16]);
uint32_t sim_news_topic_number(struct bytes name);

/* By a publisher. condition NULL: for everybody who follows the topic. Returns the item's number; SIM_ITEMS_MAX: the book is full. */
uint32_t sim_news_publish(struct sim_book *book, uint32_t topic, const struct condition *condition, uint64_t ttl_ms);
void sim_news_accepted(struct sim_book *book, uint32_t item);

/* By the store. row: the number of the write. */
void sim_news_appended(struct sim_book *book, uint32_t topic, const struct id *id, struct position at, size_t row);
void sim_news_dropped(struct sim_book *book, uint32_t topic, const struct id *id, size_t row);
/* False: so it was. */
bool sim_news_truth(struct sim_book *book, uint32_t device, uint32_t topic, bool subscribed, struct position begins);
/* The same, by a store that forgot. */
void sim_news_forgot(struct sim_book *book, uint32_t device, uint32_t topic, bool subscribed, struct position begins);
void sim_news_rolled_back(struct sim_book *book, size_t row);

/* By a device. */
void sim_news_view(struct sim_book *book, uint32_t device, uint32_t topic, bool follows);
void sim_news_kept(struct sim_book *book, uint32_t device);
void sim_news_delivered(struct sim_book *book, uint32_t device, uint32_t topic, const uint8_t id[16],
                        struct position at);
void sim_news_gap(struct sim_book *book, uint32_t device, uint32_t topic, uint64_t lost_at_most);

/* Whether every device has what it is owed, and knows what it is subscribed to. With `say`, what is missing is a broken promise. */
bool sim_news_settled(struct sim_book *book, bool say);

#endif
