#include "system/ledger/book.h"

#include "base/object.h"
#include "base/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STRANGERS_TOLD 10

struct message {
    uint32_t user;
    uint16_t sender;
    int8_t target;   /* a topic or condition; -1: the user */
    uint8_t turn;    /* in which it was drawn */
    uint8_t targets; /* of a user's: a bit per mate */
    uint8_t answer;
    bool named;    /* id is known: from the answer or from the first device, whichever came first */
    uint8_t seen;  /* of a user's: as targets */
    uint8_t *whom; /* of a topic's: a bit per device that has seen it */
    struct id id;
};

struct device {
    struct book_device is;
    uint8_t sets[BOOK_TURNS_MAX];
    uint64_t paid[TOPICS_LOGS]; /* by gaps */
    uint32_t *last;             /* per sender and log: 1 + the greatest number seen */
};

struct user {
    uint32_t device[BOOK_MATES_MAX];
    uint8_t mates;
};

/* What is counted as it happens, by log. */
struct counts {
    uint64_t out_of_order, duplicates, gaps;
};

struct book {
    struct message *messages;
    uint32_t count, room;
    struct device *devices;
    uint32_t devices_count;
    struct user *users;
    uint32_t users_count;
    uint32_t senders;
    uint32_t topics_every; /* one in so many messages is for topics; 0: none */
    uint8_t turn;
    struct rng rng;
    struct counts counts[TOPICS_LOGS];
    uint64_t strangers;
};

/* A message to topics is for many: of more devices fewer are sent, so that users' messages remain what there is most of. */
static uint32_t topics_every(uint32_t devices)
{
    return devices / 12 > 8 ? devices / 12 : 8;
}

struct book *book_new(uint32_t devices, uint32_t senders, uint64_t seed, bool topics)
{
    struct book *book = object_zalloc(sizeof *book);
    rng_seed(&book->rng, seed);
    book->devices = object_zalloc(devices * sizeof *book->devices);
    book->users = object_zalloc(devices * sizeof *book->users);
    book->devices_count = devices;
    book->senders = senders;
    book->topics_every = topics ? topics_every(devices) : 0;
    for (uint32_t i = 0; i < devices;) {
        struct user *user = &book->users[book->users_count];
        /* Half of the users have one device, the others two to four. */
        uint64_t mates = rng_below(&book->rng, 2) == 0 ? 1 : 2 + rng_below(&book->rng, BOOK_MATES_MAX - 1);
        for (; user->mates < mates && i < devices; i++) {
            struct device *device = &book->devices[i];
            device->is = (struct book_device){.user = book->users_count, .mate = user->mates};
            device->last = object_zalloc(TOPICS_LOGS * senders * sizeof *device->last);
            user->device[user->mates++] = i;
        }
        book->users_count++;
    }
    for (uint32_t i = 0; i < devices && topics; i++)
        book->devices[i].is.set = book->devices[i].sets[0] = topics_first_set(&book->rng);
    return book;
}

