#include "system/ledger/book.h"

#include "base/object.h"
#include "base/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct message {
    uint32_t user;
    uint16_t sender;
    uint8_t targets; /* a bit per mate */
    uint8_t seen;    /* likewise */
    uint8_t answer;
    bool named; /* id is known: from the answer or from the first device, whichever came first */
    struct id id;
};

struct device {
    struct book_device is;
    uint64_t paid;  /* by gaps */
    uint32_t *last; /* per sender: 1 + the greatest number seen */
};

struct user {
    uint32_t device[BOOK_MATES_MAX];
    uint8_t mates;
};

struct book {
    struct message *messages;
    uint32_t count, room;
    struct device *devices;
    uint32_t devices_count;
    struct user *users;
    uint32_t users_count;
    uint32_t senders;
    struct rng rng;
    uint64_t out_of_order, duplicates, strangers, gaps;
};

struct book *book_new(uint32_t devices, uint32_t senders, uint64_t seed)
{
    struct book *book = object_zalloc(sizeof *book);
    rng_seed(&book->rng, seed);
    book->devices = object_zalloc(devices * sizeof *book->devices);
    book->users = object_zalloc(devices * sizeof *book->users);
    book->devices_count = devices;
    book->senders = senders;
    for (uint32_t i = 0; i < devices;) {
        struct user *user = &book->users[book->users_count];
        /* Half of the users have one device, the others two to four. */
        uint64_t mates = rng_below(&book->rng, 2) == 0 ? 1 : 2 + rng_below(&book->rng, BOOK_MATES_MAX - 1);
        for (; user->mates < mates && i < devices; i++) {
            book->devices[i].is = (struct book_device){book->users_count, user->mates};
            book->devices[i].last = object_zalloc(senders * sizeof *book->devices[i].last);
            user->device[user->mates++] = i;
        }
        book->users_count++;
    }
    return book;
}

void book_free(struct book **book)
{
    if (*book == NULL)
        return;
    for (uint32_t i = 0; i < (*book)->devices_count; i++)
        free((*book)->devices[i].last);
    free((*book)->devices);
    free((*book)->users);
    free((*book)->messages);
    free(*book);
    *book = NULL;
}

uint32_t book_users(const struct book *book)
{
    return book->users_count;
}

struct book_device book_device(const struct book *book, uint32_t device)
{
    return book->devices[device].is;
}

uint32_t book_draw(struct book *book, uint32_t sender, uint32_t *user, int *mate)
{
    if (book->count == book->room) {
        book->room = book->room > 0 ? 2 * book->room : 4096;
        book->messages = object_realloc(book->messages, book->room * sizeof *book->messages);
    }
    *user = (uint32_t)rng_below(&book->rng, book->users_count);
    uint8_t mates = book->users[*user].mates;
    /* One message in four is for one device alone. */
    *mate = rng_below(&book->rng, 4) == 0 ? (int)rng_below(&book->rng, mates) : -1;
    uint8_t targets = (uint8_t)(*mate < 0 ? (1U << mates) - 1 : 1U << *mate);
    book->messages[book->count] = (struct message){.user = *user, .sender = (uint16_t)sender, .targets = targets};
    return book->count++;
}

/* Whether all that tell of a message call it the same. */
static bool same_name(struct message *message, const struct id *id)
{
    if (!message->named)
        message->id = *id;
    message->named = true;
    return memcmp(&message->id, id, sizeof *id) == 0;
}

void book_answered(struct book *book, uint32_t number, enum book_answer answer, const struct id *id)
{
    struct message *message = &book->messages[number];
    message->answer = (uint8_t)answer;
    if (answer == BOOK_ACCEPTED && !same_name(message, id))
        book->strangers++;
}

void book_stranger(struct book *book)
{
    book->strangers++;
}

void book_seen(struct book *book, uint32_t device, uint32_t sender, uint32_t number, const struct id *id)
{
    struct device *by = &book->devices[device];
    uint8_t bit = (uint8_t)(1U << by->is.mate);
    struct message *message = &book->messages[number < book->count ? number : 0];
    if (number >= book->count || message->sender != sender || message->user != by->is.user ||
        (message->targets & bit) == 0 || !same_name(message, id)) {
        book->strangers++;
        return;
    }
    if ((message->seen & bit) != 0) {
        book->duplicates++;
        return;
    }
    message->seen |= bit;
    if (number < by->last[sender])
        book->out_of_order++;
    else
        by->last[sender] = number + 1;
}

void book_gap(struct book *book, uint32_t device, uint64_t lost_at_most)
{
    book->gaps++;
    book->devices[device].paid += lost_at_most;
}

/* How many of the accepted messages each device has not seen; the caller frees. */
static uint64_t *count_missing(const struct book *book, struct book_sums *sums)
{
    uint64_t *missing = object_zalloc(book->devices_count * sizeof *missing);
    for (uint32_t i = 0; i < book->count; i++) {
        const struct message *message = &book->messages[i];
        sums->accepted += message->answer == BOOK_ACCEPTED;
        sums->refused += message->answer == BOOK_REFUSED;
        sums->open += message->answer == BOOK_OPEN;
        if (message->answer == BOOK_REFUSED && message->seen != 0)
            sums->strangers++;
        if (message->answer != BOOK_ACCEPTED)
            continue;
        const struct user *user = &book->users[message->user];
        for (uint8_t mate = 0; mate < user->mates; mate++) {
            bool target = (message->targets >> mate & 1) != 0, seen = (message->seen >> mate & 1) != 0;
            sums->expected += target;
            sums->delivered += seen;
            missing[user->device[mate]] += target && !seen;
        }
    }
    return missing;
}

struct book_sums book_sum(const struct book *book)
{
    struct book_sums sums = {
        .out_of_order = book->out_of_order,
        .duplicates = book->duplicates,
        .strangers = book->strangers,
        .gaps = book->gaps,
    };
    uint64_t *missing = count_missing(book, &sums);
    for (uint32_t i = 0; i < book->devices_count; i++) {
        sums.missing += missing[i];
        sums.lost += missing[i] > book->devices[i].paid ? missing[i] - book->devices[i].paid : 0;
    }
    free(missing);
    return sums;
}

void book_print_lost(const struct book *book, unsigned max)
{
    for (uint32_t i = 0; i < book->count && max > 0; i++) {
        const struct message *message = &book->messages[i];
        if (message->answer != BOOK_ACCEPTED || message->seen == message->targets)
            continue;
        max--;
        printf("not seen: message %" PRIu32 " of sender %u to user u%" PRIu32 ", devices %x of %x\n", i,
               (unsigned)message->sender, message->user, (unsigned)(message->targets & ~message->seen),
               (unsigned)message->targets);
    }
}
