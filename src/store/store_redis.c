#include "store/store_redis.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/store_redis_private.h"
#include "store/store_request.h"
#include "wire/peer_check.h"

#include <stdlib.h>

#define STORE_MAGIC OBJECT_MAGIC('s', 't', 'r', 'd')
#define FULL_MS 2000    /* an append that was refused counts so long */
#define REPEAT_MS 10000 /* PROMISE §5; well within the 20 s in which an id may be used again */

static struct store_redis *of(struct store *base)
{
    struct store_redis *store = container_of(base, struct store_redis, base);
    object_check(store, STORE_MAGIC);
    return store;
}

static void free_store(struct store_redis *store)
{
    free((void *)(uintptr_t)store->config.redis.username);
    if (store->config.redis.password != NULL)
        explicit_bzero((void *)(uintptr_t)store->config.redis.password, strlen(store->config.redis.password));
    free((void *)(uintptr_t)store->config.redis.password);
    tls_client_unref(store->config.redis.tls);
    free((void *)(uintptr_t)store->config.redis.tls_name);
    free(store->seats);
    store->magic = 0;
    free(store);
}

static void unref(struct store_redis *store)
{
    if (atomic_fetch_sub(&store->refs, 1) == 1)
        free_store(store);
}

static void on_client_closed(void *ctx)
{
    struct store_redis_seat *seat = ctx;
    unref(seat->store);
}

/* The callback may free the request, so what it lends is kept aside. */
static void finish(struct store_request *request, int status)
{
    request->status = status;
    struct store_request lent = {.op = request->op, .status = status, .out = request->out};
    request->done(request);
    store_redis_reply_release(&lent);
}

/* The call is over. */
static void conclude(struct store_redis_call *call, int status, enum peer_verdict verdict)
{
    struct store_request *request = call->request;
    if (call->checks == NULL)
        finish(request, status);
    else if (store_redis_check_note(call->checks, call->entry, status, verdict))
        finish(request, request->status);
    free(call);
}

static struct metrics_shard *shard_of(const struct store_redis_seat *seat, const struct loop *loop)
{
    struct metrics *metrics = seat->store->config.metrics;
    return metrics != NULL ? metrics_shard(metrics, loop_index(loop)) : NULL;
}

static void on_full_over(struct timer *timer)
{
    struct store_redis_seat *seat = container_of(timer, struct store_redis_seat, full_timer);
    metrics_set(shard_of(seat, atomic_load(&seat->loop)), METRIC_STORE_FULL, 0);
}

static void leave(struct store_redis_seat *seat)
{
    seat->left = true;
    if (timer_running(&seat->full_timer)) {
        timer_stop(&seat->full_timer);
        on_full_over(&seat->full_timer);
    }
    for (struct list *node; (node = list_pop_front(&seat->doubtful)) != NULL;) {
        struct store_redis_call *call = container_of(node, struct store_redis_call, node);
        timer_stop(&call->timer);
        conclude(call, PETREL_E_CLOSING, PEER_UNKNOWN);
    }
    if (seat->redis != NULL)
        redis_close(&seat->redis, on_client_closed, seat);
}

static void on_change(void *ctx, bool is_lost)
{
    const struct store_redis_seat *seat = ctx;
    if (is_lost && seat->on_lost != NULL && !seat->left)
        seat->on_lost(seat->on_lost_ctx);
}

/* The seat's client, made now if this is the loop's first request. */
static int sit(struct store_redis_seat *seat, struct loop *loop)
{
    struct store_redis *store = seat->store;
    if (seat->left || atomic_load(&store->closing))
        return PETREL_E_CLOSING;
    if (seat->redis != NULL)
        return 0;
    int err = redis_new(&seat->redis, loop, &store->config.redis, shard_of(seat, loop));
    if (err != 0)
        return err;
    atomic_fetch_add(&store->refs, 1);
    store_redis_script_add(seat->redis, seat->scripts);
    redis_watch(seat->redis, on_change, seat);
    /* Whoever closes the store sees this, or what it wrote before is seen here: the client never stays behind. */
    atomic_store(&seat->loop, loop);
    if (!atomic_load(&store->closing))
        return 0;
    leave(seat);
    return PETREL_E_CLOSING;
}

static void on_invalid(struct mail *mail)
{
    finish(container_of(mail, struct store_request, job.mail), PETREL_E_INVALID);
}

/* A shard of several may be full, so that an append that succeeds says nothing; and one that is refused may be the last, as senders
 * go where there is room. */
static void note_full(struct store_redis_seat *seat, const struct store_request *request, int status)
{
    if (request->op != STORE_APPEND || status != PETREL_E_FULL || seat->left)
        return;
    metrics_set(shard_of(seat, request->home), METRIC_STORE_FULL, 1);
    timer_start(request->home, &seat->full_timer, FULL_MS, on_full_over);
}

