#include "sim/sim_topics_impl.h"

#include "base/err.h"
#include "store/topics_reply.h"

#include <stdlib.h>

uint32_t sim_topics_device(const struct peer_target *target)
{
    return (uint32_t)strtoul((const char *)target->device.ptr + 1, NULL, 10);
}

bool sim_topics_interested(const struct sim_topics *topics, uint32_t topic, uint32_t node)
{
    return topics->logs[topic].leases[node].until_ms > clock_mono_ms(&topics->sim->clock.clock);
}

/* The seq up to which a position of an older epoch still counts: the base of the first epoch after it. */
static uint64_t base_after(const struct sim_log *log, uint64_t epoch)
{
    for (uint32_t i = 0; i < log->epochs_count; i++) {
        if (log->epochs[i].epoch > epoch)
            return log->epochs[i].base;
    }
    return log->head;
}

/* Where reading goes on, and what is missing before it. */
static void judge(const struct sim_log *log, struct position at, struct topics_page *page)
{
    struct peer_gap *gap = &page->gap;
    const uint64_t from = at.seq == 0 ? log->birth : at.seq;
    uint64_t start = from;
    page->verdict = SESSION_NEW;
    page->position = (struct position){log->epoch, log->head};
    if (position_is_none(at))
        return;
    const bool ahead = at.epoch > log->epoch || (at.epoch == log->epoch && from > log->head);
    const uint64_t limit = ahead ? log->head : base_after(log, at.epoch);
    if (start > limit) {
        start = limit;
        gap->reason = SESSION_GAP_ROLLBACK;
    } else if (ahead) {
        gap->reason = SESSION_GAP_ROLLBACK;
    }
    if (start < log->floor && gap->reason == SESSION_GAP_NONE)
        gap->reason = SESSION_GAP_TRIMMED;
    const uint64_t found = start < log->floor ? log->floor : start;
    gap->lost_at_most = (from - start) + (found - start);
    page->verdict = gap->reason == SESSION_GAP_NONE ? SESSION_RESUMED : SESSION_GAPPED;
    page->position.seq = found;
    if (gap->reason == SESSION_GAP_NONE)
        return;
    gap->from = from;
    gap->to = gap->floor = found;
}

int sim_topics_fetch(struct sim_topics *topics, const struct peer_topic_fetch *fetch, struct topics_page *page)
{
    const struct sim_log *log = &topics->logs[sim_news_topic_number(fetch->topic)];
    const uint64_t now_ms = clock_wall_ms(&topics->sim->clock.clock);
    const uint32_t most = fetch->max_entries < PEER_PAGE_MAX ? fetch->max_entries : PEER_PAGE_MAX;
    uint64_t bytes = 0;
    if (!log->exists)
        return PETREL_E_NOT_FOUND;
    page->head = page->upto = log->head;
    judge(log, fetch->position, page);
    for (uint32_t i = 0; i < log->count; i++) {
        const struct sim_row *row = log->entries[i];
        if (row->position.seq <= page->position.seq || row->append.expires_ms <= now_ms)
            continue;
        bytes += sim_topics_bytes(row);
        if (page->count > 0 && (page->count >= most || bytes > fetch->max_bytes)) {
            page->upto = page->entries[page->count - 1].seq;
            break;
        }
        topics_reply_add(page, row->position.seq, row->append.expires_ms, buf_bytes(row->append.message),
                         row->append.condition != NULL ? buf_bytes(row->append.condition) : (struct bytes){NULL, 0});
    }
    return 0;
}

uint64_t sim_topics_version(const struct sim_topics *topics, const struct peer_target *device)
{
    const struct sim_set *set = &topics->sets[sim_topics_device(device)];
    for (uint32_t topic = 1; topic < SIM_TOPICS_MAX; topic++) {
        if (set->subscribed[topic])
            return set->version;
    }
    return 0;
}

void sim_topics_set(struct sim_topics *topics, const struct peer_target *device, struct topics_set *set)
{
    const struct sim_set *from = &topics->sets[sim_topics_device(device)];
    set->version = from->version;
    for (uint32_t topic = 1; topic < SIM_TOPICS_MAX; topic++) {
        char name[16];
        if (!from->subscribed[topic])
            continue;
        sim_news_topic(topic, name);
        memcpy(set->all[set->count].topic, name, sizeof name);
        set->all[set->count++].position = from->begins[topic];
    }
}
