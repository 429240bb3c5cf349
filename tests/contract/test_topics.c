/* The contract of topics.h, against every implementation. To hold another one to it: one more row in `backends`. */
#include "base/clock.h"
#include "base/err.h"
#include "base/object.h"
#include "contract/loops.h"
#include "store/topics_sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define T0 1800000000000ULL
#define DAY 86400000ULL
#define CAP_ENTRIES 4
#define CAP_BYTES 40

struct rig {
    const struct backend *backend;
    struct clock clock;
    _Atomic uint64_t ms;
    struct loops loops;
    struct topics *topics;
    bool restored;
    char folder[64];
    char path[96];
};

struct backend {
    const char *name;
    int (*open)(struct rig *rig);
};

static int open_sqlite(struct rig *rig)
{
    const struct topics_sqlite_config config = {.path = rig->path,
                                                .clock = &rig->clock,
                                                .cap_entries = CAP_ENTRIES,
                                                .cap_bytes = CAP_BYTES,
                                                .restored = rig->restored};
    return topics_sqlite_open(&rig->topics, &config);
}

static const struct backend backends[] = {{"sqlite", open_sqlite}};

static uint64_t read_clock(const struct clock *clock)
{
    return container_of(clock, const struct rig, clock)->ms;
}

static void rig_open(struct rig *rig, const void *backend)
{
    memset(rig, 0, sizeof *rig);
    rig->backend = backend;
    rig->clock = (struct clock){.mono_ms = read_clock, .wall_ms = read_clock};
    rig->ms = T0;
    snprintf(rig->folder, sizeof rig->folder, "/tmp/petrel-topics-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->path, sizeof rig->path, "%s/topics.db", rig->folder);
    loops_open(&rig->loops, 1);
    loops_start(&rig->loops);
    assert_int_equal(rig->backend->open(rig), 0);
}

static void rig_reopen(struct rig *rig)
{
    topics_close(&rig->topics);
    assert_int_equal(rig->backend->open(rig), 0);
}

static void rig_close(struct rig *rig)
{
    topics_close(&rig->topics);
    loops_stop(&rig->loops);
    loops_free(&rig->loops);
    unlink(rig->path);
    assert_int_equal(rmdir(rig->folder), 0);
}

/* What a page held, as text. */
struct page {
    struct peer_page page;
    char texts[256];
};

struct call {
    struct topics_request request;
    struct rig *rig;
    enum topics_op op;
    int posted;
    struct topics_appended appended;
    struct page page;
    struct loops_tally done;
};

static void copy_page(struct page *to, const struct peer_page *from)
{
    size_t len = 0;
    to->page = *from;
    to->texts[0] = '\0';
    for (uint32_t i = 0; i < from->count; i++) {
        struct bytes text = buf_bytes(from->entries[i].message);
        len += (size_t)snprintf(to->texts + len, sizeof to->texts - len, "%s%.*s", i > 0 ? " " : "", (int)text.len,
                                (const char *)text.ptr);
    }
}

static void on_done(struct topics_request *request)
{
    struct call *call = container_of(request, struct call, request);
    if (request->status == 0 && call->op == TOPICS_APPEND)
        call->appended = *request->out.appended;
    if (request->status == 0 && call->op == TOPICS_FETCH)
        copy_page(&call->page, request->out.page);
    loops_tally_add(&call->done, 1);
}

static void submit(void *ctx)
{
    struct call *call = ctx;
    call->posted = topics_submit(call->rig->topics, call->op, &call->request, call->rig->loops.loops[0], on_done);
}

static int run(struct rig *rig, enum topics_op op, struct call *call)
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

static int append(struct rig *rig, const char *topic, const char *text, uint64_t ttl_ms, struct topics_appended *out)
{
    struct buf *message = buf_copy(bytes_str(text));
    struct call call = {.request.in.append = {.app = bytes_str("app"),
                                              .topic = bytes_str(topic),
                                              .id = id_derive(bytes_str("t"), bytes_str(text)),
                                              .message = message,
                                              .expires_ms = rig->ms + ttl_ms}};
    int status = run(rig, TOPICS_APPEND, &call);
    buf_unref(message);
    *out = call.appended;
    return status;
}

static struct position put(struct rig *rig, const char *topic, const char *text)
{
    struct topics_appended out;
    assert_int_equal(append(rig, topic, text, DAY, &out), 0);
    return out.position;
}

static int fetch(struct rig *rig, const char *topic, struct position at, struct page *out)
{
    struct call call = {.request.in.fetch = {.app = bytes_str("app"),
                                             .topic = bytes_str(topic),
                                             .position = at,
                                             .max_entries = PEER_PAGE_MAX,
                                             .max_bytes = PEER_PAGE_BYTES}};
    int status = run(rig, TOPICS_FETCH, &call);
    *out = call.page;
    return status;
}

static int interest(struct rig *rig, const char *topic, uint32_t node, uint64_t incarnation, uint64_t lease_ms)
{
    struct call call = {.request.in.interest = {.app = bytes_str("app"),
                                                .topic = bytes_str(topic),
                                                .node = node,
                                                .incarnation = incarnation,
                                                .lease_ms = lease_ms}};
    return run(rig, TOPICS_INTEREST, &call);
}

static int subscribe(struct rig *rig, enum topics_op op, const char *device, const char *topic,
                     struct topics_subscribed *out)
{
    struct call call = {.request.in.subscribe = {
                            .device = {.app = bytes_str("app"), .user = bytes_str("u"), .device = bytes_str(device)},
                            .topic = bytes_str(topic)}};
    int status = run(rig, op, &call);
    *out = call.request.out.subscribed;
    return status;
}

static void a_log_is_appended_and_read(void **state)
{
    struct rig rig;
    struct page page;
    struct topics_appended out;
    rig_open(&rig, *state);
    assert_int_equal(fetch(&rig, "news", (struct position){0, 0}, &page), PETREL_E_NOT_FOUND);
    assert_int_equal(append(&rig, "news", "n1", DAY, &out), 0);
    assert_int_equal(out.position.seq, out.prev + 1);
    assert_int_equal(out.nodes_count, 0);
    struct position n1 = out.position;
    assert_int_equal(append(&rig, "news", "n2", DAY, &out), 0);
    assert_int_equal(out.prev, n1.seq);
    assert_int_equal(append(&rig, "news", "n1", DAY, &out), 0);
    assert_true(out.duplicate);
    assert_int_equal(out.position.seq, n1.seq);
    put(&rig, "other", "o1");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fetch(&rig, "news", (struct position){n1.epoch, n1.seq - 1}, &page), 0);
        assert_string_equal(page.texts, "n1 n2");
        assert_int_equal(page.page.upto, n1.seq + 1);
        assert_int_equal(page.page.head, n1.seq + 1);
        assert_int_equal(page.page.gap.reason, SESSION_GAP_NONE);
        rig_reopen(&rig);
    }
    assert_int_equal(fetch(&rig, "news", n1, &page), 0);
    assert_string_equal(page.texts, "n2");
    assert_int_equal(fetch(&rig, "news", (struct position){0, 0}, &page), 0);
    assert_string_equal(page.texts, "");
    assert_int_equal(append(&rig, "no spaces", "x", DAY, &out), PETREL_E_INVALID);
    rig_close(&rig);
}

