/* limit_letters.h: pushes on their way from one thread of petrel-limit to another. */
#ifndef PETREL_BENCH_LIMIT_LETTERS_H
#define PETREL_BENCH_LIMIT_LETTERS_H

#include "limit_out.h"

/* A push for a session of a thread, or for all of them. */
struct limit_letter {
    struct limit_letter *next;
    int fd; /* -1: to all */
    uint32_t user;
    uint32_t cursor; /* to all: the descriptors before it are done */
    struct limit_push *push;
};

/* In the order in which they came; all zero when empty. Whoever shares it locks it. */
struct limit_letters {
    struct limit_letter *first;
    struct limit_letter **end;
};

/* Never NULL; keeps a reference to the push until limit_letter_free(). */
struct limit_letter *limit_letter_new(int fd, uint32_t user, struct limit_push *push);
void limit_letter_free(struct limit_letter *letter);
void limit_letters_add(struct limit_letters *letters, struct limit_letter *letter);

#endif
