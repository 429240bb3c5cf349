#include "contract/store_load.h"

#include "base/object.h"

#include <stdlib.h>

static void on_done(struct store_request *request);

static void begin_next(struct store_load *load, struct store_load_slot *slot)
{
    memset(&slot->request, 0, sizeof slot->request);
    if (!load->next(load, slot)) {
        if (--load->running == 0)
            loops_tally_add(&load->ended, 1);
        return;
    }
    slot->number = load->count++;
    int err = store_submit(load->store, slot->op, &slot->request, load->loop, on_done);
    petrel_assert(err == 0);
}

static void on_done(struct store_request *request)
{
    struct store_load_slot *slot = container_of(request, struct store_load_slot, request);
    slot->load->done(slot->load, slot);
    begin_next(slot->load, slot);
}

static void start(void *ctx)
{
    struct store_load *load = ctx;
    load->running = load->inflight;
    for (uint32_t i = 0; i < load->inflight; i++) {
        load->slots[i].load = load;
        begin_next(load, &load->slots[i]);
    }
}

void store_load_start(struct store_load *load, struct loops *loops, size_t index)
{
    load->loop = loops->loops[index];
    load->slots = object_zalloc(load->inflight * sizeof *load->slots);
    loops_tally_init(&load->ended);
    loops_run_on(loops, index, start, load);
}

bool store_load_join(struct store_load *load)
{
    bool ended = loops_tally_wait(&load->ended, 1);
    loops_tally_destroy(&load->ended);
    free(load->slots);
    return ended;
}