void book_free(struct book **book)
{
    if (*book == NULL)
        return;
    for (uint32_t i = 0; i < (*book)->devices_count; i++)
        free((*book)->devices[i].last);
    for (uint32_t i = 0; i < (*book)->count; i++)
        free((*book)->messages[i].whom);
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

void book_turn(struct book *book)
{
    petrel_assert(book->turn + 1 < BOOK_TURNS_MAX);
    book->turn++;
    for (uint32_t i = 0; i < book->devices_count; i++) {
        struct device *device = &book->devices[i];
        device->is.before = device->is.set;
        device->is.set = device->sets[book->turn] = topics_next_set(&book->rng, device->is.set);
    }
}

/* ---- messages ---- */

static void draw_user(struct book *book, struct message *message, struct book_to *to)
{
    to->user = (uint32_t)rng_below(&book->rng, book->users_count);
    const uint8_t mates = book->users[to->user].mates;
    /* One message in four is for one device alone. */
    to->mate = rng_below(&book->rng, 4) == 0 ? (int)rng_below(&book->rng, mates) : -1;
    message->user = to->user;
    message->targets = (uint8_t)(to->mate < 0 ? (1U << mates) - 1 : 1U << to->mate);
}

static void draw_target(struct book *book, struct message *message, struct book_to *to)
{
    to->target = (int)topics_draw(&book->rng);
    message->target = (int8_t)to->target;
    message->whom = object_zalloc((book->devices_count + 7) / 8);
}

uint32_t book_draw(struct book *book, uint32_t sender, struct book_to *to)
{
    if (book->count == book->room) {
        book->room = book->room > 0 ? 2 * book->room : 4096;
        book->messages = object_realloc(book->messages, book->room * sizeof *book->messages);
    }
    struct message *message = &book->messages[book->count];
    *message = (struct message){.sender = (uint16_t)sender, .target = -1, .turn = book->turn};
    *to = (struct book_to){.mate = -1, .target = -1};
    if (book->topics_every > 0 && rng_below(&book->rng, book->topics_every) == 0)
        draw_target(book, message, to);
    else
        draw_user(book, message, to);
    return book->count++;
}

static bool is_for(const struct message *message, const struct device *device)
{
    if (message->target >= 0)
        return topics_meets((uint32_t)message->target, device->sets[message->turn]);
    return message->user == device->is.user && (message->targets >> device->is.mate & 1) != 0;
}

static bool comes_by(const struct message *message, const struct device *device, uint32_t log)
{
    if (message->target >= 0)
        return topics_comes_by((uint32_t)message->target, device->sets[message->turn], log);
    return log == TOPICS_INBOX;
}

/* Judged in the turn that it was sent in, or later, if the device has followed that log since then. */
static bool may_come(const struct book *book, const struct message *message, const struct device *device, uint32_t log)
{
    if (message->target <= (int)TOPICS_ALL)
        return is_for(message, device) && comes_by(message, device, log);
    const uint32_t target = (uint32_t)message->target;
    for (uint8_t turn = message->turn; turn <= book->turn; turn++) {
        const uint8_t set = device->sets[turn];
        if (log > TOPICS_ALL || (log < TOPICS_ALL && (set >> log & 1) == 0))
            return false;
        if (topics_meets(target, set) && topics_comes_by(target, set, log))
            return true;
    }
    return false;
}

static bool has_seen(const struct book *book, const struct message *message, const struct device *device)
{
    const size_t number = (size_t)(device - book->devices);
    if (message->target >= 0)
        return (message->whom[number / 8] >> number % 8 & 1) != 0;
    return (message->seen >> device->is.mate & 1) != 0;
}

static void see(const struct book *book, struct message *message, const struct device *device)
{
    const size_t number = (size_t)(device - book->devices);
    if (message->target >= 0)
        message->whom[number / 8] |= (uint8_t)(1U << number % 8);
    else
        message->seen |= (uint8_t)(1U << device->is.mate);
}

/* ---- what becomes of them ---- */

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

static void tell_stranger(const struct book *book, uint32_t device, uint32_t log, uint32_t sender, uint32_t number)
{
    if (book->strangers >= STRANGERS_TOLD)
        return;
    const struct message *message = &book->messages[number < book->count ? number : 0];
    printf("not for it: device %" PRIu32 ", topics %02x in turn %u, has message %" PRIu32 " of sender %" PRIu32
           " by '%s', which is one to %s of turn %u\n",
           device, (unsigned)book->devices[device].is.set, (unsigned)book->turn, number, sender, topics_name(log),
           message->target >= 0 ? topics_to((uint32_t)message->target) : "a user", (unsigned)message->turn);
}

void book_seen(struct book *book, uint32_t device, uint32_t log, uint32_t sender, uint32_t number, const struct id *id)
{
    const struct device *by = &book->devices[device];
    struct message *message = &book->messages[number < book->count ? number : 0];
    if (number >= book->count || message->sender != sender || !may_come(book, message, by, log) ||
        !same_name(message, id)) {
        tell_stranger(book, device, log, sender, number);
        book->strangers++;
        return;
    }
    if (has_seen(book, message, by)) {
        book->counts[log].duplicates++;
        return;
    }
    see(book, message, by);
    uint32_t *last = &by->last[log * book->senders + sender];
    if (number < *last)
        book->counts[log].out_of_order++;
    else
        *last = number + 1;
}

void book_gap(struct book *book, uint32_t device, uint32_t log, uint64_t lost_at_most)
{
    book->counts[log].gaps++;
    book->devices[device].paid[log] += lost_at_most;
}

/* ---- sums ---- */

/* By which log the device should have got it; of several, any: it is in one only. */
static uint32_t log_of(const struct message *message, const struct device *device)
{
    uint32_t log = 0;
    while (!comes_by(message, device, log))
        log++;
    return log;
}

static void count_answers(const struct book *book, bool topics_only, struct book_sums *sums)
{
    const size_t bytes = (book->devices_count + 7) / 8;
    for (uint32_t i = 0; i < book->count; i++) {
        const struct message *message = &book->messages[i];
        if (topics_only && message->target < 0)
            continue;
        sums->accepted += message->answer == BOOK_ACCEPTED;
        sums->refused += message->answer == BOOK_REFUSED;
        sums->open += message->answer == BOOK_OPEN;
        bool seen = message->seen != 0;
        for (size_t at = 0; message->target >= 0 && at < bytes; at++)
            seen = seen || message->whom[at] != 0;
        sums->strangers += message->answer == BOOK_REFUSED && seen;
    }
}

static void count_one(const struct book *book, const struct message *message, uint32_t number, uint64_t *missing,
                      struct book_sums *sums)
{
    const struct device *device = &book->devices[number];
    if (!is_for(message, device))
        return;
    const bool seen = has_seen(book, message, device);
    sums->expected++;
    sums->delivered += seen;
    if (!seen)
        missing[number * TOPICS_LOGS + log_of(message, device)]++;
}

/* How many of the accepted messages each device has not seen in each log; the caller frees. */
static uint64_t *count_missing(const struct book *book, bool topics_only, struct book_sums *sums)
{
    uint64_t *missing = object_zalloc(book->devices_count * TOPICS_LOGS * sizeof *missing);
    for (uint32_t i = 0; i < book->count; i++) {
        const struct message *message = &book->messages[i];
        const struct user *user = &book->users[message->user];
        if (message->answer != BOOK_ACCEPTED)
            continue;
        for (uint32_t device = 0; message->target >= 0 && device < book->devices_count; device++)
            count_one(book, message, device, missing, sums);
        for (uint8_t mate = 0; message->target < 0 && !topics_only && mate < user->mates; mate++)
            count_one(book, message, user->device[mate], missing, sums);
    }
    return missing;
}

static struct book_sums sum(const struct book *book, bool topics_only)
{
    struct book_sums sums = {.strangers = topics_only ? 0 : book->strangers};
    for (uint32_t log = 0; log < (topics_only ? TOPICS_INBOX : TOPICS_LOGS); log++) {
        sums.out_of_order += book->counts[log].out_of_order;
        sums.duplicates += book->counts[log].duplicates;
        sums.gaps += book->counts[log].gaps;
    }
    count_answers(book, topics_only, &sums);
    uint64_t *missing = count_missing(book, topics_only, &sums);
    for (size_t i = 0; i < book->devices_count * (size_t)TOPICS_LOGS; i++) {
        const uint64_t paid = book->devices[i / TOPICS_LOGS].paid[i % TOPICS_LOGS];
        sums.missing += missing[i];
        sums.lost += missing[i] > paid ? missing[i] - paid : 0;
    }
    free(missing);
    return sums;
}

struct book_sums book_sum(const struct book *book)
{
    return sum(book, false);
}

struct book_sums book_sum_topics(const struct book *book)
{
    return sum(book, true);
}

/* ---- what is lost ---- */

static void print_lost_of_topic(const struct book *book, uint32_t number)
{
    const struct message *message = &book->messages[number];
    unsigned lost = 0, of = 0;
    uint32_t first = 0;
    for (uint32_t i = book->devices_count; i-- > 0;) {
        const struct device *device = &book->devices[i];
        const bool meant = is_for(message, device);
        of += meant;
        if (!meant || has_seen(book, message, device))
            continue;
        lost++;
        first = i;
    }
    if (lost > 0)
        printf("not seen: message %" PRIu32 " of sender %u to %s, turn %u: %u of %u devices, device %" PRIu32
               " the first\n",
               number, (unsigned)message->sender, topics_to((uint32_t)message->target), (unsigned)message->turn, lost,
               of, first);
}

static void print_lost_of_user(const struct book *book, uint32_t number)
{
    const struct message *message = &book->messages[number];
    if (message->seen != message->targets)
        printf("not seen: message %" PRIu32 " of sender %u to user u%" PRIu32 ", devices %x of %x\n", number,
               (unsigned)message->sender, message->user, (unsigned)(message->targets & ~message->seen),
               (unsigned)message->targets);
}

static bool is_lost(const struct book *book, const struct message *message)
{
    if (message->answer != BOOK_ACCEPTED || message->target < 0)
        return message->answer == BOOK_ACCEPTED && message->seen != message->targets;
    bool lost = false;
    for (uint32_t i = 0; i < book->devices_count && !lost; i++)
        lost = is_for(message, &book->devices[i]) && !has_seen(book, message, &book->devices[i]);
    return lost;
}

void book_print_lost(const struct book *book, unsigned max)
{
    for (uint32_t i = 0; i < book->count && max > 0; i++) {
        if (!is_lost(book, &book->messages[i]))
            continue;
        max--;
        if (book->messages[i].target >= 0)
            print_lost_of_topic(book, i);
        else
            print_lost_of_user(book, i);
    }
}
