#include "sim/sim_book.h"

#include <stdarg.h>
#include <string.h>

void sim_book_init(struct sim_book *book, struct sim *sim)
{
    memset(book, 0, sizeof *book);
    book->sim = sim;
}

void sim_book_break(struct sim_book *book, const char *format, ...)
{
    char line[sizeof book->broken];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    sim_trace(book->sim, "BROKEN: %s", line);
    if (book->broken[0] == '\0')
        memcpy(book->broken, line, sizeof line);
}

/* The number stands in the id, so that who gets it can be looked up. */
static void make_id(struct sim_book *book, uint32_t number, struct id *id)
{
    uint64_t chance = rng_u64(&book->sim->rng);
    memcpy(id->bytes, &number, sizeof number);
    memset(id->bytes + 4, 0, 4);
    memcpy(id->bytes + 8, &chance, sizeof chance);
}

static struct sim_message *find(struct sim_book *book, const uint8_t id[16])
{
    uint32_t number;
    memcpy(&number, id, sizeof number);
    if (number >= book->messages_count || memcmp(book->messages[number].id.bytes, id, 16) != 0)
        return NULL;
    return &book->messages[number];
}

static uint32_t number_of(const struct sim_book *book, const struct sim_message *message)
{
    return (uint32_t)(message - book->messages);
}

uint32_t sim_book_send(struct sim_book *book, uint32_t user, uint32_t device, uint64_t ttl_ms)
{
    if (book->messages_count == SIM_MESSAGES_MAX)
        return SIM_MESSAGES_MAX;
    uint32_t number = book->messages_count++;
    struct sim_message *message = &book->messages[number];
    message->user = user;
    message->device = device;
    message->sent_us = book->sim->now_us;
    message->expires_ms = clock_wall_ms(&book->sim->clock.clock) + ttl_ms;
    make_id(book, number, &message->id);
    return number;
}

void sim_book_accepted(struct sim_book *book, uint32_t message)
{
    sim_trace(book->sim, "message %u: accepted", message);
    book->messages[message].accepted_us = book->sim->now_us;
}

void sim_book_recalled(struct sim_book *book, uint32_t number)
{
    struct sim_message *message = &book->messages[number];
    sim_trace(book->sim, "message %u: recalled", number);
    message->recalled = true;
    for (uint32_t i = 0; i < book->devices_count; i++) {
        if (message->delivered[i] != 0 && !book->rolled_back)
            sim_book_break(book, "message %u was recalled, though device %u has it", number, i);
    }
}

void sim_book_appended(struct sim_book *book, const struct id *id, struct position at, size_t row)
{
    struct sim_message *message = find(book, id->bytes);
    petrel_assert(message != NULL);
    sim_trace(book->sim, "message %u: in the log of user %u at %llu (row %zu)", number_of(book, message), message->user,
              (unsigned long long)at.seq, row);
    message->appended = true;
    message->position = at;
    message->row = row;
    message->fate = 0;
}

void sim_book_removed(struct sim_book *book, uint32_t user, uint64_t seq, enum journal_fate fate, size_t row)
{
    for (uint32_t i = book->messages_count; i > 0; i--) {
        struct sim_message *message = &book->messages[i - 1];
        if (message->user != user || !message->appended || message->position.seq != seq)
            continue;
        sim_trace(book->sim, "message %u: leaves the log (fate %d)", i - 1, (int)fate);
        message->fate = fate;
        message->fate_row = row;
        if (fate == JOURNAL_DROPPED)
            book->dropped[user] = true;
        return;
    }
}

