#include "contract/topics_rig.h"

#include "base/object.h"
#include "contract/store_rig_redis.h"
#include "store/topics_redis.h"
#include "store/topics_sqlite.h"
#include "wire/peer_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct backend {
    const char *name;
    /* The servers it needs, started once per program; NULL: none. */
    void *(*start)(void);
    void (*clear)(void *servers);
    void (*stop)(void *servers);
    int (*open)(struct topics_rig *rig);
};

struct topics_rig_subject {
    const struct backend *backend;
    void *servers;
};

static int open_sqlite(struct topics_rig *rig)
{
    const struct topics_sqlite_config config = {
        .path = rig->path, .clock = &rig->clock, .limits = rig->limits, .restored = rig->restored};
    return topics_sqlite_open(&rig->topics, &config);
}

/* A server that comes back owns its logs anew. */
static void restart(struct redis_server *server)
{
    if (!redis_server_is_master(server))
        return;
    redis_server_kill(server);
    petrel_assert(redis_server_restart(server));
}

static int open_redis(struct topics_rig *rig)
{
    struct store_rig_redis *redis = topics_rig_redis(rig);
    struct topics_redis_config config = {
        .redis = {.cluster = redis->cluster, .deadline_ms = 20000},
        .clock = &rig->clock,
        .limits = rig->limits,
        .loops = rig->loops.count,
        .metrics = rig->metrics,
    };
    for (size_t i = 0; i < (redis->cluster ? redis->nodes.count : 1); i++) {
        struct redis_server *server = redis->cluster ? &redis->nodes.nodes[i] : &redis->single;
        struct redis_seed *seed = &config.redis.seeds[config.redis.seeds_count++];
        if (rig->restored)
            restart(server);
        snprintf(seed->host, sizeof seed->host, "127.0.0.1");
        seed->port = server->port;
    }
    petrel_assert(!rig->restored || !redis->cluster || redis_server_cluster_wait_ok(&redis->nodes));
    return topics_redis_open(&rig->topics, &config);
}

static const struct backend backends[] = {
    {.name = "sqlite", .open = open_sqlite},
    {"redis", store_rig_redis_start, store_rig_redis_clear, store_rig_redis_stop, open_redis},
    {"redis-cluster", store_rig_redis_start_cluster, store_rig_redis_clear, store_rig_redis_stop, open_redis},
};

const void *topics_rig_sqlite(void)
{
    static const struct topics_rig_subject subject = {.backend = &backends[0]};
    return &subject;
}

static uint64_t read_clock(const struct clock *clock)
{
    return container_of(clock, const struct topics_rig, clock)->ms;
}