static void logs_are_trimmed_by_ttl_and_cap(void **state)
{
    struct rig rig;
    struct page page;
    struct topics_appended out;
    rig_open(&rig, *state);
    assert_int_equal(append(&rig, "news", "short", 1000, &out), 0);
    struct position begin = {out.position.epoch, out.prev};
    put(&rig, "news", "m1");
    rig.ms += 1000;
    assert_int_equal(fetch(&rig, "news", begin, &page), 0);
    assert_string_equal(page.texts, "m1");
    assert_int_equal(page.page.gap.reason, SESSION_GAP_NONE);
    put(&rig, "news", "m2");
    put(&rig, "news", "m3");
    put(&rig, "news", "m4");
    assert_int_equal(fetch(&rig, "news", begin, &page), 0);
    assert_string_equal(page.texts, "m1 m2 m3 m4");
    put(&rig, "news", "m5");
    assert_int_equal(fetch(&rig, "news", begin, &page), 0);
    assert_string_equal(page.texts, "m2 m3 m4 m5");
    assert_int_equal(page.page.gap.reason, SESSION_GAP_TRIMMED);
    assert_int_equal(page.page.gap.from, begin.seq);
    assert_int_equal(page.page.gap.to, begin.seq + 2);
    assert_int_equal(page.page.gap.lost_at_most, 2);
    put(&rig, "news", "thirty-bytes-thirty-bytes-3030");
    assert_int_equal(fetch(&rig, "news", (struct position){begin.epoch, begin.seq + 2}, &page), 0);
    assert_string_equal(page.texts, "m3 m4 m5 thirty-bytes-thirty-bytes-3030");
    /* What has expired takes no room: nothing is dropped, and told of, for it. */
    struct position gone = {begin.epoch, begin.seq + 7};
    rig.ms += 2 * DAY;
    put(&rig, "news", "fresh");
    assert_int_equal(fetch(&rig, "news", gone, &page), 0);
    assert_string_equal(page.texts, "fresh");
    assert_int_equal(fetch(&rig, "news", (struct position){begin.epoch, begin.seq + 3}, &page), 0);
    assert_int_equal(page.page.gap.reason, SESSION_GAP_NONE);
    assert_int_equal(append(&rig, "news", "this-one-is-longer-than-the-cap-of-forty-bytes", DAY, &out),
                     PETREL_E_TOO_LARGE);
    rig_close(&rig);
}

