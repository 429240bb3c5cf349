#include "base/err.h"
#include "base/object.h"
#include "unit/stream_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LARGE ((size_t)16 * 1024 * 1024) /* more than any socket's buffers take */

static void reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(fd);
}

static void write_large(void *arg)
{
    stream_rig_write_pattern(arg, LARGE);
}

static void read_large(int fd)
{
    uint8_t *got = malloc(LARGE);
    assert_non_null(got);
    size_t have = 0;
    while (have < LARGE) {
        ssize_t n = recv(fd, got + have, LARGE - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
    }
    assert_int_equal(stream_rig_check_pattern(got, LARGE, 0), LARGE);
    free(got);
}

struct queued {
    struct stream_rig *rig;
    size_t bytes;
};

static void read_queued(void *arg)
{
    struct queued *queued = arg;
    queued->bytes = stream_queued(queued->rig->last);
}

static void echo(bool at_once)
{
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    rig.echo = true;
    rig.at_once = at_once;
    int fd = loop_rig_connect(rig.port);
    for (int round = 0; round < 100; round++) {
        char text[32], back[32];
        int len = snprintf(text, sizeof text, "round %d", round);
        assert_int_equal(send(fd, text, (size_t)len, 0), len);
        assert_int_equal(recv(fd, back, (size_t)len, MSG_WAITALL), len);
        assert_memory_equal(text, back, (size_t)len);
    }
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(loop_rig_read_all(fd, NULL, 0), 0);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    close(fd);
    stream_rig_stop(&rig);
    assert_int_equal(rig.end_status, PETREL_E_EOF);
    assert_int_equal(rig.ended, 1);
}

static void echoes_what_it_reads(void **state)
{
    (void)state;
    echo(false);
    echo(true);
}

static void write_now_behind_a_queue(void *arg)
{
    struct stream_rig *rig = arg;
    stream_write_now(rig->last, bytes_str("one "));
    const size_t before = stream_queued(rig->last);
    stream_write_copy(rig->last, bytes_str("two "));
    stream_write_now(rig->last, bytes_str("three"));
    rig->bytes = before * 100 + stream_queued(rig->last);
}

/* Nothing overtakes what is queued. */
static void what_is_written_at_once_keeps_its_place(void **state)
{
    (void)state;
    struct stream_rig rig;
    char back[14] = "";
    assert_true(stream_rig_start(&rig, false));
    int fd = loop_rig_connect(rig.port);
    loop_rig_wait(&rig.loop, &rig.accepted, 1);
    loop_rig_call(&rig.loop, write_now_behind_a_queue, &rig);
    assert_int_equal(rig.bytes, strlen("two three"));
    assert_int_equal(recv(fd, back, strlen("one two three"), MSG_WAITALL), strlen("one two three"));
    assert_string_equal(back, "one two three");
    close(fd);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    stream_rig_stop(&rig);
}

/* Thousands of segments, many writev, a full socket: nothing lost, in order, one on_full and one on_drain. */
static void a_slow_reader_gets_everything_and_drains_once(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    int fd = loop_rig_connect(rig.port);
    loop_rig_wait(&rig.loop, &rig.accepted, 1);
    loop_rig_call(&rig.loop, write_large, &rig);
    loop_rig_turns(&rig.loop);
    struct queued queued = {.rig = &rig};
    loop_rig_call(&rig.loop, read_queued, &queued);
    assert_in_range(queued.bytes, 1, LARGE);
    assert_int_equal(loop_rig_read(&rig.loop, &rig.drained), 0);
    assert_int_equal(loop_rig_read(&rig.loop, &rig.full), 1);
    read_large(fd);
    loop_rig_wait(&rig.loop, &rig.drained, 1);
    loop_rig_call(&rig.loop, read_queued, &queued);
    assert_int_equal(queued.bytes, 0);
    close(fd);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    stream_rig_stop(&rig);
    assert_int_equal(rig.drained, 1);
    assert_int_equal(rig.full, 1);
}

struct shared {
    struct stream_rig *rig;
    struct buf *buf;
};

static void write_shared(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 200; i++)
        stream_write(shared->rig->last, shared->buf);
}

static unsigned refs_of(struct shared *shared)
{
    return atomic_load(&shared->buf->refs);
}

static void count_refs(void *arg)
{
    struct shared *shared = arg;
    if (refs_of(shared) == 1)
        loop_rig_bump(&shared->rig->loop, &shared->rig->data);
}

static void one_buf_may_be_queued_many_times(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    struct shared shared = {.rig = &rig, .buf = buf_copy(bytes_str("0123456789"))};
    int fd = loop_rig_connect(rig.port);
    loop_rig_wait(&rig.loop, &rig.accepted, 1);
    loop_rig_call(&rig.loop, write_shared, &shared);
    char got[2000];
    assert_int_equal(recv(fd, got, sizeof got, MSG_WAITALL), (int)sizeof got);
    for (size_t i = 0; i < sizeof got; i++)
        assert_int_equal(got[i], "0123456789"[i % 10]);
    loop_rig_call(&rig.loop, count_refs, &shared); /* all references were given back */
    assert_int_equal(rig.data, 1);
    close(fd);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    stream_rig_stop(&rig);
    buf_unref(shared.buf);
}

