/* What bad peers do to a petreld, one after the other, and a good session that lives through all of it and never notices. */
#include "lib/until.h"
#include "system/device.h"
#include "system/raw.h"
#include "system/rig.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What the daemon may have grown by after all of it. What is kept of a slow reader's 1,000 messages, of a million headers, or a
 * few KiB for each of 10,000 connections would be more. */
#define GROWTH_MAX_KIB (16 * 1024)
#define CONNECTIONS 10000
#define HEADERS 1000000
#define CROWD 900 /* beyond session.max_unauthenticated_per_address */

struct bad {
    struct rig rig;
    struct device *good;
    struct bytebuf sent; /* to the good session */
    unsigned count;
    long rss_kib;               /* before all of it */
    long long http_connections; /* likewise: this test's own */
    char *token;                /* of the user "bad" */
};

static struct bad bad;

static long rss_kib(const struct rig *rig)
{
    char path[64];
    long pages = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)rig->daemon.pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    int got = fscanf(file, "%ld %ld", &pages, &resident);
    fclose(file);
    return got == 2 ? resident * (sysconf(_SC_PAGESIZE) / 1024) : 0;
}

/* One more message to the good session, and it has all of them, in order. */
static bool good_goes_on(void)
{
    char data[32];
    snprintf(data, sizeof data, "%u", bad.count++);
    bytes_printf(&bad.sent, "%s ", data);
    bytes_append(&bad.sent, "", 1);
    bad.sent.len--;
    return rig_send(&bad.rig, "good", data, "") == 200 && device_sees(&bad.rig, bad.good, (const char *)bad.sent.ptr) &&
           device_connects(bad.good) == 1;
}

/* A thousand messages of 1 KiB, ten batches, the good session served after each. */
static bool send_thousand(const char *user)
{
    struct bytebuf batch = {0};
    char filler[1024];
    bool sent = true;
    memset(filler, 'z', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    for (int i = 0; i < 1000 && sent; i++) {
        bytes_printf(&batch, "{\"to\":{\"user\":\"%s\"},\"data\":\"%d%s\"}\n", user, i, filler);
        if (i % 100 < 99)
            continue;
        bytes_append(&batch, "", 1);
        sent = rig_post(&bad.rig, (const char *)batch.ptr, "/v1/apps/shop/messages:batch") == 200 &&
               strstr(bad.rig.http.text, "error") == NULL && good_goes_on();
        batch.len = 0;
    }
    bytes_reset(&batch);
    return sent;
}

static int begin(void **state)
{
    static const char *const args[] = {"--loops",
                                       "2",
                                       "--session-connect-timeout",
                                       "300ms",
                                       "--api-request-timeout",
                                       "500ms",
                                       "--session-slow-timeout",
                                       "1s",
                                       "--inbox-recent-ids",
                                       "10000",
                                       NULL};
    (void)state;
    /* AddressSanitizer keeps what was freed for a while, and stacks beside the stack: that is no growth of the server's. */
    const char *options = getenv("ASAN_OPTIONS");
    char text[512];
    snprintf(text, sizeof text, "%s%squarantine_size_mb=1:detect_stack_use_after_return=0",
             options != NULL ? options : "", options != NULL ? ":" : "");
    setenv("ASAN_OPTIONS", text, 1);
    if (!rig_begin(&bad.rig, args))
        return -1;
    bad.token = rig_register(&bad.rig, "bad", "phone");
    bad.good = device_join(&bad.rig, "good", "phone");
    /* The same load for a user without devices comes first: caches fill once. */
    if (bad.token == NULL || bad.good == NULL || !good_goes_on() || !send_thousand("nobody"))
        return -1;
    bad.http_connections = rig_metric(&bad.rig, "petrel_http_connections");
    bad.rss_kib = rss_kib(&bad.rig);
    return bad.rss_kib > 0 ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    rig_end(&bad.rig);
    bytes_reset(&bad.sent);
    free(bad.token);
    return 0;
}

static int still_good(void **state)
{
    (void)state;
    return good_goes_on() ? 0 : -1;
}

static void open_session(struct raw *raw)
{
    assert_true(raw_open(raw, bad.rig.daemon.session, 0));
}

/* A CONNECT of the user "bad" as bytes. */
static void encode_connect(struct bytebuf *out)
{
    struct session_connect connect = {
        .version = SESSION_PROTOCOL_VERSION, .token = bytes_str(bad.token), .attempt = 1, .client = bytes_str("bad/1")};
    session_encode_connect(out, &connect);
}

static long long protocol_errors(void)
{
    return rig_metric(&bad.rig, "petrel_protocol_errors_total");
}

/* ---- the session port ---- */

static void garbage_is_refused(void **state)
{
    static const char *const first[] = {"\x7fgarbage", "\x16\x03\x01\x02", "post / HTTP/1.1\r\n\r\n", "\x10\x0c",
                                        "\xff"};
    (void)state;
    long long before = protocol_errors();
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        struct raw raw;
        open_session(&raw);
        assert_true(raw_write_text(&raw, first[i]));
        assert_true(raw_read_end(&raw));
        raw_close(&raw);
    }
    assert_true(protocol_errors() - before == sizeof first / sizeof first[0]);
}

