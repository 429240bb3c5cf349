#include "contract/store_rig.h"
#include "contract/store_rig_redis.h"

#include "loop/mailbox.h"
#include "store/store_sqlite.h"
#include "wire/peer_check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define APP "app"

struct call {
    struct store_rig *rig;
    enum store_op op;
    struct store_request *request;
    void *into;
    int posted;
    struct loops_tally done;
};

static int open_sqlite(struct store_rig *rig)
{
    const struct store_sqlite_config config = {
        .path = rig->path,
        .clock = &rig->clock.clock,
        .limits = rig->options.limits,
        .metrics = metrics_shard(rig->metrics, 0),
        .checkpoint_bytes = rig->options.checkpoint_bytes,
        .memory_bytes = rig->options.memory_bytes,
        .min_free_bytes = rig->options.min_free_bytes,
        .restored = rig->options.restored,
    };
    return store_sqlite_open(&rig->store, &config);
}

static const struct store_rig_backend backends[] = {
    {.name = "sqlite", .open = open_sqlite},
    {.name = "redis",
     .keeps_routes = true,
     .start = store_rig_redis_start,
     .clear = store_rig_redis_clear,
     .stop = store_rig_redis_stop,
     .open = store_rig_redis_open},
    {.name = "redis-cluster",
     .keeps_routes = true,
     .start = store_rig_redis_start_cluster,
     .clear = store_rig_redis_clear,
     .stop = store_rig_redis_stop,
     .open = store_rig_redis_open},
};

static uint64_t read_clock(const struct clock *clock)
{
    return container_of(clock, const struct store_rig_clock, clock)->ms;
}

struct store_rig_options store_rig_options(void)
{
    return (struct store_rig_options){.limits = store_limits_default(), .loops = 1, .min_free_bytes = 1};
}

