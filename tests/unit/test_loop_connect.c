/* Streams that a loop opens itself: reached, refused, written to before they are open, closed before they are. */
#include "base/err.h"
#include "unit/stream_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A stream of the rig's loop to an address, and what it is told. */
struct caller {
    struct stream_rig *rig;
    const char *host;
    uint16_t port;
    const char *early; /* written at once */
    bool close_at_once;
    struct stream *stream;
    int rc;
    int opened, ended, closed;
    int end_status;
    char got[64];
    size_t got_len;
    int got_all;
};

static void on_open(void *owner)
{
    struct caller *caller = owner;
    stream_write_copy(caller->stream, bytes_str(" and then"));
    loop_rig_bump(&caller->rig->loop, &caller->opened);
}

static void on_data(void *owner, struct bytes data)
{
    struct caller *caller = owner;
    size_t room = sizeof caller->got - 1 - caller->got_len;
    size_t len = data.len < room ? data.len : room;
    memcpy(caller->got + caller->got_len, data.ptr, len);
    caller->got_len += len;
    if (strstr(caller->got, "and then") != NULL)
        loop_rig_bump(&caller->rig->loop, &caller->got_all);
}

static void on_end(void *owner, int status)
{
    struct caller *caller = owner;
    caller->end_status = status;
    loop_rig_bump(&caller->rig->loop, &caller->ended);
    stream_close(caller->stream);
}

static void on_closed(void *owner)
{
    struct caller *caller = owner;
    loop_rig_bump(&caller->rig->loop, &caller->closed);
}

static const struct stream_ops ops = {.on_open = on_open, .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void call(void *arg)
{
    struct caller *caller = arg;
    caller->rc = stream_connect(&caller->stream, caller->rig->loop.loop, caller->host, caller->port, &ops, caller);
    if (caller->rc != 0)
        return;
    if (caller->early != NULL)
        stream_write_copy(caller->stream, bytes_str(caller->early));
    if (caller->close_at_once)
        stream_close(caller->stream);
}

static void hang_up(void *arg)
{
    struct caller *caller = arg;
    stream_close(caller->stream);
}

static void reaches_a_listener(struct stream_rig *rig, const char *host)
{
    struct caller caller = {.rig = rig, .host = host, .port = rig->port, .early = "first"};
    rig->echo = true;
    loop_rig_call(&rig->loop, call, &caller);
    assert_int_equal(caller.rc, 0);
    loop_rig_wait(&rig->loop, &caller.got_all, 1);
    assert_int_equal(caller.opened, 1);
    assert_string_equal(caller.got, "first and then");
    loop_rig_call(&rig->loop, hang_up, &caller);
    loop_rig_wait(&rig->loop, &caller.closed, 1);
    assert_int_equal(caller.ended, 0);
}

static void what_was_written_before_it_is_open_goes_first(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    reaches_a_listener(&rig, "127.0.0.1");
    stream_rig_stop(&rig);
}

static void ipv6_too(void **state)
{
    (void)state;
    struct stream_rig rig;
    if (!stream_rig_start(&rig, true))
        skip();
    reaches_a_listener(&rig, "::1");
    stream_rig_stop(&rig);
}

/* The kernel may know at once or a moment later; either way it is told once. */
static void a_refused_connection_is_told(void **state)
{
    (void)state;
    struct stream_rig rig, other;
    assert_true(stream_rig_start(&rig, false));
    assert_true(stream_rig_start(&other, false));
    uint16_t port = other.port;
    stream_rig_stop(&other); /* nobody listens there any more */
    struct caller caller = {.rig = &rig, .host = "127.0.0.1", .port = port, .early = "to nobody"};
    loop_rig_call(&rig.loop, call, &caller);
    if (caller.rc == 0) {
        loop_rig_wait(&rig.loop, &caller.closed, 1);
        assert_int_equal(caller.ended, 1);
        assert_int_equal(caller.end_status, PETREL_E_UNAVAILABLE);
    } else {
        assert_int_equal(caller.rc, PETREL_E_UNAVAILABLE);
    }
    assert_int_equal(caller.opened, 0);
    stream_rig_stop(&rig);
}

static void it_may_be_closed_before_it_is_open(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    struct caller caller = {.rig = &rig, .host = "127.0.0.1", .port = rig.port, .early = "x", .close_at_once = true};
    loop_rig_call(&rig.loop, call, &caller);
    loop_rig_wait(&rig.loop, &caller.closed, 1);
    loop_rig_turns(&rig.loop);
    assert_int_equal(caller.opened + caller.ended, 0);
    assert_int_equal(caller.closed, 1);
    stream_rig_stop(&rig);
}

static void a_name_is_no_address(void **state)
{
    (void)state;
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    struct caller caller = {.rig = &rig, .host = "localhost", .port = rig.port};
    loop_rig_call(&rig.loop, call, &caller);
    assert_int_equal(caller.rc, PETREL_E_INVALID);
    stream_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_before_it_is_open_goes_first),
        cmocka_unit_test(ipv6_too),
        cmocka_unit_test(a_refused_connection_is_told),
        cmocka_unit_test(it_may_be_closed_before_it_is_open),
        cmocka_unit_test(a_name_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
