#include "contract/redis_load.h"

#include "base/err.h"
#include "base/object.h"

#include <stdio.h>
#include <stdlib.h>

#define NOT_TOLD 255
#define AUDIT_BATCH 2000

struct redis_load *redis_load_new(struct redis_rig *rig)
{
    struct redis_load *load = calloc(1, sizeof *load);
    petrel_assert(load != NULL);
    load->rig = rig;
    load->keys = 97;
    load->only_key = -1;
    memset(load->status, NOT_TOLD, sizeof load->status);
    loops_tally_init(&load->answered);
    loops_tally_init(&load->stopped);
    return load;
}

void redis_load_free(struct redis_load *load)
{
    loops_tally_destroy(&load->answered);
    loops_tally_destroy(&load->stopped);
    free(load);
}

static void make(const struct redis_load *load, struct redis_rig_call *call, uint32_t name)
{
    char key[32], arg[16];
    snprintf(key, sizeof key, "{b%u}load", load->only_key >= 0 ? (unsigned)load->only_key : name % load->keys);
    snprintf(arg, sizeof arg, "%u", name);
    redis_rig_make(load->rig, call, load->rig->once, key, arg);
}

static void on_done(struct redis_request *request);

static void ask(struct redis_load *load, struct redis_rig_call *call, uint32_t name)
{
    make(load, call, name);
    call->ctx = load;
    call->request.replicated = load->replicated;
    call->request.done = on_done;
    load->names[call - load->calls] = name;
    const int accepted = redis_ask(load->rig->redis, &call->request);
    petrel_assert(accepted == 0);
}

static void ask_next(struct redis_load *load, struct redis_rig_call *call)
{
    if (load->stopping)
        loops_tally_add(&load->stopped, 1);
    else
        ask(load, call, (uint32_t)(load->asked++ % REDIS_LOAD_NAMES));
}

static void on_done(struct redis_request *request)
{
    struct redis_rig_call *call = container_of(request, struct redis_rig_call, request);
    struct redis_load *load = call->ctx;
    const uint32_t name = load->names[call - load->calls];
    const int status = request->status;
    if (load->repeat && (status == PETREL_E_UNAVAILABLE || status == PETREL_E_TIMEOUT)) {
        ask(load, call, name);
        return;
    }
    /* A name that comes round again is there, or may be, whatever becomes of it this time. */
    if (status == 0 || load->status[name] == NOT_TOLD || load->status[name] == -PETREL_E_BUSY)
        load->status[name] = (uint8_t)-status;
    if (status == 0)
        loops_tally_add(&load->answered, 1);
    else
        load->others++;
    ask_next(load, call);
}

static void start(void *arg)
{
    struct redis_load *load = arg;
    for (size_t i = 0; i < REDIS_LOAD_WIDTH; i++)
        ask_next(load, &load->calls[i]);
}

void redis_load_start(struct redis_load *load)
{
    loops_run_on(&load->rig->loops, 0, start, load);
}

bool redis_load_wait(struct redis_load *load, uint64_t more)
{
    return loops_tally_wait(&load->answered, loops_tally_get(&load->answered) + more);
}

static void stop(void *arg)
{
    struct redis_load *load = arg;
    load->stopping = true;
}

bool redis_load_stop(struct redis_load *load)
{
    loops_run_on(&load->rig->loops, 0, stop, load);
    return loops_tally_wait(&load->stopped, REDIS_LOAD_WIDTH);
}

static void count(struct redis_load_audit *audit, uint8_t told, bool is_there)
{
    const int status = -(int)told;
    if (status == 0) {
        audit->answered++;
        audit->lost += !is_there;
    } else if (status == PETREL_E_BUSY || status == PETREL_E_FULL) {
        audit->refused++;
        audit->acted += is_there;
    } else {
        audit->unknown++;
    }
}

struct redis_load_audit redis_load_look(struct redis_load *load)
{
    struct redis_load_audit audit = {0};
    struct redis_rig_call *calls = calloc(AUDIT_BATCH, sizeof *calls);
    petrel_assert(calls != NULL);
    const uint32_t names = load->asked < REDIS_LOAD_NAMES ? (uint32_t)load->asked : REDIS_LOAD_NAMES;
    for (uint32_t first = 0; first < names; first += AUDIT_BATCH) {
        const uint32_t left = names - first;
        const uint32_t batch = left < AUDIT_BATCH ? left : AUDIT_BATCH;
        for (uint32_t i = 0; i < batch; i++) {
            struct redis_rig_call written;
            make(load, &written, first + i);
            redis_rig_command(load->rig, &calls[i], "HEXISTS", written.key, written.args[0]);
            calls[i].request.readonly = true;
        }
        redis_rig_run(load->rig, calls, batch);
        for (uint32_t i = 0; i < batch; i++) {
            petrel_assert(calls[i].status == 0 && calls[i].type == REDIS_INTEGER);
            count(&audit, load->status[first + i], calls[i].integer == 1);
        }
    }
    free(calls);
    return audit;
}
