#include "base/err.h"
#include "wire/frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TYPES_MAX 8

/* What a reader handed over. */
struct seen {
    size_t count;
    uint8_t types[TYPES_MAX];
    size_t lengths[TYPES_MAX];
    struct bytebuf bodies;
    int stop_at; /* return EOF at the frame of this number, from 1 */
};

static int on_frame(void *ctx, const struct frame *frame)
{
    struct seen *seen = ctx;
    if (seen->count < TYPES_MAX) {
        seen->types[seen->count] = frame->type;
        seen->lengths[seen->count] = frame->body.len;
    }
    seen->count++;
    bytes_append(&seen->bodies, frame->body.ptr, frame->body.len);
    return (int)seen->count == seen->stop_at ? PETREL_E_EOF : 0;
}

/* A frame of no body, one of five bytes, one of 300. */
static struct bytebuf three_frames(void)
{
    struct bytebuf out = {0};
    uint8_t header[FRAME_HEADER_BYTES];
    uint8_t body[300];
    memset(body, 'b', sizeof body);
    frame_header(header, 2, 0);
    bytes_append(&out, header, sizeof header);
    frame_header(header, 3, 5);
    bytes_append(&out, header, sizeof header);
    bytes_append(&out, "hello", 5);
    frame_header(header, 67, sizeof body);
    bytes_append(&out, header, sizeof header);
    bytes_append(&out, body, sizeof body);
    return out;
}

static void writes_the_length_big_endian(void **state)
{
    (void)state;
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, 0x43, 0x010203);
    static const uint8_t expected[] = {0x43, 1, 2, 3};
    assert_memory_equal(header, expected, sizeof expected);
}

static void takes_frames_and_leaves_the_rest(void **state)
{
    (void)state;
    struct bytebuf wire = three_frames();
    struct bytes in = bytes_view(&wire);
    struct frame frame;
    assert_int_equal(frame_take(&in, 300, &frame), 0);
    assert_int_equal(frame.type, 2);
    assert_int_equal(frame.body.len, 0);
    assert_int_equal(frame_take(&in, 300, &frame), 0);
    assert_int_equal(frame.type, 3);
    assert_true(bytes_equal_str(frame.body, "hello"));
    for (size_t len = 0; len < in.len; len++) {
        struct bytes part = bytes_of(in.ptr, len);
        assert_int_equal(frame_take(&part, 300, &frame), PETREL_E_NEED_MORE);
        assert_int_equal(part.len, len);
    }
    assert_int_equal(frame_take(&in, 300, &frame), 0);
    assert_int_equal(in.len, 0);
    bytes_reset(&wire);
}

static void refuses_a_length_over_the_cap_by_the_header_alone(void **state)
{
    (void)state;
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, 1, 1001);
    struct bytes in = bytes_of(header, sizeof header);
    struct frame frame;
    assert_int_equal(frame_take(&in, 1000, &frame), PETREL_E_TOO_LARGE);
    assert_int_equal(frame_take(&in, 1001, &frame), PETREL_E_NEED_MORE);

    struct frame_reader reader = {{0}};
    struct seen seen = {0};
    assert_int_equal(frame_reader_feed(&reader, 1000, bytes_of(header, 3), on_frame, &seen), 0);
    assert_int_equal(frame_reader_feed(&reader, 1000, bytes_of(header + 3, 1), on_frame, &seen), PETREL_E_TOO_LARGE);
    assert_int_equal(seen.count, 0);
    frame_reader_reset(&reader);
}

static void reads_the_same_however_it_arrives(void **state)
{
    (void)state;
    struct bytebuf wire = three_frames();
    for (size_t step = 1; step <= wire.len; step++) {
        struct frame_reader reader = {{0}};
        struct seen seen = {0};
        for (size_t at = 0; at < wire.len; at += step) {
            size_t len = wire.len - at < step ? wire.len - at : step;
            assert_int_equal(frame_reader_feed(&reader, 300, bytes_of(wire.ptr + at, len), on_frame, &seen), 0);
        }
        assert_int_equal(seen.count, 3);
        assert_int_equal(seen.types[2], 67);
        assert_int_equal(seen.lengths[0], 0);
        assert_int_equal(seen.lengths[1], 5);
        assert_int_equal(seen.lengths[2], 300);
        assert_memory_equal(seen.bodies.ptr, "hellobbb", 8);
        assert_int_equal(reader.partial.len, 0);
        bytes_reset(&seen.bodies);
        frame_reader_reset(&reader);
    }
    bytes_reset(&wire);
}

static void keeps_nothing_between_frames_and_little_for_a_lie(void **state)
{
    (void)state;
    struct bytebuf wire = three_frames();
    struct frame_reader reader = {{0}};
    struct seen seen = {0};
    assert_int_equal(frame_reader_feed(&reader, 300, bytes_view(&wire), on_frame, &seen), 0);
    assert_null(reader.partial.ptr);

    uint8_t lie[FRAME_HEADER_BYTES + 1] = {0};
    frame_header(lie, 1, FRAME_BODY_MAX);
    assert_int_equal(frame_reader_feed(&reader, FRAME_BODY_MAX, bytes_of(lie, sizeof lie), on_frame, &seen), 0);
    assert_true(reader.partial.cap < 4096);
    frame_reader_reset(&reader);
    bytes_reset(&seen.bodies);
    bytes_reset(&wire);
}

static void stops_where_the_owner_says(void **state)
{
    (void)state;
    struct bytebuf wire = three_frames();
    for (size_t step = 1; step <= wire.len; step++) {
        struct frame_reader reader = {{0}};
        struct seen seen = {.stop_at = 2};
        int rc = 0;
        for (size_t at = 0; at < wire.len && rc == 0; at += step) {
            size_t len = wire.len - at < step ? wire.len - at : step;
            rc = frame_reader_feed(&reader, 300, bytes_of(wire.ptr + at, len), on_frame, &seen);
        }
        assert_int_equal(rc, PETREL_E_EOF);
        assert_int_equal(seen.count, 2);
        bytes_reset(&seen.bodies);
        frame_reader_reset(&reader);
    }
    bytes_reset(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_length_big_endian),
        cmocka_unit_test(takes_frames_and_leaves_the_rest),
        cmocka_unit_test(refuses_a_length_over_the_cap_by_the_header_alone),
        cmocka_unit_test(reads_the_same_however_it_arrives),
        cmocka_unit_test(keeps_nothing_between_frames_and_little_for_a_lie),
        cmocka_unit_test(stops_where_the_owner_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