static void count(struct store_redis_seat *seat, const struct store_request *request, int status)
{
    struct metrics_shard *shard = shard_of(seat, request->home);
    metrics_add(shard, METRIC_STORE_OPERATIONS, 1);
    if (status == PETREL_E_UNAVAILABLE || status == PETREL_E_TIMEOUT || status == PETREL_E_BUSY)
        metrics_add(shard, METRIC_STORE_ERRORS, 1);
}

/* An append whose outcome is unknown is asked again under the same id, as long as it makes sense. */
static bool repeat(struct store_redis_call *call)
{
    bool unknown = call->ask.status == PETREL_E_UNAVAILABLE || call->ask.status == PETREL_E_TIMEOUT;
    if (!unknown || call->request->op != STORE_APPEND || call->seat->redis == NULL ||
        loop_now_ms(call->request->home) >= call->until_ms)
        return false;
    store_redis_call_repeat(call);
    return redis_ask(call->seat->redis, &call->ask) == 0;
}

static void on_doubt(struct timer *timer)
{
    struct store_redis_call *call = container_of(timer, struct store_redis_call, timer);
    struct loop *home = call->request->home;
    if (!redis_is_refreshed(call->seat->redis, call->look) && loop_now_ms(home) < call->until_ms) {
        timer_start(home, &call->timer, REDIS_LOOK_MS, on_doubt);
        return;
    }
    list_remove(&call->node);
    int err = redis_ask(call->seat->redis, &call->ask);
    if (err != 0)
        conclude(call, err, PEER_UNKNOWN);
}

/* A position that is ahead of the log, or has none, may mean that the answer is a deposed master's: asked once more, after a look at
 * the cluster, and believed if it stays so (PROMISE §4). */
static bool doubt(struct store_redis_call *call)
{
    struct store_redis_seat *seat = call->seat;
    if (call->doubted || !seat->store->config.redis.cluster || seat->redis == NULL || call->ask.status != 0 ||
        !store_redis_reply_is_doubtful(call->request, call->ask.reply))
        return false;
    call->doubted = true;
    /* The bind was carried out: asked again, it finds its own route. */
    if (call->request->op == STORE_BIND &&
        (call->request->status = store_redis_reply_read(call->request, call->ask.reply)) == 0) {
        call->replaced = call->request->out.bound->replaced;
        store_redis_reply_release(call->request);
    }
    call->until_ms = loop_now_ms(call->request->home) + REDIS_LOOK_MAX_MS;
    call->look = redis_refresh(seat->redis, call->ask.key);
    list_push_back(&seat->doubtful, &call->node);
    timer_start(call->request->home, &call->timer, REDIS_LOOK_MS, on_doubt);
    return true;
}

static void on_answer(struct redis_request *ask)
{
    struct store_redis_call *call = container_of(ask, struct store_redis_call, ask);
    struct store_request *request = call->request;
    struct store_redis_seat *seat = call->seat;
    if (repeat(call) || doubt(call))
        return;
    int status = ask->status;
    enum peer_verdict verdict = PEER_UNKNOWN;
    if (status == 0)
        status = call->checks != NULL ? store_redis_reply_verdict(ask->reply, &verdict)
                                      : store_redis_reply_read(request, ask->reply);
    if (status == 0 && request->op == STORE_BIND && request->out.bound->replaced.generation == 0)
        request->out.bound->replaced = call->replaced;
    note_full(seat, request, status);
    count(seat, request, status);
    conclude(call, status, verdict);
}

static struct store_redis_seat *seat_of(struct store *base, const struct loop *loop)
{
    struct store_redis *store = of(base);
    petrel_assert(loop_index(loop) < store->config.loops);
    return &store->seats[loop_index(loop)];
}

static int submit(struct store *base, struct store_request *request)
{
    struct store_redis_seat *seat = seat_of(base, request->home);
    int err = sit(seat, request->home);
    if (err != 0)
        return err;
    if (store_request_check(request) != 0) {
        request->job.mail.run = on_invalid;
        mailbox_post(request->home, &request->job.mail);
        return 0;
    }
    struct store_redis_call *call = store_redis_call_new(seat, request, NULL);
    call->until_ms = loop_now_ms(request->home) + REPEAT_MS;
    call->ask.done = on_answer;
    err = redis_ask(seat->redis, &call->ask);
    if (err != 0)
        free(call);
    return err;
}

/* 0: it will be noted. A name against the rules is nobody's. */
static int ask_entry(struct store_redis_seat *seat, struct store_request *request, struct store_redis_checks *checks,
                     const struct peer_check *check, uint32_t entry)
{
    if (!peer_target_is_device(&check->target)) {
        (void)store_redis_check_note(checks, entry, 0, PEER_UNROUTED);
        return 0;
    }
    struct store_redis_call *call = store_redis_call_new(seat, request, check);
    call->checks = checks;
    call->entry = entry;
    call->until_ms = 0;
    call->ask.done = on_answer;
    int err = redis_ask(seat->redis, &call->ask);
    if (err != 0)
        free(call);
    return err;
}

