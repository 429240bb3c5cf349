#include "sim/sim_topics_impl.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

/* ---- applying a row ---- */

static void own(struct sim_log *log, const struct sim_row *row)
{
    if (log->epoch == row->epoch)
        return;
    petrel_assert(log->epochs_count < SIM_EPOCHS_MAX);
    log->epoch = row->epoch;
    log->epochs[log->epochs_count].epoch = row->epoch;
    log->epochs[log->epochs_count++].base = log->head;
}

static void begin_log(struct sim_log *log, const struct sim_row *row)
{
    log->exists = true;
    log->head = log->birth = log->floor = row->now_ms * 1000;
    own(log, row);
}

uint64_t sim_topics_bytes(const struct sim_row *row)
{
    const struct buf *condition = row->append.condition;
    return row->append.message->len + (condition != NULL ? condition->len : 0);
}

static void remove_at(struct sim_log *log, uint32_t place)
{
    log->bytes -= sim_topics_bytes(log->entries[place]);
    log->count--;
    memmove(&log->entries[place], &log->entries[place + 1], (log->count - place) * sizeof log->entries[0]);
}

/* What has expired goes first; what the cap drops moves the floor. */
static void make_room(struct sim_topics *topics, struct sim_log *log, const struct sim_row *row, size_t number)
{
    const struct topics_limits *limits = &topics->config.limits;
    for (uint32_t i = log->count; i > 0; i--) {
        if (log->entries[i - 1]->append.expires_ms <= row->now_ms)
            remove_at(log, i - 1);
    }
    while (log->count > 0 &&
           (log->count >= limits->cap_entries || log->bytes + sim_topics_bytes(row) > limits->cap_bytes)) {
        log->floor = log->entries[0]->position.seq;
        if (number == topics->rows_count)
            sim_news_dropped(topics->book, row->topic, &log->entries[0]->append.id, number);
        remove_at(log, 0);
    }
}

static void apply_append(struct sim_topics *topics, struct sim_row *row, size_t number)
{
    struct sim_log *log = &topics->logs[row->topic];
    if (!log->exists)
        begin_log(log, row);
    own(log, row);
    make_room(topics, log, row, number);
    row->position = (struct position){row->epoch, ++log->head};
    petrel_assert(log->count < SIM_LOG_MAX);
    log->entries[log->count++] = row;
    log->bytes += sim_topics_bytes(row);
}

static void apply_interest(struct sim_topics *topics, const struct sim_row *row)
{
    struct sim_log *log = &topics->logs[row->topic];
    if (log->exists)
        own(log, row);
    log->leases[row->interest.node] = (struct sim_lease){row->interest.incarnation, row->interest.until_ms};
}

static void apply_set(struct sim_topics *topics, const struct sim_row *row)
{
    struct sim_set *set = &topics->sets[row->set.device];
    set->version = row->set.version;
    set->subscribed[row->topic] = row->type == SIM_ROW_SUBSCRIBE;
    set->begins[row->topic] = row->position;
}

/* The number of a row that is new is the count of those before it. */
static void apply(struct sim_topics *topics, struct sim_row *row, size_t number)
{
    if (row->type == SIM_ROW_APPEND)
        apply_append(topics, row, number);
    else if (row->type == SIM_ROW_INTEREST)
        apply_interest(topics, row);
    else
        apply_set(topics, row);
}

static struct sim_row *new_row(struct sim_topics *topics, enum sim_row_type type, uint32_t topic)
{
    struct sim_row *row = object_zalloc(sizeof *row);
    row->type = type;
    row->now_ms = clock_wall_ms(&topics->sim->clock.clock);
    row->epoch = topics->epoch;
    row->topic = topic;
    return row;
}

static void write_row(struct sim_topics *topics, struct sim_row *row)
{
    apply(topics, row, topics->rows_count);
    topics->rows = object_realloc(topics->rows, (topics->rows_count + 1) * sizeof(struct sim_row *));
    topics->rows[topics->rows_count++] = row;
}

/* ---- operations ---- */

static int refusal(const struct sim_topics *topics)
{
    return topics->sim->now_us < topics->full_until_us ? PETREL_E_FULL : 0;
}

/* The row that appended this id to the topic, as long as it is remembered. */
static const struct sim_row *find_id(const struct sim_topics *topics, uint32_t topic, const struct id *id)
{
    const uint64_t now_ms = clock_wall_ms(&topics->sim->clock.clock);
    for (size_t i = topics->rows_count; i > 0; i--) {
        const struct sim_row *row = topics->rows[i - 1];
        if (row->type == SIM_ROW_APPEND && row->topic == topic && memcmp(&row->append.id, id, sizeof *id) == 0)
            return row->now_ms + topics->config.limits.recent_ms > now_ms ? row : NULL;
    }
    return NULL;
}

static uint32_t list_leases(const struct sim_topics *topics, uint32_t topic, uint32_t nodes[TOPICS_NODES_MAX])
{
    uint32_t count = 0;
    for (uint32_t node = 0; node < SIM_NODES_MAX; node++) {
        if (sim_topics_interested(topics, topic, node))
            nodes[count++] = node;
    }
    return count;
}

