/* book.h: the ledger itself: what was sent, what was answered, and what each device has seen. No sockets.
 *
 * message   a line in the book: its number stands in the message's data. Numbers grow, and a sender sends one message at a time, so
 *           that of two messages of one sender to one user the greater number must come later.
 * mate      a device's place among the devices of its user
 * gap       what the server said is lost of a log: it pays for as many missing messages of that device there
 * turn      the time in which every device has one set of topics. Between two of them nothing is under way: whoever is subscribed when
 *           a message is sent must get it, and nobody else may; but a condition that a device meets only later may bring it an older
 *           message, since conditions are judged when an entry is sent, and the device's place in that log may still be before it */
#ifndef PETREL_LEDGER_BOOK_H
#define PETREL_LEDGER_BOOK_H

#include "base/id.h"
#include "system/ledger/topics.h"

#define BOOK_MATES_MAX 4
#define BOOK_TURNS_MAX 3

enum book_answer {
    BOOK_OPEN,     /* no answer yet, or none that says anything: maybe, once */
    BOOK_ACCEPTED, /* 2xx */
    BOOK_REFUSED,  /* 4xx: must never come */
};

struct book;

struct book_device {
    uint32_t user;
    uint8_t mate;
    uint8_t set;    /* of topics, in this turn */
    uint8_t before; /* in the one before; none in the first */
};

/* Whom a message is for. */
struct book_to {
    uint32_t user;
    int mate;   /* one of the user's devices; -1: all of them */
    int target; /* a topic or condition, and no user; -1: none */
};

struct book_sums {
    uint64_t accepted;
    uint64_t refused;
    uint64_t open;
    uint64_t expected;  /* deliveries that accepted messages mean */
    uint64_t delivered; /* of those, seen */
    uint64_t lost;      /* neither seen nor paid for by a gap */
    uint64_t missing;   /* not seen, paid for or not */
    uint64_t out_of_order;
    uint64_t duplicates;
    uint64_t strangers; /* seen by a device that they were not for, or refused, or with another id, or garbage */
    uint64_t gaps;      /* told */
};

/* topics: some messages are for topics. */
struct book *book_new(uint32_t devices, uint32_t senders, uint64_t seed, bool topics);
void book_free(struct book **book);

uint32_t book_users(const struct book *book);
struct book_device book_device(const struct book *book, uint32_t device);

/* The next turn: devices get other sets. */
void book_turn(struct book *book);

/* Draw a message of this sender's. Its number. */
uint32_t book_draw(struct book *book, uint32_t sender, struct book_to *to);
/* id: what the API called it, with BOOK_ACCEPTED. */
void book_answered(struct book *book, uint32_t number, enum book_answer answer, const struct id *id);
/* The device's application has this message, for good. It came by that log. */
void book_seen(struct book *book, uint32_t device, uint32_t log, uint32_t sender, uint32_t number, const struct id *id);
/* Something came that is no message of the book's. */
void book_stranger(struct book *book);
void book_gap(struct book *book, uint32_t device, uint32_t log, uint64_t lost_at_most);

/* Count everything anew: for progress, and at the end. */
struct book_sums book_sum(const struct book *book);
/* Of these, what came and went by the logs of topics. */
struct book_sums book_sum_topics(const struct book *book);
/* Print what is lost, at most `max` lines: message, sender, user, device. */
void book_print_lost(const struct book *book, unsigned max);

#endif
