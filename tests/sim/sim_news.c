#include "sim/sim_news.h"

#include "sim/sim_book.h"

#include <stdlib.h>
#include <string.h>

#define MARK 1 /* in the ids of items, beside their number: they are no messages to users */

void sim_news_topic(uint32_t topic, char out[16])
{
    if (topic == SIM_TOPIC_ALL)
        (void)snprintf(out, 16, "all");
    else
        (void)snprintf(out, 16, "t%u", (unsigned)topic);
}

uint32_t sim_news_topic_number(struct bytes name)
{
    for (uint32_t i = 0; i < SIM_TOPICS_MAX; i++) {
        char known[16];
        sim_news_topic(i, known);
        if (bytes_equal_str(name, known))
            return i;
    }
    object_panic(__FILE__, __LINE__, "a topic of the simulation");
}

static struct sim_item *find(struct sim_book *book, const uint8_t id[16])
{
    uint32_t number;
    memcpy(&number, id, sizeof number);
    if (id[4] != MARK || number >= book->news.items_count || memcmp(book->news.items[number].id.bytes, id, 16) != 0)
        return NULL;
    return &book->news.items[number];
}

static uint32_t number_of(const struct sim_book *book, const struct sim_item *item)
{
    return (uint32_t)(item - book->news.items);
}

static bool later(struct position a, struct position b)
{
    return a.epoch != b.epoch ? a.epoch > b.epoch : a.seq > b.seq;
}

/* ---- publishers ---- */

uint32_t sim_news_publish(struct sim_book *book, uint32_t topic, const struct condition *condition, uint64_t ttl_ms)
{
    struct sim_news *news = &book->news;
    if (news->items_count == SIM_ITEMS_MAX)
        return SIM_ITEMS_MAX;
    uint32_t number = news->items_count++;
    struct sim_item *item = &news->items[number];
    uint64_t chance = rng_u64(&book->sim->rng);
    memcpy(item->id.bytes, &number, sizeof number);
    item->id.bytes[4] = MARK;
    memcpy(item->id.bytes + 8, &chance, sizeof chance);
    item->sent_us = book->sim->now_us;
    item->expires_ms = clock_wall_ms(&book->sim->clock.clock) + ttl_ms;
    item->parts[topic].meant = condition == NULL;
    for (uint32_t i = 0; condition != NULL && i < condition->terms_count; i++) {
        const char *log = condition_topic(condition, i);
        item->parts[log != NULL ? sim_news_topic_number(bytes_str(log)) : SIM_TOPIC_ALL].meant = true;
    }
    if (condition != NULL)
        item->condition = *condition;
    return number;
}

void sim_news_accepted(struct sim_book *book, uint32_t item)
{
    sim_trace(book->sim, "item %u: accepted", item);
    book->news.items[item].accepted_us = book->sim->now_us;
}

/* ---- the store ---- */

void sim_news_appended(struct sim_book *book, uint32_t topic, const struct id *id, struct position at, size_t row)
{
    struct sim_item *item = find(book, id->bytes);
    petrel_assert(item != NULL && item->parts[topic].meant);
    sim_trace(book->sim, "item %u: in the log of topic %u at (%llu, %llu) (row %zu)", number_of(book, item), topic,
              (unsigned long long)at.epoch, (unsigned long long)at.seq, row);
    struct sim_part *part = &item->parts[topic];
    part->appended = true;
    part->dropped = false;
    part->position = at;
    part->appended_us = book->sim->now_us;
    part->followed = 0;
    for (uint32_t device = 0; device < SIM_DEVICES_MAX; device++)
        part->followed |= (book->news.follows[device][topic].truth ? 1U : 0U) << device;
    part->row = row;
}

void sim_news_dropped(struct sim_book *book, uint32_t topic, const struct id *id, size_t row)
{
    struct sim_item *item = find(book, id->bytes);
    sim_trace(book->sim, "item %u: dropped by the cap of topic %u", number_of(book, item), topic);
    item->parts[topic].dropped = true;
    item->parts[topic].dropped_row = row;
    book->news.dropped[topic] = true;
}

bool sim_news_truth(struct sim_book *book, uint32_t device, uint32_t topic, bool subscribed, struct position begins)
{
    struct sim_follow *follow = &book->news.follows[device][topic];
    if (follow->truth == subscribed && follow->begins.epoch == begins.epoch && follow->begins.seq == begins.seq)
        return false;
    sim_trace(book->sim, "device %u: is %s topic %u, from (%llu, %llu)", device,
              subscribed ? "subscribed to" : "not subscribed to", topic, (unsigned long long)begins.epoch,
              (unsigned long long)begins.seq);
    follow->truth = subscribed;
    follow->begins = begins;
    follow->truth_us = book->sim->now_us;
    return true;
}