void topics_rig_open_with(struct topics_rig *rig, const void *subject, const struct topics_limits *limits, size_t loops)
{
    memset(rig, 0, sizeof *rig);
    rig->subject = subject;
    if (rig->subject->backend->clear != NULL)
        rig->subject->backend->clear(rig->subject->servers);
    rig->limits = topics_limits_default();
    rig->limits.cap_entries = 4;
    rig->limits.cap_bytes = 40;
    if (limits != NULL)
        rig->limits = *limits;
    rig->clock = (struct clock){.mono_ms = read_clock, .wall_ms = read_clock};
    rig->ms = TOPICS_RIG_T0;
    rig->metrics = metrics_new(loops);
    snprintf(rig->folder, sizeof rig->folder, "/tmp/petrel-topics-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->path, sizeof rig->path, "%s/topics.db", rig->folder);
    loops_open(&rig->loops, loops);
    loops_start(&rig->loops);
    assert_int_equal(rig->subject->backend->open(rig), 0);
}

void topics_rig_open(struct topics_rig *rig, const void *subject)
{
    topics_rig_open_with(rig, subject, NULL, 1);
}

void topics_rig_reopen(struct topics_rig *rig)
{
    topics_close(&rig->topics);
    assert_int_equal(rig->subject->backend->open(rig), 0);
}

void topics_rig_close(struct topics_rig *rig)
{
    topics_close(&rig->topics);
    loops_stop(&rig->loops);
    loops_free(&rig->loops);
    metrics_free(&rig->metrics);
    unlink(rig->path);
    assert_int_equal(rmdir(rig->folder), 0);
}

struct store_rig_redis *topics_rig_redis(const struct topics_rig *rig)
{
    return rig->subject->servers;
}

struct call {
    struct topics_request request;
    struct topics_rig *rig;
    enum topics_op op;
    int posted;
    void *into; /* a topics_appended, a topics_rig_page or a topics_set */
    struct loops_tally done;
};

static void copy_page(struct topics_rig_page *to, const struct topics_page *from)
{
    size_t len = 0;
    to->page = *from;
    to->texts[0] = '\0';
    for (uint32_t i = 0; i < from->count && len < sizeof to->texts; i++) {
        struct bytes text = buf_bytes(from->entries[i].message), condition = from->entries[i].condition;
        len += (size_t)snprintf(to->texts + len, sizeof to->texts - len, "%s%.*s", i > 0 ? " " : "", (int)text.len,
                                (const char *)text.ptr);
        if (condition.ptr != NULL && len < sizeof to->texts)
            len += (size_t)snprintf(to->texts + len, sizeof to->texts - len, "[%.*s]", (int)condition.len,
                                    (const char *)condition.ptr);
    }
}

static void on_done(struct topics_request *request)
{
    struct call *call = container_of(request, struct call, request);
    if (request->status == 0 && call->op == TOPICS_APPEND)
        memcpy(call->into, request->out.appended, sizeof *request->out.appended);
    else if (request->status == 0 && call->op == TOPICS_FETCH)
        copy_page(call->into, request->out.page);
    else if (request->status == 0 && call->op == TOPICS_SUBSCRIPTIONS)
        memcpy(call->into, request->out.set, sizeof *request->out.set);
    else if (request->status == 0 && call->op == TOPICS_CHECK)
        memcpy(call->into, request->out.checked, sizeof *request->out.checked);
    loops_tally_add(&call->done, 1);
}

static void submit(void *ctx)
{
    struct call *call = ctx;
    call->posted = topics_submit(call->rig->topics, call->op, &call->request, call->rig->loops.loops[0], on_done);
}

static int run(struct topics_rig *rig, enum topics_op op, struct call *call)
{
    call->rig = rig;
    call->op = op;
    loops_tally_init(&call->done);
    loops_run_on(&rig->loops, 0, submit, call);
    assert_int_equal(call->posted, 0);
    assert_true(loops_tally_wait(&call->done, 1));
    loops_tally_destroy(&call->done);
    return call->request.status;
}

struct id topics_rig_id(const char *text)
{
    return id_derive(bytes_str("t"), bytes_str(text));
}

struct topics_append topics_rig_message(const struct topics_rig *rig, const char *topic, const char *text)
{
    return (struct topics_append){.app = bytes_str("app"),
                                  .topic = bytes_str(topic),
                                  .id = topics_rig_id(text),
                                  .message = buf_copy(bytes_str(text)),
                                  .expires_ms = rig->ms + TOPICS_RIG_DAY};
}

int topics_rig_append(struct topics_rig *rig, const struct topics_append *append, struct topics_appended *out)
{
    struct call call = {.request.in.append = *append, .into = out};
    return run(rig, TOPICS_APPEND, &call);
}

int topics_rig_send(struct topics_rig *rig, const char *topic, const char *text, uint64_t ttl_ms,
                    struct topics_appended *out)
{
    struct topics_append append = topics_rig_message(rig, topic, text);
    append.expires_ms = rig->ms + ttl_ms;
    int status = topics_rig_append(rig, &append, out);
    buf_unref(append.message);
    return status;
}

struct position topics_rig_put(struct topics_rig *rig, const char *topic, const char *text)
{
    struct topics_appended out;
    assert_int_equal(topics_rig_send(rig, topic, text, TOPICS_RIG_DAY, &out), 0);
    return out.position;
}

int topics_rig_fetch(struct topics_rig *rig, const char *topic, struct position at, uint32_t max_entries,
                     uint32_t max_bytes, struct topics_rig_page *out)
{
    struct call call = {.request.in.fetch = {.app = bytes_str("app"),
                                             .topic = bytes_str(topic),
                                             .position = at,
                                             .max_entries = max_entries,
                                             .max_bytes = max_bytes},
                        .into = out};
    return run(rig, TOPICS_FETCH, &call);
}

struct topics_rig_page topics_rig_read(struct topics_rig *rig, const char *topic, struct position at)
{
    struct topics_rig_page page;
    assert_int_equal(topics_rig_fetch(rig, topic, at, PEER_PAGE_MAX, PEER_PAGE_BYTES, &page), 0);
    return page;
}

int topics_rig_interest(struct topics_rig *rig, const char *topic, uint32_t node, uint64_t incarnation,
                        uint64_t lease_ms, struct position *head)
{
    struct call call = {.request.in.interest = {.app = bytes_str("app"),
                                                .topic = bytes_str(topic),
                                                .node = node,
                                                .incarnation = incarnation,
                                                .lease_ms = lease_ms}};
    int status = run(rig, TOPICS_INTEREST, &call);
    if (head != NULL)
        *head = call.request.out.head;
    return status;
}

static struct peer_target target(const char *device)
{
    return (struct peer_target){.app = bytes_str("app"), .user = bytes_str("u"), .device = bytes_str(device)};
}

int topics_rig_subscribe(struct topics_rig *rig, const char *device, const char *topic, struct position at,
                         struct topics_subscribed *out)
{
    struct call call = {.request.in.subscribe = {.device = target(device), .topic = bytes_str(topic), .position = at}};
    int status = run(rig, TOPICS_SUBSCRIBE, &call);
    *out = call.request.out.subscribed;
    return status;
}

struct topics_subscribed topics_rig_end(struct topics_rig *rig, const char *device, const char *topic)
{
    struct call call = {.request.in.unsubscribe = {.device = target(device), .topic = bytes_str(topic)}};
    assert_int_equal(run(rig, TOPICS_UNSUBSCRIBE, &call), 0);
    return call.request.out.subscribed;
}

uint64_t topics_rig_unsubscribe(struct topics_rig *rig, const char *device, const char *topic)
{
    return topics_rig_end(rig, device, topic).version;
}

struct topics_set topics_rig_set(struct topics_rig *rig, const char *device)
{
    struct topics_set set;
    struct call call = {.request.in.subscriptions = target(device), .into = &set};
    assert_int_equal(run(rig, TOPICS_SUBSCRIPTIONS, &call), 0);
    return set;
}

int topics_rig_check_all(struct topics_rig *rig, const char *const *devices, const uint64_t *versions, uint32_t count,
                         enum peer_verdict *verdicts)
{
    struct peer_checked checked = {.count = 0};
    struct bytebuf entries = {0};
    for (uint32_t i = 0; i < count; i++) {
        const struct peer_check check = {
            .target = target(devices[i]), .route = {.slot = i, .generation = 1}, .version = versions[i]};
        peer_check_put(&entries, &check);
        verdicts[i] = PEER_SAME;
    }
    struct call call = {.request.in.check = {.count = count, .entries = bytes_view(&entries)}, .into = &checked};
    int status = run(rig, TOPICS_CHECK, &call);
    for (uint32_t i = 0; i < checked.count; i++) {
        assert_true(i == 0 || checked.differing[i - 1].entry < checked.differing[i].entry);
        verdicts[checked.differing[i].entry] = (enum peer_verdict)checked.differing[i].verdict;
    }
    bytes_reset(&entries);
    return status;
}

enum peer_verdict topics_rig_check(struct topics_rig *rig, const char *device, uint64_t version)
{
    enum peer_verdict verdict;
    assert_int_equal(topics_rig_check_all(rig, &device, &version, 1, &verdict), 0);
    return verdict;
}

void topics_rig_group_open(struct topics_rig *rig, struct topics_rig_group *group, const char *topic, uint32_t every)
{
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++) {
        struct topics_subscribed out = {.version = PEER_FOLLOWS_NOTHING};
        (void)snprintf(group->names[i], sizeof group->names[i], "d%u", i);
        group->devices[i] = group->names[i];
        if (i % every == 0)
            assert_int_equal(topics_rig_subscribe(rig, group->names[i], topic, TOPICS_BEGIN, &out), 0);
        group->versions[i] = out.version;
    }
}