static void a_restored_log_begins_an_epoch(void **state)
{
    struct rig rig;
    struct page page;
    rig_open(&rig, *state);
    struct position m1 = put(&rig, "news", "m1");
    rig.restored = true;
    rig_reopen(&rig);
    struct position m2 = put(&rig, "news", "m2");
    assert_true(m2.epoch > m1.epoch);
    assert_int_equal(m2.seq, m1.seq + 1);
    assert_int_equal(fetch(&rig, "news", m1, &page), 0);
    assert_string_equal(page.texts, "m2");
    assert_int_equal(page.page.gap.reason, SESSION_GAP_NONE);
    assert_int_equal(fetch(&rig, "news", (struct position){m1.epoch, m1.seq + 3}, &page), 0);
    assert_string_equal(page.texts, "m2");
    assert_int_equal(page.page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.page.gap.to, m1.seq);
    assert_int_equal(page.page.gap.lost_at_most, 3);
    assert_int_equal(fetch(&rig, "news", (struct position){m2.epoch, m2.seq + 9}, &page), 0);
    assert_int_equal(page.page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.page.gap.to, m2.seq);
    rig_close(&rig);
}

static void appends_name_the_interested_nodes(void **state)
{
    struct rig rig;
    struct topics_appended out;
    rig_open(&rig, *state);
    assert_int_equal(interest(&rig, "news", 1, 5, 60000), PETREL_E_NOT_FOUND);
    put(&rig, "news", "m1");
    assert_int_equal(interest(&rig, "news", 1, 5, 60000), 0);
    assert_int_equal(interest(&rig, "news", 2, 5, 30000), 0);
    assert_int_equal(append(&rig, "news", "m2", DAY, &out), 0);
    assert_int_equal(out.nodes_count, 2);
    assert_int_equal(out.nodes[0] + out.nodes[1], 3);
    assert_int_equal(interest(&rig, "news", 1, 4, 60000), PETREL_E_STALE);
    rig.ms += 30000;
    assert_int_equal(append(&rig, "news", "m3", DAY, &out), 0);
    assert_int_equal(out.nodes_count, 1);
    assert_int_equal(out.nodes[0], 1);
    assert_int_equal(interest(&rig, "news", 1, 6, 0), 0);
    assert_int_equal(append(&rig, "news", "m4", DAY, &out), 0);
    assert_int_equal(out.nodes_count, 0);
    for (uint32_t node = 1; node <= TOPICS_NODES_MAX; node++)
        assert_int_equal(interest(&rig, "news", node, 1, 60000), 0);
    assert_int_equal(interest(&rig, "news", TOPICS_NODES_MAX + 1, 1, 60000), PETREL_E_TOO_LARGE);
    rig_close(&rig);
}

static void subscriptions_begin_at_the_head_and_count_versions(void **state)
{
    struct rig rig;
    struct topics_subscribed first, again;
    rig_open(&rig, *state);
    struct position m1 = put(&rig, "news", "m1");
    assert_int_equal(subscribe(&rig, TOPICS_SUBSCRIBE, "d", "news", &first), 0);
    assert_int_equal(first.position.epoch, m1.epoch);
    assert_int_equal(first.position.seq, m1.seq);
    assert_int_equal(first.version, 1);
    put(&rig, "news", "m2");
    rig_reopen(&rig);
    assert_int_equal(subscribe(&rig, TOPICS_SUBSCRIBE, "d", "news", &again), 0);
    assert_int_equal(again.position.seq, m1.seq);
    assert_int_equal(again.version, 1);
    assert_int_equal(subscribe(&rig, TOPICS_SUBSCRIBE, "e", "news", &again), 0);
    assert_int_equal(again.position.seq, m1.seq + 1);
    assert_int_equal(again.version, 1);
    assert_int_equal(subscribe(&rig, TOPICS_UNSUBSCRIBE, "d", "news", &again), 0);
    assert_int_equal(again.version, 2);
    assert_int_equal(subscribe(&rig, TOPICS_UNSUBSCRIBE, "d", "news", &again), 0);
    assert_int_equal(again.version, 2);
    for (int i = 0; i < TOPICS_PER_DEVICE_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "topic-%d", i);
        assert_int_equal(subscribe(&rig, TOPICS_SUBSCRIBE, "d", name, &again), 0);
    }
    assert_int_equal(again.version, 2 + TOPICS_PER_DEVICE_MAX);
    assert_int_equal(subscribe(&rig, TOPICS_SUBSCRIBE, "d", "one-more", &again), PETREL_E_TOO_LARGE);
    rig_close(&rig);
}

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        void *backend = (void *)&backends[i];
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(a_log_is_appended_and_read, backend),
            cmocka_unit_test_prestate(logs_are_trimmed_by_ttl_and_cap, backend),
            cmocka_unit_test_prestate(a_restored_log_begins_an_epoch, backend),
            cmocka_unit_test_prestate(appends_name_the_interested_nodes, backend),
            cmocka_unit_test_prestate(subscriptions_begin_at_the_head_and_count_versions, backend),
        };
        failed += cmocka_run_group_tests_name(backends[i].name, tests, NULL, NULL);
    }
    return failed;
}