void sim_book_rolled_back(struct sim_book *book, size_t row)
{
    for (uint32_t i = 0; i < book->messages_count; i++) {
        struct sim_message *message = &book->messages[i];
        if (message->appended && message->row >= row) {
            sim_trace(book->sim, "message %u: forgotten by the store", i);
            message->appended = false;
            message->forgotten = true;
            message->fate = 0;
        } else if (message->fate != 0 && message->fate_row >= row) {
            message->revived = message->revived || message->fate != JOURNAL_ACKED;
            message->fate = 0;
        }
    }
    book->rolled_back = true;
    /* What was after a forgotten message may come before what was delivered: the log has another order now. */
    for (uint32_t device = 0; device < book->devices_count; device++) {
        struct sim_seen *seen = &book->devices[device];
        seen->last_sent_us = 0;
        for (uint32_t i = 0; i < book->messages_count; i++) {
            const struct sim_message *message = &book->messages[i];
            if (message->delivered[device] != 0 && !message->forgotten && message->sent_us > seen->last_sent_us)
                seen->last_sent_us = message->sent_us;
        }
    }
}

static bool is_for(const struct sim_book *book, const struct sim_message *message, uint32_t device)
{
    return message->user == book->devices[device].user &&
           (message->device == SIM_ALL_DEVICES || message->device == device);
}

void sim_book_delivered(struct sim_book *book, uint32_t device, const uint8_t id[16], struct position at)
{
    struct sim_seen *seen = &book->devices[device];
    struct sim_message *message = find(book, id);
    if (message == NULL || !is_for(book, message, device)) {
        sim_book_break(book, "device %u was pushed what is not for it", device);
        return;
    }
    uint32_t number = number_of(book, message);
    sim_trace(book->sim, "device %u: got message %u at %llu", device, number, (unsigned long long)at.seq);
    book->deliveries++;
    if (message->delivered[device]++ != 0)
        sim_book_break(book, "device %u got message %u twice", device, number);
    if (message->recalled && !book->rolled_back)
        sim_book_break(book, "device %u got message %u, whose recall had succeeded", device, number);
    if (message->accepted_us != 0 && !message->revived && !message->forgotten &&
        seen->last_sent_us > message->accepted_us)
        sim_book_break(book, "device %u got message %u after one that was sent after its acceptance", device, number);
    if (message->sent_us > seen->last_sent_us && !message->forgotten)
        seen->last_sent_us = message->sent_us;
}

void sim_book_gap(struct sim_book *book, uint32_t device, struct position to, uint64_t lost_at_most)
{
    struct sim_seen *seen = &book->devices[device];
    sim_trace(book->sim, "device %u: told a gap of at most %llu, goes on at (%llu, %llu)", device,
              (unsigned long long)lost_at_most, (unsigned long long)to.epoch, (unsigned long long)to.seq);
    seen->gaps++;
    seen->lost_at_most += lost_at_most;
    book->gaps++;
    if (!book->rolled_back && !book->dropped[seen->user])
        sim_book_break(book, "device %u was told a gap, but nothing was dropped", device);
}

/* Why a device may do without an accepted message; NULL: it may not. *dropped counts those that a GAP must have told. */
static bool excused(const struct sim_book *book, const struct sim_message *message, uint64_t *dropped)
{
    if (message->expires_ms <= clock_wall_ms(&book->sim->clock.clock) || message->fate == JOURNAL_EXPIRED)
        return true;
    if (message->forgotten || message->revived || message->fate == JOURNAL_COLLAPSED ||
        message->fate == JOURNAL_RECALLED)
        return true;
    if (message->fate != JOURNAL_DROPPED)
        return false;
    ++*dropped;
    return true;
}

bool sim_book_settled(struct sim_book *book, bool say)
{
    for (uint32_t device = 0; device < book->devices_count; device++) {
        const struct sim_seen *seen = &book->devices[device];
        uint64_t dropped = 0;
        for (uint32_t i = 0; i < book->messages_count; i++) {
            const struct sim_message *message = &book->messages[i];
            if (message->accepted_us == 0 || message->sent_us < seen->enrolled_us || !is_for(book, message, device) ||
                message->delivered[device] != 0 || excused(book, message, &dropped))
                continue;
            if (say)
                sim_book_break(book, "device %u never got message %u, which was accepted", device, i);
            return false;
        }
        if (dropped > seen->lost_at_most) {
            if (say)
                sim_book_break(book, "the cap dropped %llu for device %u, which was told of %llu",
                               (unsigned long long)dropped, device, (unsigned long long)seen->lost_at_most);
            return false;
        }
    }
    return sim_news_settled(book, say);
}