static void resume_last(void *arg)
{
    struct stream_rig *rig = arg;
    stream_resume(rig->last);
}

static void a_paused_stream_reads_nothing_until_resumed(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    rig.pause = true;
    int fd = loop_rig_connect(rig.port);
    loop_rig_wait(&rig.loop, &rig.accepted, 1);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    loop_rig_turns(&rig.loop);
    assert_int_equal(loop_rig_read(&rig.loop, &rig.data), 0);
    loop_rig_call(&rig.loop, resume_last, &rig);
    loop_rig_wait(&rig.loop, &rig.data, 1);
    close(fd);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    stream_rig_stop(&rig);
    assert_int_equal(rig.bytes, 1);
}

static void say_bye(void *arg)
{
    struct stream_rig *rig = arg;
    stream_write_copy(rig->last, bytes_str("bye"));
    stream_close_flushed(rig->last, 20000);
}

static void a_half_closed_peer_still_gets_answers(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    rig.keep_after_end = true;
    int fd = loop_rig_connect(rig.port);
    assert_int_equal(send(fd, "last", 4, 0), 4);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    loop_rig_wait(&rig.loop, &rig.ended, 1);
    loop_rig_turns(&rig.loop); /* told once, and the loop does not spin on it */
    loop_rig_call(&rig.loop, say_bye, &rig);
    char got[8];
    assert_int_equal(loop_rig_read_all(fd, got, sizeof got), 3);
    assert_memory_equal(got, "bye", 3);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    close(fd);
    stream_rig_stop(&rig);
    assert_int_equal(rig.bytes, 4);
    assert_int_equal(rig.ended, 1);
    assert_int_equal(rig.end_status, PETREL_E_EOF);
}

static void a_reset_is_told_once(void **state)
{
    (void)state;
    static const bool paused[] = {false, true, false};
    static const bool writing[] = {false, false, true};
    for (int i = 0; i < 3; i++) {
        struct stream_rig rig;
        assert_true(stream_rig_start(&rig, false));
        rig.pause = paused[i];
        int fd = loop_rig_connect(rig.port);
        loop_rig_wait(&rig.loop, &rig.accepted, 1);
        if (writing[i])
            loop_rig_call(&rig.loop, write_large, &rig);
        reset(fd);
        loop_rig_wait(&rig.loop, &rig.closed, 1);
        stream_rig_stop(&rig);
        assert_int_equal(rig.ended, 1);
        assert_int_equal(rig.end_status, PETREL_E_IO);
        assert_int_equal(rig.drained, 0);
    }
}

