/* book.h: the ledger itself: what was sent, what was answered, and what each device has seen. No sockets.
 *
 * message   a line in the book: its number stands in the message's data. Numbers grow, and a sender sends one message at a time, so
 *           that of two messages of one sender to one user the greater number must come later.
 * mate      a device's place among the devices of its user
 * gap       what the server said is lost: it pays for as many missing messages of that device */
#ifndef PETREL_LEDGER_BOOK_H
#define PETREL_LEDGER_BOOK_H

#include "base/id.h"

#define BOOK_MATES_MAX 4

enum book_answer {
    BOOK_OPEN,     /* no answer yet, or none that says anything: maybe, once */
    BOOK_ACCEPTED, /* 2xx */
    BOOK_REFUSED,  /* 4xx: must never come */
};

struct book;

struct book_device {
    uint32_t user;
    uint8_t mate;
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

struct book *book_new(uint32_t devices, uint32_t senders, uint64_t seed);
void book_free(struct book **book);

uint32_t book_users(const struct book *book);
struct book_device book_device(const struct book *book, uint32_t device);

/* Draw a message of this sender's: to a user, or to one of the user's devices (*mate, else -1). Its number. */
uint32_t book_draw(struct book *book, uint32_t sender, uint32_t *user, int *mate);
/* id: what the API called it, with BOOK_ACCEPTED. */
void book_answered(struct book *book, uint32_t number, enum book_answer answer, const struct id *id);
/* The device's application has this message, for good. */
void book_seen(struct book *book, uint32_t device, uint32_t sender, uint32_t number, const struct id *id);
/* Something came that is no message of the book's. */
void book_stranger(struct book *book);
void book_gap(struct book *book, uint32_t device, uint64_t lost_at_most);

/* Count everything anew: for progress, and at the end. */
struct book_sums book_sum(const struct book *book);
/* Print what is lost, at most `max` lines: message, sender, user, device. */
void book_print_lost(const struct book *book, unsigned max);

#endif