static void an_oversize_frame_is_refused(void **state)
{
    static const uint8_t header[] = {SESSION_CONNECT, 0xff, 0xff, 0xff}, live[] = {SESSION_ACK, 0x01, 0x00, 0x01};
    struct raw raw;
    (void)state;
    open_session(&raw);
    assert_true(raw_write(&raw, bytes_of(header, sizeof header)));
    assert_int_equal(raw_error(&raw), SESSION_CODE_FRAME_TOO_LARGE);
    assert_true(raw_read_end(&raw));
    raw_close(&raw);

    open_session(&raw);
    assert_true(raw_connect(&raw, bad.token, 2, (struct position){0, 0}));
    assert_true(raw_write(&raw, bytes_of(live, sizeof live)));
    assert_int_equal(raw_error(&raw), SESSION_CODE_FRAME_TOO_LARGE);
    assert_true(raw_read_end(&raw));
    raw_close(&raw);
}

static void a_length_that_lies_is_no_wait(void **state)
{
    static const uint8_t lie[] = {SESSION_CONNECT, 0x00, 0x03, 0xe8, 0x08, 0x01};
    struct raw raw;
    (void)state;
    open_session(&raw);
    assert_true(raw_write(&raw, bytes_of(lie, sizeof lie)));
    raw_shut(&raw); /* there will be no more */
    assert_true(raw_read_end(&raw));
    raw_close(&raw);
}

/* With a length that tells of the cut, at every ninth offset. */
static void a_truncated_connect_is_refused(void **state)
{
    struct bytebuf whole = {0};
    (void)state;
    encode_connect(&whole);
    for (size_t len = 0; len + FRAME_HEADER_BYTES < whole.len - 12; len += 9) {
        struct raw raw;
        open_session(&raw);
        frame_header(whole.ptr, SESSION_CONNECT, (uint32_t)len);
        assert_true(raw_write(&raw, bytes_of(whole.ptr, FRAME_HEADER_BYTES + len)));
        uint32_t code = raw_error(&raw);
        if (code < 3500)
            fail_msg("cut to %zu bytes: %u", len, code);
        assert_true(raw_read_end(&raw));
        raw_close(&raw);
    }
    bytes_reset(&whole);
}

static void a_live_session_that_breaks_the_protocol_ends(void **state)
{
    struct bytebuf frames = {0};
    struct raw raw;
    (void)state;
    long long before = protocol_errors();
    open_session(&raw);
    assert_true(raw_connect(&raw, bad.token, 3, (struct position){0, 0}));
    encode_connect(&frames);
    assert_true(raw_write(&raw, bytes_view(&frames)));
    assert_int_equal(raw_error(&raw), SESSION_CODE_PROTOCOL_ERROR);
    raw_close(&raw);

    open_session(&raw);
    assert_true(raw_connect(&raw, bad.token, 4, (struct position){0, 0}));
    frames.len = 0;
    session_encode_ack(&frames, (struct position){UINT64_MAX, UINT64_MAX});
    assert_true(raw_write(&raw, bytes_view(&frames)));
    assert_int_equal(raw_error(&raw), SESSION_CODE_ACK_BEYOND);
    raw_close(&raw);

    open_session(&raw);
    assert_true(raw_connect(&raw, bad.token, 5, (struct position){0, 0}));
    assert_true(raw_write(&raw, bytes_of((const uint8_t[]){0x3f, 0, 0, 0}, 4)));
    assert_int_equal(raw_error(&raw), SESSION_CODE_UNKNOWN_TYPE);
    raw_close(&raw);
    bytes_reset(&frames);
    assert_true(protocol_errors() - before == 3);
}