/* An owner that got EOF and waits to get rid of its answer must not wait for ever. */
static void a_reset_after_eof_drains_what_waits(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    rig.keep_after_end = true;
    rig.close_in = CLOSE_IN_DRAIN;
    int fd = loop_rig_connect(rig.port);
    loop_rig_wait(&rig.loop, &rig.accepted, 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    loop_rig_wait(&rig.loop, &rig.ended, 1);
    loop_rig_call(&rig.loop, write_large, &rig);
    reset(fd);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    stream_rig_stop(&rig);
    assert_int_equal(rig.ended, 1);
}

static void closing_is_allowed_in_every_callback(void **state)
{
    (void)state;
    for (int where = CLOSE_IN_ACCEPT; where <= CLOSE_IN_END; where++) {
        for (int flushed = 0; flushed < 2; flushed++) {
            struct stream_rig rig;
            assert_true(stream_rig_start(&rig, false));
            rig.close_in = (enum stream_rig_close)where;
            rig.flushed = flushed == 1;
            int fd = loop_rig_connect(rig.port);
            loop_rig_wait(&rig.loop, &rig.accepted, 1);
            if (where == CLOSE_IN_DRAIN) {
                loop_rig_call(&rig.loop, write_large, &rig);
                loop_rig_turns(&rig.loop); /* the socket fills before anything is read */
                read_large(fd);
            } else if (where == CLOSE_IN_DATA) {
                assert_int_equal(send(fd, "x", 1, 0), 1);
            } else if (where == CLOSE_IN_END) {
                assert_int_equal(shutdown(fd, SHUT_WR), 0);
            }
            char got[16];
            bool greeted = where == CLOSE_IN_ACCEPT && flushed == 1;
            assert_int_equal(loop_rig_read_all(fd, got, sizeof got), greeted ? 7 : 0);
            close(fd);
            if (where != CLOSE_IN_ACCEPT)
                loop_rig_wait(&rig.loop, &rig.closed, 1);
            stream_rig_stop(&rig);
        }
    }
}

static void close_flushed(void *arg)
{
    struct stream_rig *rig = arg;
    stream_rig_write_pattern(rig, LARGE);
    stream_close_flushed(rig->last, 20000);
}

/* The peer has sent what nobody reads any more, and still gets every byte and a clean end. */
static void a_flushing_close_delivers_all_and_does_not_reset(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    rig.pause = true;
    int fd = loop_rig_connect(rig.port);
    loop_rig_wait(&rig.loop, &rig.accepted, 1);
    static char unread[65536];
    assert_int_equal(send(fd, unread, sizeof unread, 0), (int)sizeof unread);
    loop_rig_call(&rig.loop, close_flushed, &rig);
    read_large(fd);
    assert_int_equal(send(fd, unread, sizeof unread, 0), (int)sizeof unread);
    assert_int_equal(loop_rig_read_all(fd, NULL, 0), 0); /* with a reset it would be -1 */
    close(fd);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    stream_rig_stop(&rig);
    assert_int_equal(rig.bytes, 0);
    assert_int_equal(rig.ended, 0);
}

static void close_flushed_soon(void *arg)
{
    struct stream_rig *rig = arg;
    stream_rig_write_pattern(rig, LARGE);
    stream_close_flushed(rig->last, 20);
}

static void close_flushed_with_nothing(void *arg)
{
    struct stream_rig *rig = arg;
    stream_close_flushed(rig->last, 20);
}

static void a_flushing_close_ends_when_its_time_is_over(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct stream_rig rig;
        assert_true(stream_rig_start(&rig, false));
        int fd = loop_rig_connect(rig.port); /* neither reads nor closes */
        loop_rig_wait(&rig.loop, &rig.accepted, 1);
        loop_rig_call(&rig.loop, i == 0 ? close_flushed_soon : close_flushed_with_nothing, &rig);
        loop_rig_wait(&rig.loop, &rig.closed, 1);
        stream_rig_stop(&rig);
        close(fd);
    }
}

struct naming {
    struct stream_rig *rig;
    char text[STREAM_ADDRESS_SIZE];
    uint8_t key[16];
};

static void name_peer(void *arg)
{
    struct naming *naming = arg;
    petrel_assert(stream_loop(naming->rig->last) == naming->rig->loop.loop);
    stream_peer(naming->rig->last, naming->text);
    stream_peer_key(naming->rig->last, naming->key);
}

static void the_peer_has_an_address(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    int fd = loop_rig_connect(rig.port);
    struct sockaddr_in mine;
    socklen_t size = sizeof mine;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&mine, &size), 0);
    loop_rig_wait(&rig.loop, &rig.accepted, 1);
    struct naming naming = {.rig = &rig};
    loop_rig_call(&rig.loop, name_peer, &naming);
    char text[STREAM_ADDRESS_SIZE];
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(mine.sin_port));
    assert_string_equal(naming.text, text);
    static const uint8_t key[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    assert_memory_equal(naming.key, key, sizeof key);
    close(fd);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    stream_rig_stop(&rig);
}

static void an_ipv6_peer_too(void **state)
{
    (void)state;
    struct stream_rig rig;
    if (!stream_rig_start(&rig, true))
        skip();
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(rig.port), .sin6_addr = in6addr_loopback};
    socklen_t size = sizeof to;
    assert_int_equal(connect(fd, (struct sockaddr *)&to, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &size), 0);
    loop_rig_wait(&rig.loop, &rig.accepted, 1);
    struct naming naming = {.rig = &rig};
    loop_rig_call(&rig.loop, name_peer, &naming);
    char text[STREAM_ADDRESS_SIZE];
    snprintf(text, sizeof text, "[::1]:%u", ntohs(to.sin6_port));
    assert_string_equal(naming.text, text);
    assert_memory_equal(naming.key, &in6addr_loopback, 16);
    close(fd);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    stream_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_what_it_reads),
        cmocka_unit_test(what_is_written_at_once_keeps_its_place),
        cmocka_unit_test(a_slow_reader_gets_everything_and_drains_once),
        cmocka_unit_test(one_buf_may_be_queued_many_times),
        cmocka_unit_test(a_paused_stream_reads_nothing_until_resumed),
        cmocka_unit_test(a_half_closed_peer_still_gets_answers),
        cmocka_unit_test(a_reset_is_told_once),
        cmocka_unit_test(a_reset_after_eof_drains_what_waits),
        cmocka_unit_test(closing_is_allowed_in_every_callback),
        cmocka_unit_test(a_flushing_close_delivers_all_and_does_not_reset),
        cmocka_unit_test(a_flushing_close_ends_when_its_time_is_over),
        cmocka_unit_test(the_peer_has_an_address),
        cmocka_unit_test(an_ipv6_peer_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
