#include "message/message_check.h"

#include "base/err.h"
#include "base/object.h"

#include <stdlib.h>

#define MESSAGE_CHECK_MAGIC OBJECT_MAGIC('M', 'S', 'G', 'K')

struct message_check {
    uint32_t magic;
    struct message_check_config config;
    uint32_t inflight;
};

struct op {
    struct message_check *check;
    struct link_call *call;
    struct peer_checked sets; /* what the topics' store says */
    union {
        struct topics_request topics;
        struct store_request store;
    };
};

static void finish(struct op *op, int status)
{
    struct message_check *check = op->check;
    op->call->reply.status = status;
    link_answer(op->call);
    free(op);
    check->inflight--;
    if (check->inflight == 0)
        check->config.on_idle(check->config.ctx);
}

/* By their entries; of one entry what its log says first. */
static void lay_side_by_side(struct peer_checked *out, const struct peer_checked *logs, const struct peer_checked *sets)
{
    uint32_t log = 0, set = 0;
    out->count = 0;
    while (log < logs->count || set < sets->count) {
        const bool of_log =
            set == sets->count || (log < logs->count && logs->differing[log].entry <= sets->differing[set].entry);
        out->differing[out->count++] = of_log ? logs->differing[log++] : sets->differing[set++];
    }
}

static void on_logs(struct store_request *request)
{
    struct op *op = container_of(request, struct op, store);
    struct peer_checked both;
    if (request->status == 0) {
        lay_side_by_side(&both, request->out.checked, &op->sets);
        op->call->reply.checked = &both;
    }
    finish(op, request->status);
}

static void ask_for_logs(struct op *op)
{
    const struct message_check_config *config = &op->check->config;
    op->store.in.check = op->call->in.check;
    const int rc = store_submit(config->store, STORE_CHECK, &op->store, config->loop, on_logs);
    if (rc != 0)
        finish(op, rc);
}

static void take_unknown(struct op *op)
{
    for (uint32_t i = 0; i < op->call->in.check.count; i++)
        peer_checked_add(&op->sets, i, PEER_UNKNOWN);
}

static void on_sets(struct topics_request *request)
{
    struct op *op = container_of(request, struct op, topics);
    if (request->status != 0)
        take_unknown(op);
    else
        op->sets = *request->out.checked;
    ask_for_logs(op);
}

void message_check_call(struct message_check *check, struct link_call *call)
{
    object_check(check, MESSAGE_CHECK_MAGIC);
    const struct message_check_config *config = &check->config;
    const uint32_t count = call->in.check.count;
    if (count == 0 || count > PEER_CHECKS_MAX || check->inflight >= config->max_inflight) {
        call->reply.status = check->inflight >= config->max_inflight ? PETREL_E_BUSY : PETREL_E_INVALID;
        link_answer(call);
        return;
    }
    struct op *op = object_alloc(sizeof *op);
    op->check = check;
    op->call = call;
    op->sets.count = 0;
    check->inflight++;
    if (config->topics == NULL) {
        ask_for_logs(op);
        return;
    }
    op->topics.in.check = call->in.check;
    if (topics_submit(config->topics, TOPICS_CHECK, &op->topics, config->loop, on_sets) == 0)
        return;
    take_unknown(op);
    ask_for_logs(op);
}

struct message_check *message_check_new(const struct message_check_config *config)
{
    struct message_check *check = object_zalloc(sizeof *check);
    check->magic = MESSAGE_CHECK_MAGIC;
    check->config = *config;
    return check;
}

void message_check_free(struct message_check *check)
{
    if (check == NULL)
        return;
    object_check(check, MESSAGE_CHECK_MAGIC);
    petrel_assert(check->inflight == 0);
    check->magic = 0;
    free(check);
}

bool message_check_idle(const struct message_check *check)
{
    return check->inflight == 0;
}
