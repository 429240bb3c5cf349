/* sim_book.h: what was promised and what came of it (PROMISE §1). Senders, the store and devices report to it; it knows every
 * message with its fate, and says what is broken.
 *
 * accepted    the sender was told 0 (a 2xx)
 * excused     an accepted message that a device need not get: expired, collapsed, recalled, dropped by the cap with a GAP told to
 *             the device, or among the last writes that a store forgot
 * eligible    the device was enrolled before the message was sent */
#ifndef PETREL_SIM_SIM_BOOK_H
#define PETREL_SIM_SIM_BOOK_H

#include "base/id.h"
#include "base/route.h"
#include "sim/sim_news.h"
#include "store/journal.h"

#define SIM_USERS_MAX 4
#define SIM_MESSAGES_MAX 1024
#define SIM_ALL_DEVICES UINT32_MAX

struct sim_message {
    struct id id;
    uint32_t user;
    uint32_t device; /* of all; SIM_ALL_DEVICES: the user's all */
    uint64_t sent_us;
    uint64_t accepted_us; /* 0: not told so */
    uint64_t expires_ms;
    bool recalled;  /* a recall was answered 0 */
    bool appended;  /* it is in the log, or was */
    bool forgotten; /* a store that lost its last writes had it among them */
    bool revived;   /* the store forgot that the cap had dropped it: who was told a gap for it may get it, or not */
    struct position position;
    size_t row;
    enum journal_fate fate; /* 0: none */
    size_t fate_row;
    uint8_t delivered[SIM_DEVICES_MAX];
};

struct sim_seen {
    uint32_t user;
    uint64_t enrolled_us;  /* UINT64_MAX: not yet */
    uint64_t last_sent_us; /* the latest sending time of what it was delivered */
    uint64_t gaps;
    uint64_t lost_at_most; /* told in all */
};

struct sim_book {
    struct sim *sim;
    struct sim_message messages[SIM_MESSAGES_MAX];
    uint32_t messages_count;
    struct sim_seen devices[SIM_DEVICES_MAX];
    uint32_t devices_count;
    bool rolled_back; /* some store forgot writes */
    bool dropped[SIM_USERS_MAX];
    uint64_t deliveries;
    uint64_t gaps;
    struct sim_news news;
    char broken[256]; /* the first broken promise; empty: none */
};

void sim_book_init(struct sim_book *book, struct sim *sim);
/* Note a broken promise, or a rule of the protocol's that was broken. The first counts. */
void sim_book_break(struct sim_book *book, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns the number of the message, and gives it its id; SIM_MESSAGES_MAX: the book is full. */
uint32_t sim_book_send(struct sim_book *book, uint32_t user, uint32_t device, uint64_t ttl_ms);
void sim_book_accepted(struct sim_book *book, uint32_t message);
void sim_book_recalled(struct sim_book *book, uint32_t message);

/* By the store. row: the number of the write. */
void sim_book_appended(struct sim_book *book, const struct id *id, struct position at, size_t row);
void sim_book_removed(struct sim_book *book, uint32_t user, uint64_t seq, enum journal_fate fate, size_t row);
/* The writes from row on never were. */
void sim_book_rolled_back(struct sim_book *book, size_t row);

/* By a device's application. */
void sim_book_delivered(struct sim_book *book, uint32_t device, const uint8_t id[16], struct position at);
void sim_book_gap(struct sim_book *book, uint32_t device, struct position to, uint64_t lost_at_most);

/* Whether every device has what it must get. With `say`, what is missing is a broken promise. */
bool sim_book_settled(struct sim_book *book, bool say);

#endif
