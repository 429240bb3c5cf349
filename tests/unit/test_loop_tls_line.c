/* The line before TLS handshakes: who stands in it, for how long, and who does not. */
#include "base/err.h"
#include "unit/stream_rig.h"
#include "unit/tls_peer.h"
#include "unit/tls_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define HELLO_MAX 2048
#define FOREVER_MS 600000U

struct line {
    struct tls_site site;
    struct stream_rig rig;
    struct tls_limits limits;
    struct tls_counts counts;
    uint32_t wait_ms;
    uint8_t hello[HELLO_MAX];
    size_t hello_size;
};

static void set_limits(void *arg)
{
    struct line *line = arg;
    tls_loop_limit(line->rig.loop.loop, &line->limits, NULL);
}

static void look(void *arg)
{
    struct line *line = arg;
    tls_loop_counts(line->rig.loop.loop, &line->counts);
    line->wait_ms = tls_loop_wait_ms(line->rig.loop.loop);
}

static void limit(struct line *line, struct tls_limits limits)
{
    line->limits = limits;
    loop_rig_call(&line->rig.loop, set_limits, line);
}

static const struct tls_counts *counts_of(struct line *line)
{
    loop_rig_turns(&line->rig.loop);
    loop_rig_call(&line->rig.loop, look, line);
    return &line->counts;
}

/* Connect and say that much of a hello; it is in the server's hands when this returns. */
static int begin(struct line *line, size_t bytes)
{
    const int before = loop_rig_read(&line->rig.loop, &line->rig.accepted);
    int fd = loop_rig_connect(line->rig.port);
    if (bytes > 0)
        assert_int_equal(send(fd, line->hello, bytes, 0), bytes);
    loop_rig_wait(&line->rig.loop, &line->rig.accepted, before + 1);
    return fd;
}

static bool has_an_answer(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK) == 1;
}

static bool shakes_hands(struct line *line)
{
    struct tls_peer peer;
    struct tls_peer_config config = {.port = line->rig.port, .host = "push.test", .ca = line->site.files.ca};
    const bool done = tls_peer_connect(&peer, &config);
    tls_peer_close(&peer);
    return done;
}

/* ---- the tests ---- */

static void who_has_said_nothing_whole_keeps_nobody_out(void **state)
{
    struct line *line = *state;
    limit(line, (struct tls_limits){.handshakes = 1, .wait_ms = FOREVER_MS});
    int silent[4];
    for (int i = 0; i < 4; i++)
        silent[i] = begin(line, (size_t)i * 4); /* nothing; part of a header; a header and more */
    assert_true(shakes_hands(line));
    loop_rig_wait(&line->rig.loop, &line->rig.turns, 1);
    assert_int_equal(counts_of(line)->handshaking + line->counts.waiting, 0);
    assert_int_equal(line->counts.full, 1);
    /* What is missing comes at last, in pieces. */
    for (size_t at = 12; at < line->hello_size; at += 100) {
        const size_t size = line->hello_size - at < 100 ? line->hello_size - at : 100;
        assert_int_equal(send(silent[3], line->hello + at, size, 0), size);
        loop_rig_turns(&line->rig.loop);
    }
    loop_rig_wait(&line->rig.loop, &line->rig.turns, 2);
    assert_true(has_an_answer(silent[3]));
    for (int i = 0; i < 4; i++)
        close(silent[i]);
    loop_rig_wait(&line->rig.loop, &line->rig.closed, 5);
}

static void turns_come_in_order_and_are_told(void **state)
{
    struct line *line = *state;
    limit(line, (struct tls_limits){.handshakes = 1, .wait_ms = FOREVER_MS});
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = begin(line, line->hello_size);
        assert_int_equal(counts_of(line)->waiting, i);
    }
    assert_true(line->wait_ms > 0);
    assert_int_equal(line->counts.handshaking, 1);
    for (int i = 0; i < 3; i++) {
        loop_rig_wait(&line->rig.loop, &line->rig.turns, i + 1);
        assert_true(has_an_answer(fds[i]));
        assert_int_equal(counts_of(line)->waiting, 2 - i);
        assert_int_equal(loop_rig_read(&line->rig.loop, &line->rig.turns), i + 1);
        close(fds[i]);
    }
    loop_rig_wait(&line->rig.loop, &line->rig.closed, 3);
    assert_int_equal(counts_of(line)->waiting, 0);
    assert_int_equal(line->wait_ms, 0);
    assert_int_equal(line->counts.refused, 0);
}

