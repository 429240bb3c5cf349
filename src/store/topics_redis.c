#include "store/topics_redis.h"

#include "base/err.h"
#include "base/object.h"
#include "store/topics_redis_private.h"
#include "store/topics_reply.h"

#include <stdlib.h>

#define TOPICS_MAGIC OBJECT_MAGIC('t', 'p', 'r', 'd')
#define REPEAT_MS 10000 /* PROMISE §5; well within the time for which an id is remembered */

static struct topics_redis *of(struct topics *base)
{
    struct topics_redis *topics = container_of(base, struct topics_redis, base);
    object_check(topics, TOPICS_MAGIC);
    return topics;
}

static void free_topics(struct topics_redis *topics)
{
    free((void *)(uintptr_t)topics->config.redis.username);
    if (topics->config.redis.password != NULL)
        explicit_bzero((void *)(uintptr_t)topics->config.redis.password, strlen(topics->config.redis.password));
    free((void *)(uintptr_t)topics->config.redis.password);
    tls_client_unref(topics->config.redis.tls);
    free((void *)(uintptr_t)topics->config.redis.tls_name);
    free(topics->seats);
    topics->magic = 0;
    free(topics);
}

static void unref(struct topics_redis *topics)
{
    if (atomic_fetch_sub(&topics->refs, 1) == 1)
        free_topics(topics);
}

static void on_client_closed(void *ctx)
{
    struct topics_redis_seat *seat = ctx;
    unref(seat->topics);
}

static void finish(struct topics_request *request, int status)
{
    request->status = status;
    topics_reply_finish(request);
}

static void leave(struct topics_redis_seat *seat)
{
    seat->left = true;
    for (struct list *node; (node = list_pop_front(&seat->doubtful)) != NULL;) {
        struct topics_redis_call *call = container_of(node, struct topics_redis_call, node);
        struct topics_request *request = call->request;
        timer_stop(&call->timer);
        topics_redis_call_free(call);
        finish(request, PETREL_E_CLOSING);
    }
    if (seat->redis != NULL)
        redis_close(&seat->redis, on_client_closed, seat);
}

/* NULL: none are kept. */
static struct metrics_shard *shard_of(const struct topics_redis_seat *seat, const struct loop *loop)
{
    struct metrics *metrics = seat->topics->config.metrics;
    return metrics != NULL ? metrics_shard(metrics, loop_index(loop)) : NULL;
}

/* The seat's client, made now if this is the loop's first request. */
static int sit(struct topics_redis_seat *seat, struct loop *loop)
{
    struct topics_redis *topics = seat->topics;
    if (seat->left || atomic_load(&topics->closing))
        return PETREL_E_CLOSING;
    if (seat->redis != NULL)
        return 0;
    int err = redis_new(&seat->redis, loop, &topics->config.redis, shard_of(seat, loop));
    if (err != 0)
        return err;
    atomic_fetch_add(&topics->refs, 1);
    topics_redis_script_add(seat->redis, seat->scripts);
    /* Whoever closes the topics sees this, or what it wrote before is seen here: the client never stays behind. */
    atomic_store(&seat->loop, loop);
    if (!atomic_load(&topics->closing))
        return 0;
    leave(seat);
    return PETREL_E_CLOSING;
}

static void on_refused(struct mail *mail)
{
    topics_reply_finish(container_of(mail, struct topics_request, job.mail));
}

void topics_redis_count(const struct topics_redis_seat *seat, const struct topics_request *request, int status)
{
    struct metrics_shard *shard = shard_of(seat, request->home);
    if (shard == NULL)
        return;
    metrics_add(shard, METRIC_STORE_OPERATIONS, 1);
    if (status == PETREL_E_UNAVAILABLE || status == PETREL_E_TIMEOUT || status == PETREL_E_BUSY)
        metrics_add(shard, METRIC_STORE_ERRORS, 1);
}

/* An append whose outcome is unknown is asked again under the same id, as long as it makes sense. */
static bool repeat(struct topics_redis_call *call)
{
    bool unknown = call->ask.status == PETREL_E_UNAVAILABLE || call->ask.status == PETREL_E_TIMEOUT;
    if (!unknown || call->request->op != TOPICS_APPEND || call->seat->redis == NULL ||
        loop_now_ms(call->request->home) >= call->until_ms)
        return false;
    call->repeated = true;
    return redis_ask(call->seat->redis, &call->ask) == 0;
}

static void on_doubt(struct timer *timer)
{
    struct topics_redis_call *call = container_of(timer, struct topics_redis_call, timer);
    struct loop *home = call->request->home;
    if (!redis_is_refreshed(call->seat->redis, call->look) && loop_now_ms(home) < call->until_ms) {
        timer_start(home, &call->timer, REDIS_LOOK_MS, on_doubt);
        return;
    }
    list_remove(&call->node);
    int err = redis_ask(call->seat->redis, &call->ask);
    if (err == 0)
        return;
    struct topics_request *request = call->request;
    topics_redis_call_free(call);
    finish(request, err);
}