int topics_rig_group_check(struct topics_rig *rig, struct topics_rig_group *group, uint32_t count)
{
    return topics_rig_check_all(rig, group->devices, group->versions, count, group->verdicts);
}

static int run_on(const struct backend *backend, const char *group, struct CMUnitTest *tests, size_t count)
{
    struct topics_rig_subject subject = {.backend = backend};
    char name[64];
    if (backend->start != NULL)
        subject.servers = backend->start();
    snprintf(name, sizeof name, "%s on %s", group, backend->name);
    for (size_t i = 0; i < count; i++)
        tests[i].initial_state = &subject;
    int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    if (backend->stop != NULL)
        backend->stop(subject.servers);
    return failed;
}

int topics_rig_main_on(const char *backend, const char *group, const struct CMUnitTest *tests, size_t count)
{
    struct CMUnitTest *mine = object_alloc(count * sizeof *mine);
    int failed = 0;
    memcpy(mine, tests, count * sizeof *mine);
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (backend == NULL || strcmp(backend, backends[i].name) == 0)
            failed += run_on(&backends[i], group, mine, count);
    }
    free(mine);
    return failed;
}

int topics_rig_main(const char *group, const struct CMUnitTest *tests, size_t count)
{
    return topics_rig_main_on(NULL, group, tests, count);
}