static void who_has_waited_for_too_long_is_refused(void **state)
{
    struct line *line = *state;
    limit(line, (struct tls_limits){.handshakes = 1, .wait_ms = 50});
    int first = begin(line, line->hello_size);
    loop_rig_wait(&line->rig.loop, &line->rig.turns, 1);
    int others[2];
    for (int i = 0; i < 2; i++)
        others[i] = begin(line, line->hello_size);
    loop_rig_wait(&line->rig.loop, &line->rig.closed, 2);
    assert_int_equal(line->rig.end_status, PETREL_E_BUSY);
    assert_int_equal(counts_of(line)->refused, 2);
    assert_int_equal(line->counts.waiting, 0);
    assert_int_equal(line->counts.handshaking, 1);
    for (int i = 0; i < 2; i++) {
        assert_true(loop_rig_read_all(others[i], NULL, 0) <= 0);
        close(others[i]);
    }
    close(first);
    loop_rig_wait(&line->rig.loop, &line->rig.closed, 3);
}

static void who_leaves_the_line_has_no_turn(void **state)
{
    struct line *line = *state;
    limit(line, (struct tls_limits){.handshakes = 1, .wait_ms = FOREVER_MS});
    int first = begin(line, line->hello_size);
    loop_rig_wait(&line->rig.loop, &line->rig.turns, 1);
    int gone = begin(line, line->hello_size);
    int last = begin(line, line->hello_size);
    assert_int_equal(counts_of(line)->waiting, 2);
    close(gone);
    loop_rig_wait(&line->rig.loop, &line->rig.closed, 1);
    assert_int_equal(counts_of(line)->waiting, 1);
    close(first);
    loop_rig_wait(&line->rig.loop, &line->rig.turns, 2);
    assert_true(has_an_answer(last));
    close(last);
    loop_rig_wait(&line->rig.loop, &line->rig.closed, 3);
}

/* The kernel keeps what does not fit; the handshake goes wrong when it has its turn, and not before. */
static void a_stranger_has_little_kept(void **state)
{
    struct line *line = *state;
    limit(line, (struct tls_limits){.handshakes = 1, .wait_ms = FOREVER_MS});
    int first = begin(line, line->hello_size);
    loop_rig_wait(&line->rig.loop, &line->rig.turns, 1);
    int talker = begin(line, line->hello_size);
    uint8_t much[16384] = {0x16, 3, 3, 0, 1};
    assert_int_equal(send(talker, much, sizeof much, 0), sizeof much);
    assert_int_equal(counts_of(line)->waiting, 1);
    close(first);
    loop_rig_wait(&line->rig.loop, &line->rig.closed, 2);
    assert_int_equal(line->rig.end_status, PETREL_E_PROTOCOL);
    assert_int_equal(counts_of(line)->failed, 1);
    close(talker);
}

static int make_line(void **state)
{
    struct line *line = calloc(1, sizeof *line);
    assert_non_null(line);
    tls_site_make(&line->site);
    line->hello_size = tls_peer_hello(line->hello, sizeof line->hello);
    assert_true(line->hello_size > 12);
    assert_true(stream_rig_start(&line->rig, false));
    line->rig.tls = tls_site_server(&line->site, (struct tls_server_config){.compact = true});
    *state = line;
    return 0;
}

static int remove_line(void **state)
{
    struct line *line = *state;
    stream_rig_stop(&line->rig);
    tls_server_unref(line->rig.tls);
    tls_site_remove(&line->site);
    free(line);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_said_nothing_whole_keeps_nobody_out, make_line, remove_line),
        cmocka_unit_test_setup_teardown(turns_come_in_order_and_are_told, make_line, remove_line),
        cmocka_unit_test_setup_teardown(who_has_waited_for_too_long_is_refused, make_line, remove_line),
        cmocka_unit_test_setup_teardown(who_leaves_the_line_has_no_turn, make_line, remove_line),
        cmocka_unit_test_setup_teardown(a_stranger_has_little_kept, make_line, remove_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