/* ---- slowness ---- */

/* A byte now and a byte then, until something comes or ends. Whether it did before the bytes ran out. */
static bool drip(struct raw *raw, struct bytes bytes)
{
    struct pollfd wait = {.fd = raw->fd, .events = POLLIN};
    for (size_t i = 0; i < bytes.len; i++) {
        if (!raw_write(raw, bytes_of(bytes.ptr + i, 1)) || poll(&wait, 1, 20) > 0)
            return true;
    }
    return false;
}

static void a_slow_connect_runs_out_of_time(void **state)
{
    struct bytebuf connect = {0};
    struct raw raw;
    (void)state;
    encode_connect(&connect); /* over 200 bytes: over 4 s at this pace */
    open_session(&raw);
    assert_true(drip(&raw, bytes_view(&connect)));
    assert_int_equal(raw_error(&raw), SESSION_CODE_CONNECT_TIMEOUT);
    assert_true(raw_read_end(&raw));
    raw_close(&raw);

    open_session(&raw); /* and one that says nothing at all */
    assert_int_equal(raw_error(&raw), SESSION_CODE_CONNECT_TIMEOUT);
    assert_true(raw_read_end(&raw));
    raw_close(&raw);
    bytes_reset(&connect);
}

static void a_slow_request_runs_out_of_time(void **state)
{
    struct bytebuf request = {0};
    struct raw raw;
    (void)state;
    bytes_append_str(&request, "POST /v1/apps/shop/messages HTTP/1.1\r\nHost: petrel\r\n");
    for (int i = 0; i < 60; i++)
        bytes_printf(&request, "X-%d: y\r\n", i);
    assert_true(raw_open(&raw, bad.rig.daemon.api, 0));
    assert_true(drip(&raw, bytes_view(&request)));
    assert_true(raw_read_end(&raw));
    bytes_append(&raw.in, "", 1);
    assert_non_null(strstr((const char *)raw.in.ptr, "HTTP/1.1 408 "));
    raw_close(&raw);
    bytes_reset(&request);
}

static bool only_the_good_one(void *ctx)
{
    return rig_metric(ctx, "petrel_sessions") == 1 && rig_metric(ctx, "petrel_connections") == 1;
}

static void a_client_that_never_reads_is_left_behind(void **state)
{
    struct raw raw;
    (void)state;
    long long behind = rig_metric(&bad.rig, "petrel_sessions_behind_total");
    assert_true(raw_open(&raw, bad.rig.daemon.session, 4096));
    assert_true(raw_connect(&raw, bad.token, 6, (struct position){0, 0}));
    assert_true(send_thousand("bad"));
    assert_true(rig_metric(&bad.rig, "petrel_sessions_behind_total") > behind);
    assert_true(rig_until(&bad.rig, only_the_good_one, &bad.rig)); /* it is closed for taking nothing */
    raw_close(&raw);
}

/* ---- the send API ---- */

static void a_million_headers_are_refused(void **state)
{
    struct raw raw;
    struct bytebuf chunk = {0};
    (void)state;
    long long before = rig_metric(&bad.rig, "petrel_http_errors_4xx_total");
    assert_true(raw_open(&raw, bad.rig.daemon.api, 0));
    struct pollfd answer = {.fd = raw.fd, .events = POLLIN};
    bool open = raw_write_text(&raw, "GET /healthz HTTP/1.1\r\nHost: petrel\r\n");
    int headers = 0;
    while (open && headers < HEADERS && poll(&answer, 1, 0) == 0) {
        chunk.len = 0;
        for (int i = 0; i < 100; i++)
            bytes_printf(&chunk, "X-Header-%d: value\r\n", headers++);
        open = raw_write(&raw, bytes_view(&chunk));
    }
    assert_true(headers < HEADERS); /* it did not wait for all of them */
    assert_true(raw_read_end(&raw));
    raw_close(&raw);
    bytes_reset(&chunk);
    assert_true(rig_metric(&bad.rig, "petrel_http_errors_4xx_total") == before + 1);
}