/* A position that is ahead of the log, or has none, may mean that the answer is a deposed master's: asked once more, after a look at
 * the cluster, and believed if it stays so (PROMISE §4). */
static bool doubt(struct topics_redis_call *call)
{
    struct topics_redis_seat *seat = call->seat;
    if (call->doubted || !seat->topics->config.redis.cluster || seat->redis == NULL || call->ask.status != 0 ||
        !topics_redis_reply_is_doubtful(call->request, call->ask.reply))
        return false;
    call->doubted = true;
    call->until_ms = loop_now_ms(call->request->home) + REDIS_LOOK_MAX_MS;
    call->look = redis_refresh(seat->redis, call->ask.key);
    list_push_back(&seat->doubtful, &call->node);
    timer_start(call->request->home, &call->timer, REDIS_LOOK_MS, on_doubt);
    return true;
}

static void on_answer(struct redis_request *ask)
{
    struct topics_redis_call *call = container_of(ask, struct topics_redis_call, ask);
    struct topics_request *request = call->request;
    struct topics_redis_seat *seat = call->seat;
    if (repeat(call) || doubt(call))
        return;
    int status = ask->status;
    if (status == 0)
        status = topics_redis_reply_read(request, ask->reply, clock_wall_ms(seat->topics->config.clock));
    /* What the first one wrote is no duplicate of the caller's. */
    if (status == 0 && call->repeated)
        request->out.appended->duplicate = false;
    topics_redis_count(seat, request, status);
    topics_redis_call_free(call);
    finish(request, status);
}

static int submit(struct topics *base, struct topics_request *request)
{
    struct topics_redis *topics = of(base);
    uint16_t index = loop_index(request->home);
    petrel_assert(index < topics->config.loops);
    struct topics_redis_seat *seat = &topics->seats[index];
    int err = sit(seat, request->home);
    if (err != 0)
        return err;
    request->status = topics_check(request, &topics->config.limits);
    if (request->status != 0) {
        request->job.mail.run = on_refused;
        mailbox_post(request->home, &request->job.mail);
        return 0;
    }
    if (request->op == TOPICS_CHECK)
        return topics_redis_check_submit(seat, request);
    struct topics_redis_call *call = topics_redis_call_new(seat, request);
    call->until_ms = loop_now_ms(request->home) + REPEAT_MS;
    call->ask.done = on_answer;
    err = redis_ask(seat->redis, &call->ask);
    if (err != 0)
        topics_redis_call_free(call);
    return err;
}

static void on_leave(struct mail *mail)
{
    struct topics_redis_seat *seat = container_of(mail, struct topics_redis_seat, leave);
    struct topics_redis *topics = seat->topics;
    leave(seat);
    unref(topics);
}

void topics_redis_leave(struct topics *base, struct loop *loop)
{
    struct topics_redis *topics = of(base);
    petrel_assert(loop_index(loop) < topics->config.loops);
    leave(&topics->seats[loop_index(loop)]);
}

static void close_topics(struct topics *base)
{
    struct topics_redis *topics = of(base);
    atomic_store(&topics->closing, true);
    for (size_t i = 0; i < topics->config.loops; i++) {
        struct topics_redis_seat *seat = &topics->seats[i];
        struct loop *loop = atomic_load(&seat->loop);
        if (loop == NULL)
            continue;
        atomic_fetch_add(&topics->refs, 1);
        seat->leave.run = on_leave;
        mailbox_post(loop, &seat->leave);
    }
    unref(topics);
}

static const struct topics_ops ops = {.name = "redis", .submit = submit, .close = close_topics};

int topics_redis_open(struct topics **out, const struct topics_redis_config *config)
{
    *out = NULL;
    petrel_assert(config->loops > 0);
    int err = redis_check(&config->redis);
    if (err != 0)
        return err;
    struct topics_redis *topics = object_zalloc(sizeof *topics);
    topics->magic = TOPICS_MAGIC;
    topics->base.ops = &ops;
    topics->config = *config;
    topics->config.redis.unwatched = true;
    if (config->redis.username != NULL)
        topics->config.redis.username = object_strdup(config->redis.username);
    if (config->redis.password != NULL)
        topics->config.redis.password = object_strdup(config->redis.password);
    if (config->redis.tls != NULL)
        topics->config.redis.tls = tls_client_ref(config->redis.tls);
    if (config->redis.tls_name != NULL)
        topics->config.redis.tls_name = object_strdup(config->redis.tls_name);
    atomic_init(&topics->refs, 1);
    topics->seats = aligned_alloc(_Alignof(struct topics_redis_seat), config->loops * sizeof *topics->seats);
    petrel_assert(topics->seats != NULL);
    memset(topics->seats, 0, config->loops * sizeof *topics->seats);
    for (size_t i = 0; i < config->loops; i++) {
        topics->seats[i].topics = topics;
        list_init(&topics->seats[i].doubtful);
    }
    *out = &topics->base;
    return 0;
}