int sim_topics_append(struct sim_topics *topics, const struct peer_topic_send *send, struct topics_appended *out)
{
    const uint32_t topic = sim_news_topic_number(send->topic);
    const struct sim_row *known = find_id(topics, topic, &send->id);
    if (refusal(topics) != 0)
        return refusal(topics);
    out->duplicate = known != NULL;
    if (known == NULL) {
        struct sim_row *row = new_row(topics, SIM_ROW_APPEND, topic);
        row->append.id = send->id;
        row->append.expires_ms = send->expires_ms;
        row->append.message = buf_ref(send->message);
        row->append.condition = send->condition.len > 0 ? buf_copy(send->condition) : NULL;
        const size_t number = topics->rows_count;
        write_row(topics, row);
        sim_news_appended(topics->book, topic, &send->id, row->position, number);
        known = row;
    }
    out->position = (struct position){topics->logs[topic].epoch, known->position.seq};
    out->prev = out->position.seq - 1;
    out->nodes_count = list_leases(topics, topic, out->nodes);
    return 0;
}

int sim_topics_interest(struct sim_topics *topics, const struct peer_topic_interest *interest, struct position *head)
{
    const uint32_t topic = sim_news_topic_number(interest->topic);
    const struct sim_log *log = &topics->logs[topic];
    const struct sim_lease *lease = &log->leases[interest->node];
    const uint64_t now_ms = clock_mono_ms(&topics->sim->clock.clock);
    *head = log->exists ? (struct position){topics->epoch, log->head} : TOPICS_BEGIN;
    if (lease->until_ms > now_ms && lease->incarnation > interest->incarnation)
        return PETREL_E_STALE;
    struct sim_row *row = new_row(topics, SIM_ROW_INTEREST, topic);
    row->interest.node = interest->node;
    row->interest.incarnation = interest->incarnation;
    row->interest.until_ms = interest->lease_ms > 0 ? now_ms + interest->lease_ms : 0;
    write_row(topics, row);
    return 0;
}

static uint64_t next_version(const struct sim_topics *topics, const struct sim_set *set)
{
    const uint64_t now_ms = clock_wall_ms(&topics->sim->clock.clock);
    return set->version + 1 > now_ms ? set->version + 1 : now_ms;
}

static void change_set(struct sim_topics *topics, const struct peer_subscribe *subscribe, bool subscribed)
{
    const uint32_t device = sim_topics_device(&subscribe->target);
    const uint32_t topic = sim_news_topic_number(subscribe->topic);
    struct sim_row *row = new_row(topics, subscribed ? SIM_ROW_SUBSCRIBE : SIM_ROW_UNSUBSCRIBE, topic);
    row->set.device = device;
    row->set.version = next_version(topics, &topics->sets[device]);
    row->position = subscribed ? subscribe->position : (struct position){0, 0};
    write_row(topics, row);
    (void)sim_news_truth(topics->book, device, topic, subscribed, row->position);
}

int sim_topics_subscribe(struct sim_topics *topics, const struct peer_subscribe *subscribe,
                         struct topics_subscribed *out)
{
    const struct sim_set *set = &topics->sets[sim_topics_device(&subscribe->target)];
    const uint32_t topic = sim_news_topic_number(subscribe->topic);
    if (refusal(topics) != 0)
        return refusal(topics);
    const uint64_t prev = sim_topics_version(topics, &subscribe->target);
    if (!set->subscribed[topic])
        change_set(topics, subscribe, true);
    *out = (struct topics_subscribed){set->begins[topic], set->version, prev};
    return 0;
}

int sim_topics_unsubscribe(struct sim_topics *topics, const struct peer_subscribe *unsubscribe,
                           struct topics_subscribed *out)
{
    const struct sim_set *set = &topics->sets[sim_topics_device(&unsubscribe->target)];
    if (refusal(topics) != 0)
        return refusal(topics);
    const uint64_t prev = sim_topics_version(topics, &unsubscribe->target);
    if (set->subscribed[sim_news_topic_number(unsubscribe->topic)])
        change_set(topics, unsubscribe, false);
    *out = (struct topics_subscribed){.version = set->version, .prev = prev};
    return 0;
}

/* ---- crashes ---- */

static void rebuild(struct sim_topics *topics)
{
    memset(topics->logs, 0, sizeof topics->logs);
    memset(topics->sets, 0, sizeof topics->sets);
    for (size_t i = 0; i < topics->rows_count; i++)
        apply(topics, topics->rows[i], i);
}

void sim_topics_forget_rows(struct sim_topics *topics, size_t from)
{
    while (topics->rows_count > from) {
        struct sim_row *row = topics->rows[--topics->rows_count];
        if (row->type == SIM_ROW_APPEND) {
            buf_unref(row->append.message);
            buf_unref(row->append.condition);
        }
        free(row);
    }
}

void sim_topics_restart(struct sim_topics *topics)
{
    sim_trace(topics->sim, "topics: restart after %zu rows", topics->rows_count);
    rebuild(topics);
    for (uint32_t i = 0; i < SIM_TOPICS_MAX; i++)
        memset(topics->logs[i].leases, 0, sizeof topics->logs[i].leases);
}

void sim_topics_fail_over(struct sim_topics *topics, uint32_t rows)
{
    sim_topics_forget_rows(topics, topics->rows_count - (rows < topics->rows_count ? rows : topics->rows_count));
    sim_trace(topics->sim, "topics: fail over, forget %u rows, %zu are left", rows, topics->rows_count);
    rebuild(topics);
    topics->epoch++;
    sim_news_rolled_back(topics->book, topics->rows_count);
    for (uint32_t device = 0; device < SIM_DEVICES_MAX; device++) {
        const struct sim_set *set = &topics->sets[device];
        for (uint32_t topic = 1; topic < SIM_TOPICS_MAX; topic++)
            sim_news_forgot(topics->book, device, topic, set->subscribed[topic], set->begins[topic]);
    }
}