/* ---- numbers ---- */

static bool only_ours_at_the_api(void *ctx)
{
    return rig_metric(ctx, "petrel_http_connections") == bad.http_connections;
}

static void connections_that_come_and_go_leave_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < CONNECTIONS; i++) {
        struct raw raw;
        bool api = i % 4 == 3;
        assert_true(raw_open(&raw, api ? bad.rig.daemon.api : bad.rig.daemon.session, 0));
        if (i % 3 > 0)
            raw_write_text(&raw, api ? "GET /healthz HT" : "\x01\x00\x01");
        if (i % 2 == 0)
            raw_reset(&raw);
        else
            raw_close(&raw);
    }
    assert_true(rig_until(&bad.rig, only_the_good_one, &bad.rig));
    assert_true(rig_until(&bad.rig, only_ours_at_the_api, &bad.rig));
}

/* Sockets that say nothing, more than one address may have: the rest is sent away, and when their time is over there is room. */
static void a_crowd_is_bounded(void **state)
{
    static struct raw crowd[CROWD];
    size_t told = 0, late = 0;
    (void)state;
    for (size_t i = 0; i < CROWD; i++)
        open_session(&crowd[i]);
    for (size_t i = 0; i < CROWD; i++) {
        uint32_t code = raw_error(&crowd[i]);
        told += code == SESSION_CODE_OVERLOADED;
        late += code == SESSION_CODE_CONNECT_TIMEOUT;
        raw_close(&crowd[i]);
    }
    assert_true(told > 0);
    assert_true(late > 0);
    assert_true(rig_until(&bad.rig, only_the_good_one, &bad.rig));
    struct raw raw;
    open_session(&raw);
    assert_true(raw_connect(&raw, bad.token, 7, (struct position){0, 0}));
    raw_close(&raw);
}

/* ---- afterwards ---- */

static void the_server_is_as_it_was(void **state)
{
    (void)state;
    assert_true(rig_until(&bad.rig, only_the_good_one, &bad.rig));
    long grown = rss_kib(&bad.rig) - bad.rss_kib;
    print_message("grown by %ld KiB, of %ld\n", grown, bad.rss_kib);
    assert_true(grown < GROWTH_MAX_KIB);
    assert_true(device_gaps(bad.good) == 0);
    assert_int_equal(device_count(bad.good), bad.count);
    /* It ends in order, and a leak is an error of its own where sanitizers are. */
    assert_true(device_leave(&bad.rig, bad.good));
    assert_true(daemon_stop(&bad.rig.daemon, SIGTERM, RIG_WAIT_MS));
    assert_int_equal(bad.rig.daemon.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(garbage_is_refused, still_good),
        cmocka_unit_test_teardown(an_oversize_frame_is_refused, still_good),
        cmocka_unit_test_teardown(a_length_that_lies_is_no_wait, still_good),
        cmocka_unit_test_teardown(a_truncated_connect_is_refused, still_good),
        cmocka_unit_test_teardown(a_live_session_that_breaks_the_protocol_ends, still_good),
        cmocka_unit_test_teardown(a_slow_connect_runs_out_of_time, still_good),
        cmocka_unit_test_teardown(a_slow_request_runs_out_of_time, still_good),
        cmocka_unit_test_teardown(a_client_that_never_reads_is_left_behind, still_good),
        cmocka_unit_test_teardown(a_million_headers_are_refused, still_good),
        cmocka_unit_test_teardown(connections_that_come_and_go_leave_nothing, still_good),
        cmocka_unit_test_teardown(a_crowd_is_bounded, still_good),
        cmocka_unit_test(the_server_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
