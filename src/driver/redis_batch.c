#include "driver/redis_batch.h"

#include "base/err.h"
#include "base/log.h"

#include <stdlib.h>

struct held {
    struct redis_arena arena;
    const struct redis_value *reply;
};

static struct held *take_held(struct redis_request *request)
{
    struct held *held = request->state;
    request->state = NULL;
    return held;
}

static void free_held(struct held *held)
{
    redis_codec_drop(&held->arena);
    free(held);
}

void redis_batch_init(struct redis_batch *batch)
{
    *batch = (struct redis_batch){.replicas = 1};
    list_init(&batch->held);
}

void redis_batch_hold(struct redis_batch *batch, struct redis_request *request, struct redis_codec *codec,
                      const struct redis_value *reply)
{
    struct held *held = object_alloc(sizeof *held);
    *held = (struct held){.arena = redis_codec_keep(codec), .reply = reply};
    request->state = held;
    list_push_back(&batch->held, &request->node);
}

/* Once, and once when it is over. A replica that has failed counts until the cluster forgets it: it may come back and be made master,
 * without what the others confirmed. */
static void say(const struct redis_node *node, struct redis_batch *batch, bool confirmed,
                const struct redis_value *waited)
{
    if (batch->is_short == !confirmed)
        return;
    batch->is_short = !confirmed;
    log_at(
        confirmed ? LOG_INFO : LOG_WARN, "redis",
        confirmed
            ? "all replicas confirm again"
            : "replicas are missing: replicated sends have no outcome until they are back, or the cluster forgets them",
        LOG_STR("master", node->address.host), LOG_NUM("port", node->address.port),
        LOG_NUM("replicas", batch->replicas),
        LOG_NUM("confirmed", waited->type == REDIS_INTEGER ? waited->integer : 0));
}

void redis_batch_end(struct redis *redis, const struct redis_node *node, struct redis_batch *batch,
                     const struct redis_value *waited)
{
    bool confirmed = waited->type == REDIS_INTEGER && waited->integer >= (int64_t)batch->replicas;
    say(node, batch, confirmed, waited);
    struct list answered;
    list_init(&answered);
    list_splice(&answered, &batch->held);
    batch->open = false;
    for (struct list *next; (next = list_pop_front(&answered)) != NULL;) {
        struct redis_request *request = container_of(next, struct redis_request, node);
        struct held *held = take_held(request);
        if (confirmed)
            redis_answer(redis, request, held->reply);
        else
            redis_fail(redis, request, PETREL_E_UNAVAILABLE);
        free_held(held);
    }
}

void redis_batch_drop(struct redis *redis, struct redis_batch *batch, int status)
{
    for (struct list *node; (node = list_pop_front(&batch->held)) != NULL;) {
        struct redis_request *request = container_of(node, struct redis_request, node);
        free_held(take_held(request));
        redis_dropped(redis, request, status);
    }
}