void sim_news_forgot(struct sim_book *book, uint32_t device, uint32_t topic, bool subscribed, struct position begins)
{
    if (sim_news_truth(book, device, topic, subscribed, begins))
        book->news.follows[device][topic].forgot_us = book->sim->now_us;
}

static void roll_back_part(struct sim_part *part, size_t row)
{
    if (part->appended && part->row >= row) {
        part->appended = false;
        part->forgotten = true;
        part->dropped = false;
    } else if (part->dropped && part->dropped_row >= row) {
        part->dropped = false;
        part->revived = true;
    }
}

void sim_news_rolled_back(struct sim_book *book, size_t row)
{
    for (uint32_t i = 0; i < book->news.items_count; i++) {
        for (uint32_t topic = 0; topic < SIM_TOPICS_MAX; topic++)
            roll_back_part(&book->news.items[i].parts[topic], row);
    }
    book->rolled_back = true;
    /* What was after a forgotten one may come before what was delivered: the log has another order now. */
    for (uint32_t i = 0; i < SIM_DEVICES_MAX * SIM_TOPICS_MAX; i++)
        book->news.follows[i / SIM_TOPICS_MAX][i % SIM_TOPICS_MAX].last_sent_us = 0;
}

/* ---- conditions ---- */

#define NOWHERE SIM_TOPICS_MAX

/* In which log a device that follows these finds the item: that of the first term which holds. */
static uint32_t log_of(const struct sim_item *item, uint8_t follows)
{
    const struct condition *condition = &item->condition;
    for (uint32_t i = 0; i < condition->terms_count; i++) {
        const struct condition_term *term = &condition->terms[i];
        if ((follows & term->with) != term->with || (follows & term->without) != 0)
            continue;
        const char *log = condition_topic(condition, i);
        return log != NULL ? sim_news_topic_number(bytes_str(log)) : SIM_TOPIC_ALL;
    }
    return NOWHERE;
}

/* Whether the device may find the item in this log, or surely does: topics whose subscription changed since, or of which the device
 * knows otherwise than the store, may be followed or not. */
static bool finds(const struct sim_book *book, uint32_t device, const struct sim_item *item, uint32_t topic,
                  bool surely)
{
    const struct condition *condition = &item->condition;
    uint8_t follows = 0, unsure = 0, choice = 0;
    if (condition->terms_count == 0)
        return item->parts[topic].meant;
    for (uint32_t i = 0; i < condition->topics_count; i++) {
        const struct sim_follow *follow =
            &book->news.follows[device][sim_news_topic_number(bytes_str(condition->topics[i]))];
        const bool changed =
            follow->truth != follow->view || follow->truth_us >= item->sent_us || follow->view_us >= item->sent_us;
        follows |= (uint8_t)((follow->truth ? 1U : 0U) << i);
        unsure |= (uint8_t)((changed ? 1U : 0U) << i);
    }
    do {
        const bool found = log_of(item, (uint8_t)((follows & ~unsure) | choice)) == topic;
        if (found != surely)
            return found;
        choice = (uint8_t)((choice - unsure) & unsure);
    } while (choice != 0);
    return surely;
}

/* ---- devices ---- */

void sim_news_view(struct sim_book *book, uint32_t device, uint32_t topic, bool follows)
{
    struct sim_follow *follow = &book->news.follows[device][topic];
    if (follow->view == follows)
        return;
    sim_trace(book->sim, "device %u: knows that it %s topic %u", device, follows ? "follows" : "does not follow",
              topic);
    follow->view = follows;
    follow->view_us = book->sim->now_us;
}

void sim_news_kept(struct sim_book *book, uint32_t device)
{
    struct sim_follow *follow = &book->news.follows[device][SIM_TOPIC_ALL];
    if (follow->kept_us == 0)
        follow->kept_us = book->sim->now_us;
}

/* Whether it was accepted before the subscription began, which the device was told then, or whose session has asked since. */
static bool precedes(const struct sim_book *book, uint32_t device, const struct sim_follow *follow,
                     const struct sim_item *item, const struct sim_part *part)
{
    const bool asked = follow->truth_us < book->news.connected_us[device];
    if ((part->followed >> device & 1) != 0 || book->news.unsure[device])
        return false;
    return follow->truth && part->appended && !later(part->position, follow->begins) && item->accepted_us != 0 &&
           (item->accepted_us < follow->view_us || asked);
}

