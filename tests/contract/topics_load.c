#include "contract/topics_load.h"

#include "base/object.h"

#include <stdio.h>

static void begin(struct topics_load_slot *slot);

static void on_appended(struct topics_request *request)
{
    struct topics_load_slot *slot = container_of(request, struct topics_load_slot, request);
    struct topics_load *load = slot->load;
    buf_unref(request->in.append.message);
    if (request->status == 0 && !request->out.appended->duplicate) {
        uint64_t seq = request->out.appended->position.seq;
        load->first = load->appended == 0 || seq < load->first ? seq : load->first;
        load->last = seq > load->last ? seq : load->last;
        load->appended++;
        loops_tally_add(&load->done, 1);
    } else {
        load->failed++;
    }
    begin(slot);
}

static void begin(struct topics_load_slot *slot)
{
    struct topics_load *load = slot->load;
    if (load->stop || load->begun == load->most) {
        if (--load->running == 0)
            loops_tally_add(&load->ended, 1);
        return;
    }
    snprintf(slot->text, sizeof slot->text, "%0100llu", (unsigned long long)load->begun++);
    slot->request.in.append = topics_rig_message(load->rig, TOPICS_RIG_REDIS_TOPIC, slot->text);
    slot->request.in.append.durability = load->durability;
    int err = topics_submit(load->rig->topics, TOPICS_APPEND, &slot->request, load->rig->loops.loops[0], on_appended);
    petrel_assert(err == 0);
}

static void begin_all(void *ctx)
{
    struct topics_load *load = ctx;
    load->running = TOPICS_LOAD_INFLIGHT;
    for (size_t i = 0; i < TOPICS_LOAD_INFLIGHT; i++) {
        load->slots[i].load = load;
        begin(&load->slots[i]);
    }
}

void topics_load_start(struct topics_load *load, struct topics_rig *rig, uint64_t most)
{
    load->rig = rig;
    load->most = most;
    loops_tally_init(&load->done);
    loops_tally_init(&load->ended);
    loops_run_on(&rig->loops, 0, begin_all, load);
}

void topics_load_join(struct topics_load *load)
{
    assert_true(loops_tally_wait(&load->ended, 1));
    loops_tally_destroy(&load->done);
    loops_tally_destroy(&load->ended);
}

void topics_load_stop(struct topics_load *load)
{
    load->stop = true;
    topics_load_join(load);
}

bool topics_load_wait(struct topics_load *load, uint64_t more)
{
    return loops_tally_wait(&load->done, loops_tally_get(&load->done) + more);
}

void topics_load_open_wide(struct topics_rig *rig, const void *subject)
{
    struct topics_limits limits = topics_limits_default();
    limits.cap_entries = 1 << 20;
    limits.cap_bytes = 1 << 28;
    limits.recent_ids = 1 << 20;
    topics_rig_open_with(rig, subject, &limits, 1);
}

uint64_t topics_load_count(struct topics_rig *rig)
{
    uint64_t count = 0, upto = 0;
    struct position from = TOPICS_BEGIN;
    struct topics_rig_page page;
    do {
        assert_int_equal(topics_rig_fetch(rig, TOPICS_RIG_REDIS_TOPIC, from, 8, PEER_PAGE_BYTES, &page), 0);
        count += page.page.count;
        assert_true(page.page.upto > upto);
        upto = page.page.upto;
        from = (struct position){page.page.position.epoch, upto};
    } while (upto < page.page.head);
    return count;
}