static void on_checked(struct mail *mail)
{
    struct store_request *request = container_of(mail, struct store_request, job.mail);
    finish(request, request->status);
}

static int submit_check(struct store *base, struct store_request *request)
{
    struct store_redis_seat *seat = seat_of(base, request->home);
    int err = sit(seat, request->home);
    if (err != 0)
        return err;
    struct store_redis_checks *checks = store_redis_check_new(request);
    struct bytes rest = request->in.check.entries;
    for (uint32_t i = 0; i < request->in.check.count; i++) {
        struct peer_check check;
        err = peer_check_take(&request->in.check, &rest, &check);
        petrel_assert(err == 0);
        err = ask_entry(seat, request, checks, &check, i);
        if (err != 0)
            (void)store_redis_check_note(checks, i, err, PEER_UNKNOWN);
    }
    if (!store_redis_check_release(checks))
        return 0;
    /* Nothing is under way: all was known, or none could be asked. */
    if (request->status != 0)
        return request->status;
    request->job.mail.run = on_checked;
    mailbox_post(request->home, &request->job.mail);
    return 0;
}

static void on_leave(struct mail *mail)
{
    struct store_redis_seat *seat = container_of(mail, struct store_redis_seat, leave);
    struct store_redis *store = seat->store;
    leave(seat);
    unref(store);
}

void store_redis_watch(struct store *base, struct loop *loop, void (*on_lost)(void *ctx), void *ctx)
{
    struct store_redis_seat *seat = seat_of(base, loop);
    seat->on_lost = on_lost;
    seat->on_lost_ctx = ctx;
}

void store_redis_leave(struct store *base, struct loop *loop)
{
    leave(seat_of(base, loop));
}

static void close_store(struct store *base)
{
    struct store_redis *store = of(base);
    atomic_store(&store->closing, true);
    for (size_t i = 0; i < store->config.loops; i++) {
        struct store_redis_seat *seat = &store->seats[i];
        struct loop *loop = atomic_load(&seat->loop);
        if (loop == NULL)
            continue;
        atomic_fetch_add(&store->refs, 1);
        seat->leave.run = on_leave;
        mailbox_post(loop, &seat->leave);
    }
    unref(store);
}

static const struct store_ops ops = {
    .name = "redis",
    .bind = submit,
    .unbind = submit,
    .enrol = submit,
    .remove = submit,
    .append = submit,
    .fetch = submit,
    .ack = submit,
    .check = submit_check,
    .recall = submit,
    .message_state = submit,
    .user = submit,
    .close = close_store,
};

static void pack_limits(uint8_t out[STORE_REDIS_LIMITS_BYTES], const struct store_limits *limits)
{
    struct bytebuf packed = {0};
    bytes_put_u32(&packed, limits->cap_entries);
    bytes_put_u32(&packed, limits->cap_bytes);
    bytes_put_u32(&packed, limits->cap_collapse);
    bytes_put_u32(&packed, limits->recent_ids);
    bytes_put_u64(&packed, limits->recent_ms);
    bytes_put_u64(&packed, limits->lapse_ms);
    bytes_put_u64(&packed, limits->refresh_ms);
    bytes_put_u64(&packed, limits->fate_ms);
    bytes_put_u32(&packed, limits->fates);
    petrel_assert(packed.len == STORE_REDIS_LIMITS_BYTES);
    memcpy(out, packed.ptr, packed.len);
    bytes_reset(&packed);
}

int store_redis_open(struct store **out, const struct store_redis_config *config)
{
    *out = NULL;
    petrel_assert(config->loops > 0);
    int err = redis_check(&config->redis);
    if (err != 0)
        return err;
    struct store_redis *store = object_zalloc(sizeof *store);
    store->magic = STORE_MAGIC;
    store->base.ops = &ops;
    store->config = *config;
    if (config->redis.username != NULL)
        store->config.redis.username = object_strdup(config->redis.username);
    if (config->redis.password != NULL)
        store->config.redis.password = object_strdup(config->redis.password);
    if (config->redis.tls != NULL)
        store->config.redis.tls = tls_client_ref(config->redis.tls);
    if (config->redis.tls_name != NULL)
        store->config.redis.tls_name = object_strdup(config->redis.tls_name);
    pack_limits(store->limits, &config->limits);
    atomic_init(&store->refs, 1);
    store->seats = aligned_alloc(_Alignof(struct store_redis_seat), config->loops * sizeof *store->seats);
    petrel_assert(store->seats != NULL);
    memset(store->seats, 0, config->loops * sizeof *store->seats);
    for (size_t i = 0; i < config->loops; i++) {
        store->seats[i].store = store;
        list_init(&store->seats[i].doubtful);
    }
    *out = &store->base;
    return 0;
}