void sim_news_delivered(struct sim_book *book, uint32_t device, uint32_t topic, const uint8_t id[16],
                        struct position at)
{
    struct sim_follow *follow = &book->news.follows[device][topic];
    struct sim_item *item = find(book, id);
    if (item == NULL || !item->parts[topic].meant) {
        sim_book_break(book, "device %u was pushed what is not of topic %u", device, topic);
        return;
    }
    const struct sim_part *part = &item->parts[topic];
    uint32_t number = number_of(book, item);
    sim_trace(book->sim, "device %u: got item %u of topic %u at %llu", device, number, topic,
              (unsigned long long)at.seq);
    book->news.deliveries++;
    if (!follow->view)
        sim_book_break(book, "device %u got item %u of topic %u, which it was not told to follow", device, number,
                       topic);
    if (!finds(book, device, item, topic, false))
        sim_book_break(book, "device %u got item %u, whose condition it does not meet", device, number);
    if (item->delivered[device]++ != 0)
        sim_book_break(book, "device %u got item %u twice", device, number);
    if (topic != SIM_TOPIC_ALL && !book->rolled_back && precedes(book, device, follow, item, part))
        sim_book_break(book, "device %u got item %u, which is from before its subscription", device, number);
    if (item->accepted_us != 0 && !part->revived && !part->forgotten && follow->last_sent_us > item->accepted_us)
        sim_book_break(book, "device %u got item %u after one that was sent after its acceptance", device, number);
    if (item->sent_us > follow->last_sent_us && !part->forgotten)
        follow->last_sent_us = item->sent_us;
}

void sim_news_gap(struct sim_book *book, uint32_t device, uint32_t topic, uint64_t lost_at_most)
{
    sim_trace(book->sim, "device %u: told a gap of at most %llu in topic %u", device, (unsigned long long)lost_at_most,
              topic);
    book->gaps++;
    book->news.follows[device][topic].lost_at_most += lost_at_most;
    if (!book->rolled_back && !book->news.dropped[topic])
        sim_book_break(book, "device %u was told a gap in topic %u, but nothing was dropped", device, topic);
}

/* ---- the verdict ---- */

static bool owed(const struct sim_book *book, uint32_t device, uint32_t topic, const struct sim_item *item)
{
    const struct sim_follow *follow = &book->news.follows[device][topic];
    const struct sim_part *part = &item->parts[topic];
    if (!part->meant || !part->appended || part->forgotten || part->revived || item->accepted_us == 0)
        return false;
    if (item->expires_ms <= clock_wall_ms(&book->sim->clock.clock) || item->delivered[device] != 0)
        return false;
    if (topic == SIM_TOPIC_ALL && (follow->kept_us == 0 || part->appended_us <= follow->kept_us))
        return false;
    if (topic != SIM_TOPIC_ALL && (!follow->truth || !later(part->position, follow->begins)))
        return false;
    if (part->appended_us <= follow->forgot_us)
        return false;
    return finds(book, device, item, topic, true);
}

static bool topic_settled(struct sim_book *book, uint32_t device, uint32_t topic, bool say)
{
    const struct sim_follow *follow = &book->news.follows[device][topic];
    uint64_t dropped = 0;
    for (uint32_t i = 0; i < book->news.items_count; i++) {
        const struct sim_item *item = &book->news.items[i];
        if (!owed(book, device, topic, item))
            continue;
        if (item->parts[topic].dropped) {
            dropped++;
            continue;
        }
        if (say)
            sim_book_break(book, "device %u never got item %u of topic %u, which was accepted", device, i, topic);
        return false;
    }
    const bool told = dropped <= follow->lost_at_most;
    const bool knows = follow->view == (follow->truth || topic == SIM_TOPIC_ALL);
    if (say && !told)
        sim_book_break(book, "the cap of topic %u dropped %llu for device %u, which was told of %llu", topic,
                       (unsigned long long)dropped, device, (unsigned long long)follow->lost_at_most);
    if (say && !knows)
        sim_book_break(book, "device %u believes that it %s topic %u", device,
                       follow->view ? "follows" : "does not follow", topic);
    return told && knows;
}

bool sim_news_settled(struct sim_book *book, bool say)
{
    for (uint32_t device = 0; device < book->devices_count; device++) {
        for (uint32_t topic = 0; topic < SIM_TOPICS_MAX && book->news.takes[device]; topic++) {
            if (!topic_settled(book, device, topic, say))
                return false;
        }
    }
    return true;
}