void store_rig_prepare(struct store_rig *rig, const void *subject, const struct store_rig_options *options)
{
    memset(rig, 0, sizeof *rig);
    rig->subject = subject;
    if (rig->subject->backend->clear != NULL)
        rig->subject->backend->clear(rig->subject->servers);
    rig->options = options != NULL ? *options : store_rig_options();
    rig->clock.clock = (struct clock){.mono_ms = read_clock, .wall_ms = read_clock};
    rig->clock.ms = STORE_RIG_T0;
    rig->metrics = metrics_new(rig->options.loops);
    snprintf(rig->folder, sizeof rig->folder, "/tmp/petrel-store-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->path, sizeof rig->path, "%s/store.db", rig->folder);
}

void store_rig_start(struct store_rig *rig)
{
    loops_open(&rig->loops, rig->options.loops);
    loops_start(&rig->loops);
    /* Not an assertion of cmocka's: a forked child starts it too. */
    int err = rig->subject->backend->open(rig);
    petrel_assert(err == 0);
}

void store_rig_stop(struct store_rig *rig)
{
    store_close(&rig->store);
    loops_stop(&rig->loops);
    loops_free(&rig->loops);
}

void store_rig_open(struct store_rig *rig, const void *subject, const struct store_rig_options *options)
{
    store_rig_prepare(rig, subject, options);
    store_rig_start(rig);
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    closedir(dir);
    assert_int_equal(rmdir(folder), 0);
}

void store_rig_close(struct store_rig *rig)
{
    if (rig->store != NULL)
        store_rig_stop(rig);
    for (size_t i = 0; i < rig->kept_count; i++)
        buf_unref(rig->kept[i]);
    free(rig->kept);
    metrics_free(&rig->metrics);
    remove_folder(rig->folder);
}

uint64_t store_rig_file_bytes(const struct store_rig *rig)
{
    uint64_t bytes = 0;
    DIR *dir = opendir(rig->folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", rig->folder, entry->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    }
    closedir(dir);
    return bytes;
}

void store_rig_reopen(struct store_rig *rig)
{
    store_close(&rig->store);
    assert_int_equal(rig->subject->backend->open(rig), 0);
}

void store_rig_advance(struct store_rig *rig, uint64_t ms)
{
    rig->clock.ms += ms;
}

static void keep(struct store_rig *rig, struct buf *buf)
{
    rig->kept = object_realloc(rig->kept, (rig->kept_count + 1) * sizeof *rig->kept);
    rig->kept[rig->kept_count++] = buf;
}

/* Only on the answering loop while the test's thread waits, so the rig is not shared. */
static void keep_page(struct store_rig *rig, const struct peer_page *page)
{
    for (uint32_t i = 0; i < page->count; i++)
        keep(rig, buf_ref(page->entries[i].message));
}

static void copy_lent(struct call *call)
{
    const struct store_request *request = call->request;
    switch (call->op) {
    case STORE_BIND:
        keep_page(call->rig, &request->out.bound->page);
        memcpy(call->into, request->out.bound, sizeof *request->out.bound);
        return;
    case STORE_FETCH:
        keep_page(call->rig, request->out.page);
        memcpy(call->into, request->out.page, sizeof *request->out.page);
        return;
    case STORE_CHECK:
        memcpy(call->into, request->out.checked, sizeof *request->out.checked);
        return;
    case STORE_MESSAGE_STATE:
        memcpy(call->into, request->out.stated, sizeof *request->out.stated);
        return;
    case STORE_USER:
        memcpy(call->into, request->out.user, sizeof *request->out.user);
        return;
    default:
        return;
    }
}

/* The request is found through its context: tests that wait need no more. */
struct waiting {
    struct store_request request;
    struct call *call;
};

static void on_done(struct store_request *request)
{
    struct call *call = container_of(request, struct waiting, request)->call;
    if (request->status == 0 && call->into != NULL)
        copy_lent(call);
    loops_tally_add(&call->done, 1);
}

static void submit(void *ctx)
{
    struct call *call = ctx;
    call->posted = store_submit(call->rig->store, call->op, call->request, call->rig->loops.loops[0], on_done);
}

int store_rig_run(struct store_rig *rig, enum store_op op, struct store_request *request, void *into)
{
    struct waiting waiting = {.request = *request};
    struct call call = {.rig = rig, .op = op, .request = &waiting.request, .into = into};
    waiting.call = &call;
    loops_tally_init(&call.done);
    loops_run_on(&rig->loops, 0, submit, &call);
    assert_int_equal(call.posted, 0);
    assert_true(loops_tally_wait(&call.done, 1));
    loops_tally_destroy(&call.done);
    *request = waiting.request;
    return request->status;
}

struct peer_target store_rig_target(const char *user, const char *device)
{
    return (struct peer_target){.app = bytes_str(APP), .user = bytes_str(user), .device = bytes_str(device)};
}

struct route store_rig_route(uint32_t slot)
{
    return (struct route){.incarnation = 1, .node = 1, .slot = slot, .generation = 1};
}

struct id store_rig_id(const char *text)
{
    return id_derive(bytes_str("test"), bytes_str(text));
}

struct peer_send store_rig_send(struct store_rig *rig, const char *user, const char *text)
{
    struct peer_send send = {
        .target = store_rig_target(user, NULL),
        .id = store_rig_id(text),
        .message = buf_copy(bytes_str(text)),
        .priority = PEER_PRIORITY_NORMAL,
        .sent_ms = rig->clock.ms,
        .expires_ms = rig->clock.ms + STORE_RIG_DAY,
    };
    keep(rig, send.message);
    return send;
}

int store_rig_append(struct store_rig *rig, const struct peer_send *send, struct store_append_out *out)
{
    struct store_request request = {.in.append = *send};
    int status = store_rig_run(rig, STORE_APPEND, &request, NULL);
    if (out != NULL)
        *out = request.out.append;
    return status;
}

uint64_t store_rig_put(struct store_rig *rig, const char *user, const char *text)
{
    struct peer_send send = store_rig_send(rig, user, text);
    struct store_append_out out;
    assert_int_equal(store_rig_append(rig, &send, &out), 0);
    return out.sent.position.seq;
}

int store_rig_bind(struct store_rig *rig, const char *user, const char *device, uint64_t attempt, struct position at,
                   struct peer_bound *bound)
{
    struct store_request request = {.in.bind = {.target = store_rig_target(user, device),
                                                .attempt = attempt,
                                                .token_issued_ms = rig->clock.ms,
                                                .position = at,
                                                .route = store_rig_route((uint32_t)attempt),
                                                .max_entries = PEER_PAGE_MAX,
                                                .max_bytes = PEER_PAGE_BYTES}};
    return store_rig_run(rig, STORE_BIND, &request, bound);
}

struct peer_bound store_rig_bound(struct store_rig *rig, const char *user, const char *device, uint64_t attempt)
{
    struct peer_bound bound;
    assert_int_equal(store_rig_bind(rig, user, device, attempt, (struct position){0, 0}, &bound), 0);
    return bound;
}

void store_rig_unbind(struct store_rig *rig, const char *user, const char *device, uint64_t attempt)
{
    struct store_request request = {
        .in.unbind = {.target = store_rig_target(user, device), .route = store_rig_route((uint32_t)attempt)}};
    assert_int_equal(store_rig_run(rig, STORE_UNBIND, &request, NULL), 0);
}

int store_rig_enrol(struct store_rig *rig, const char *user, const char *device)
{
    struct store_request request = {.in.enrol = store_rig_target(user, device)};
    return store_rig_run(rig, STORE_ENROL, &request, NULL);
}

int store_rig_remove(struct store_rig *rig, const char *user, const char *device, uint64_t revoked_ms)
{
    struct store_request request = {.in.remove = {.target = store_rig_target(user, device), .revoked_ms = revoked_ms}};
    return store_rig_run(rig, STORE_REMOVE, &request, NULL);
}

int store_rig_fetch(struct store_rig *rig, const char *user, const char *device, struct position at, uint64_t told,
                    struct peer_page *page)
{
    struct store_request request = {.in.fetch = {.target = store_rig_target(user, device),
                                                 .position = at,
                                                 .told_floor = told,
                                                 .max_entries = PEER_PAGE_MAX,
                                                 .max_bytes = PEER_PAGE_BYTES}};
    return store_rig_run(rig, STORE_FETCH, &request, page);
}

int store_rig_ack(struct store_rig *rig, const char *user, const char *device, struct position at)
{
    struct store_request request = {.in.ack = {.target = store_rig_target(user, device), .position = at}};
    return store_rig_run(rig, STORE_ACK, &request, NULL);
}

int store_rig_check_all(struct store_rig *rig, const struct peer_check *checks, uint32_t count,
                        enum peer_verdict *verdicts)
{
    struct bytebuf entries = {0};
    struct peer_checked checked;
    for (uint32_t i = 0; i < count; i++) {
        peer_check_put(&entries, &checks[i]);
        verdicts[i] = PEER_SAME;
    }
    struct store_request request = {
        .in.check = {.route = checks[0].route, .count = count, .entries = bytes_view(&entries)}};
    int status = store_rig_run(rig, STORE_CHECK, &request, &checked);
    bytes_reset(&entries);
    for (uint32_t i = 0; status == 0 && i < checked.count; i++) {
        assert_true(checked.differing[i].entry < count);
        assert_true(i == 0 || checked.differing[i - 1].entry < checked.differing[i].entry);
        verdicts[checked.differing[i].entry] = (enum peer_verdict)checked.differing[i].verdict;
    }
    return status;
}

enum peer_verdict store_rig_check(struct store_rig *rig, const char *user, const char *device, uint64_t attempt,
                                  struct position at)
{
    struct peer_check check = {
        .target = store_rig_target(user, device), .position = at, .route = store_rig_route((uint32_t)attempt)};
    enum peer_verdict verdict;
    assert_int_equal(store_rig_check_all(rig, &check, 1, &verdict), 0);
    return verdict;
}

int store_rig_recall(struct store_rig *rig, const char *user, const char *text)
{
    struct store_request request = {.in.recall = {.target = store_rig_target(user, NULL), .id = store_rig_id(text)}};
    return store_rig_run(rig, STORE_RECALL, &request, NULL);
}

enum peer_state store_rig_state(struct store_rig *rig, const char *user, const char *text)
{
    struct store_request request = {
        .in.message_state = {.target = store_rig_target(user, NULL), .id = store_rig_id(text)}};
    struct peer_stated stated;
    int status = store_rig_run(rig, STORE_MESSAGE_STATE, &request, &stated);
    assert_true(status == 0 || status == PETREL_E_NOT_FOUND);
    return status == 0 ? stated.state : PEER_STATE_UNKNOWN;
}

int store_rig_user(struct store_rig *rig, const char *user, struct peer_user *into)
{
    struct store_request request = {.in.user = store_rig_target(user, NULL)};
    return store_rig_run(rig, STORE_USER, &request, into);
}

void store_rig_expect(const struct peer_page *page, const char *texts)
{
    char found[8192] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < page->count; i++) {
        struct bytes text = buf_bytes(page->entries[i].message);
        len += (size_t)snprintf(found + len, sizeof found - len, "%s%.*s", i > 0 ? " " : "", (int)text.len,
                                (const char *)text.ptr);
    }
    assert_string_equal(found, texts);
}

static int run_on(const struct store_rig_backend *backend, const char *group, struct CMUnitTest *tests, size_t count)
{
    struct store_rig_subject subject = {.backend = backend};
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

int store_rig_main_on(const char *backend, const char *group, const struct CMUnitTest *tests, size_t count)
{
    struct CMUnitTest *mine = calloc(count, sizeof *mine);
    int failed = 0;
    petrel_assert(mine != NULL);
    memcpy(mine, tests, count * sizeof *mine);
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (backend == NULL || strcmp(backend, backends[i].name) == 0)
            failed += run_on(&backends[i], group, mine, count);
    }
    free(mine);
    return failed;
}

int store_rig_main(const char *group, const struct CMUnitTest *tests, size_t count)
{
    return store_rig_main_on(NULL, group, tests, count);
}
