/* The kernel tells a stream once of what there is to read: all of it is read, though nothing more comes to tell of. */
#include "base/err.h"
#include "lib/until.h"
#include "unit/stream_rig.h"

#include <linux/sockios.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define READ_BYTES 4096U
#define PIECES                                                                                                         \
    12 /* of what is sent, read so much at a time: more than a stream may read in a turn, less than a socket takes */

static bool is_acked(void *ctx)
{
    int left;
    assert_int_equal(ioctl(*(int *)ctx, SIOCOUTQ, &left), 0);
    return left == 0;
}

/* A paused stream for which there is so much to read. */
static int open_paused(struct stream_rig *rig, size_t bytes)
{
    static const uint8_t zeros[PIECES * READ_BYTES];
    stream_rig_start_reading(rig, READ_BYTES);
    rig->pause = true;
    int fd = loop_rig_connect(rig->port);
    loop_rig_wait(&rig->loop, &rig->accepted, 1);
    assert_int_equal(send(fd, zeros, bytes, 0), bytes);
    assert_true(until(is_acked, &fd, 10000));
    return fd;
}

static void resume(void *arg)
{
    struct stream_rig *rig = arg;
    stream_resume(rig->last);
}

static void close_both(struct stream_rig *rig, int fd)
{
    close(fd);
    loop_rig_wait(&rig->loop, &rig->closed, 1);
    stream_rig_stop(rig);
    assert_int_equal(rig->end_status, PETREL_E_EOF);
}

static void what_a_turn_leaves_is_for_the_next(void **state)
{
    (void)state;
    struct stream_rig rig;
    int fd = open_paused(&rig, PIECES * READ_BYTES);
    loop_rig_call(&rig.loop, resume, &rig);
    loop_rig_wait(&rig.loop, &rig.data, PIECES);
    close_both(&rig, fd);
    assert_int_equal(rig.bytes, PIECES * READ_BYTES);
}

static void what_a_pause_leaves_is_read_after_it(void **state)
{
    (void)state;
    struct stream_rig rig;
    int fd = open_paused(&rig, PIECES * READ_BYTES);
    rig.pause_in_data = true;
    for (int piece = 1; piece <= PIECES; piece++) {
        loop_rig_call(&rig.loop, resume, &rig);
        loop_rig_wait(&rig.loop, &rig.data, piece);
        loop_rig_turns(&rig.loop);
        assert_int_equal(loop_rig_read(&rig.loop, &rig.data), piece);
    }
    loop_rig_call(&rig.loop, resume, &rig);
    close_both(&rig, fd);
    assert_int_equal(rig.bytes, PIECES * READ_BYTES);
}

static void an_end_behind_the_last_bytes_is_noticed(void **state)
{
    (void)state;
    struct stream_rig rig;
    int fd = open_paused(&rig, 5);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(until(is_acked, &fd, 10000));
    loop_rig_call(&rig.loop, resume, &rig);
    loop_rig_wait(&rig.loop, &rig.ended, 1);
    close_both(&rig, fd);
    assert_int_equal(rig.bytes, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_turn_leaves_is_for_the_next),
        cmocka_unit_test(what_a_pause_leaves_is_read_after_it),
        cmocka_unit_test(an_end_behind_the_last_bytes_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
