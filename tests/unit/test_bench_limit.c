/* petrel-limit: what a socket does not take is written later, in order; and its frames are what petrel-bench's devices understand. */
#include "../../bench/limit_out.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAMES 3000
#define STAMP "00000000000000070000000000000009"
#define BODY "{\"to\":{\"user\":\"user-00000042\"},\"data\":\"" STAMP "xxxx\"}"

static size_t drain(int fd, struct bytebuf *got)
{
    uint8_t data[65536];
    ssize_t len;
    size_t all = 0;
    while ((len = recv(fd, data, sizeof data, MSG_DONTWAIT)) > 0) {
        bytes_append(got, data, (size_t)len);
        all += (size_t)len;
    }
    return all;
}

static void nothing_is_dropped(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    const struct limit_wire wire = {.fd = ends[0]};
    struct limit_frames *frames = limit_frames_new();
    struct limit_out out = {0};
    struct bytebuf wanted = {0}, got = {0};
    struct limit_target target;
    for (int i = 0; i < FRAMES; i++) {
        struct limit_push *push = limit_frames_push(frames, bytes_str(BODY), &target);
        limit_push_number(frames, push);
        const struct bytes bytes = limit_push_bytes(push);
        bytes_append(&wanted, bytes.ptr, bytes.len);
        assert_true(limit_out_push(&out, wire, push));
        limit_push_unref(push);
        bytes_append_str(&wanted, "between");
        assert_true(limit_out_write(&out, wire, bytes_str("between")));
    }
    assert_true(limit_out_waits(&out)); /* else the test shows nothing */
    while (limit_out_waits(&out)) {
        assert_true(drain(ends[1], &got) > 0);
        assert_true(limit_out_flush(&out, wire));
    }
    drain(ends[1], &got);
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.ptr, wanted.ptr, wanted.len);
    close(ends[1]);
    assert_false(limit_out_write(&out, wire, bytes_str("x")));
    limit_out_reset(&out);
    close(ends[0]);
    bytes_reset(&wanted);
    bytes_reset(&got);
    limit_frames_free(&frames);
}

static void pushes_are_frames(void **state)
{
    (void)state;
    struct limit_frames *frames = limit_frames_new();
    struct session_codec *codec = session_codec_new();
    struct limit_target target;
    uint64_t before = 0;
    for (int i = 0; i < 300; i++) { /* over the first borders of the number's bytes */
        struct limit_push *push = limit_frames_push(frames, bytes_str(BODY), &target);
        assert_non_null(push);
        assert_false(target.all);
        assert_int_equal(target.user, 42);
        limit_push_number(frames, push);
        struct bytes bytes = limit_push_bytes(push);
        struct frame raw;
        struct session_frame frame;
        assert_int_equal(frame_take(&bytes, FRAME_BODY_MAX, &raw), 0);
        assert_int_equal(bytes.len, 0);
        assert_int_equal(session_decode(codec, &raw, &frame), 0);
        assert_int_equal(frame.type, SESSION_PUSH);
        assert_true(bytes_equal_str(frame.push.message.body, "\"" STAMP "xxxx\""));
        assert_true(frame.push.position.seq > before);
        before = frame.push.position.seq;
        limit_push_unref(push);
    }
    struct limit_push *push =
        limit_frames_push(frames, bytes_str("{\"to\":{\"topic\":\"all\"},\"data\":\"" STAMP "\"}"), &target);
    assert_true(target.all);
    limit_push_unref(push);
    assert_null(limit_frames_push(frames, bytes_str("{\"to\":{\"topic\":\"all\"}}"), &target));
    session_codec_free(&codec);
    limit_frames_free(&frames);
}

/* What follows the number in a CONNECT may look like one more digit of it. */
static void the_user_is_its_eight_digits(void **state)
{
    (void)state;
    uint32_t user = 0;
    assert_true(limit_frames_user(bytes_str("\x12\x0e"
                                            "bench-00000123"
                                            "8\x01"),
                                  &user));
    assert_int_equal(user, 123);
    assert_false(limit_frames_user(bytes_str("bench-0000012"), &user));
    assert_false(limit_frames_user(bytes_str("bench-0000012x"), &user));
    assert_false(limit_frames_user(bytes_str("petrel-bench"), &user));
}

static void a_request_is_whole_or_not(void **state)
{
    (void)state;
    static const char text[] = "POST /v1/apps/a/messages HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    struct bytes body;
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *part = strndup(text, len);
        assert_false(limit_frames_request(part, len, &body));
        free(part);
    }
    assert_true(limit_frames_request(text, sizeof text - 1, &body));
    assert_true(bytes_equal_str(body, "body"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_dropped), cmocka_unit_test(pushes_are_frames),
                                       cmocka_unit_test(the_user_is_its_eight_digits),
                                       cmocka_unit_test(a_request_is_whole_or_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
