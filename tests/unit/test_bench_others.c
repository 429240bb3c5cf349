/* The codecs of other servers' protocols: what a client says, byte for byte, and what it understands, however the bytes are cut. */
#include "../../bench/bench_others.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_bytes(struct bytebuf *out, const void *wanted, size_t len)
{
    assert_int_equal(out->len, len);
    assert_memory_equal(out->ptr, wanted, len);
    bytes_reset(out);
}

static void assert_text(struct bytebuf *out, const char *wanted)
{
    assert_bytes(out, wanted, strlen(wanted));
}

/* What happened, one letter each: R(eady), T(aken), A(sked), M<data>[#id]; */
static int note(void *ctx, const struct bench_others_event *event)
{
    static const char letters[] = {[BENCH_OTHERS_READY] = 'R', [BENCH_OTHERS_TAKEN] = 'T', [BENCH_OTHERS_ASKED] = 'A'};
    struct bytebuf *notes = ctx;
    if (event->what == BENCH_OTHERS_MESSAGE)
        bytes_printf(notes, "M%.*s#%u;", (int)event->data.len, (const char *)event->data.ptr, event->id);
    else if (event->what != BENCH_OTHERS_NOTHING)
        bytes_append(notes, &letters[event->what], 1);
    return 0;
}

/* In two pieces, cut everywhere, and byte by byte. */
static void assert_understands(const struct bench_others_codec *codec, struct bytes in, const char *wanted)
{
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct bytebuf rest = {0}, notes = {0};
        assert_int_equal(bench_others_feed(codec, &rest, bytes_of(in.ptr, cut), note, &notes), 0);
        assert_int_equal(bench_others_feed(codec, &rest, bytes_of(in.ptr + cut, in.len - cut), note, &notes), 0);
        assert_int_equal(rest.len, 0);
        assert_text(&notes, wanted);
    }
    struct bytebuf rest = {0}, notes = {0};
    for (size_t i = 0; i < in.len; i++)
        assert_int_equal(bench_others_feed(codec, &rest, bytes_of(in.ptr + i, 1), note, &notes), 0);
    assert_int_equal(rest.len, 0);
    assert_text(&notes, wanted);
}

static void assert_refuses(const struct bench_others_codec *codec, struct bytes in)
{
    struct bytebuf rest = {0}, notes = {0};
    assert_int_equal(bench_others_feed(codec, &rest, in, note, &notes), PETREL_E_PROTOCOL);
    bytes_reset(&rest);
    bytes_reset(&notes);
}

static void mqtt(void **state)
{
    (void)state;
    struct bytebuf out = {0};
    static const uint8_t hello[] = "\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02u7"
                                   "\x82\x0d\x00\x01\x00\x02u7\x01\x00\x03"
                                   "all\x01";
    bench_others_mqtt_qos1.hello(&out, "u7", true);
    assert_bytes(&out, hello, sizeof hello - 1);
    bench_others_mqtt_qos0.hello(&out, "p1", false);
    assert_bytes(&out, "\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02p1", 16);
    bench_others_mqtt_qos1.publish(&out, "u7", bytes_str("hi"));
    assert_bytes(&out, "\x32\x08\x00\x02u7\x00\x01hi", 10);
    bench_others_mqtt_qos0.publish(&out, "u7", bytes_str("hi"));
    assert_bytes(&out, "\x30\x06\x00\x02u7hi", 8);
    bench_others_mqtt_qos1.ack(&out, 0x1234);
    assert_bytes(&out, "\x40\x02\x12\x34", 4);
    static const uint8_t in[] = "\x20\x02\x00\x00\x90\x04\x00\x01\x01\x01"
                                "\x32\x08\x00\x02u7\x12\x34hi"
                                "\x30\x06\x00\x02u7yo\x40\x02\x00\x01\xd0\x00";
    assert_understands(&bench_others_mqtt_qos1, bytes_of(in, sizeof in - 1), "RMhi#4660;Myo#0;TT");
    assert_refuses(&bench_others_mqtt_qos1, bytes_of("\x20\x02\x00\x05", 4));
    assert_refuses(&bench_others_mqtt_qos1, bytes_of("\x30\x03\x00\x09u", 5));
    assert_refuses(&bench_others_mqtt_qos1, bytes_of("\x30\xff\xff\xff\xff\x01", 6));
}

/* A length of two bytes, out and in. */
static void mqtt_long(void **state)
{
    (void)state;
    char data[301];
    memset(data, 'x', 300);
    data[300] = '\0';
    struct bytebuf out = {0}, wanted = {0};
    bench_others_mqtt_qos0.publish(&out, "u7", bytes_str(data));
    assert_memory_equal(out.ptr, "\x30\xb0\x02", 3);
    bytes_printf(&wanted, "M%s#0;", data);
    bytes_append(&wanted, "", 1);
    assert_understands(&bench_others_mqtt_qos0, bytes_view(&out), (const char *)wanted.ptr);
    bytes_reset(&out);
    bytes_reset(&wanted);
}

static void nats(void **state)
{
    (void)state;
    struct bytebuf out = {0};
    bench_others_nats.hello(&out, "u7", true);
    assert_text(&out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB u7 1\r\nSUB all 2\r\nPING\r\n");
    bench_others_nats.publish(&out, "all", bytes_str("hi"));
    assert_text(&out, "PUB all 2\r\nhi\r\n");
    bench_others_nats.pong(&out);
    assert_text(&out, "PONG\r\n");
    assert_understands(&bench_others_nats,
                       bytes_str("INFO {\"max_payload\":1048576}\r\nPONG\r\nMSG u7 1 2\r\nhi\r\nPING\r\nMSG all 2 "
                                 "4\r\n\r\n\r\n\r\n"),
                       "TMhi#0;AM\r\n\r\n#0;");
    assert_refuses(&bench_others_nats, bytes_str("-ERR 'Slow Consumer'\r\n"));
    assert_refuses(&bench_others_nats, bytes_str("MSG u7\r\n"));
}

static void resp(void **state)
{
    (void)state;
    struct bytebuf out = {0};
    bench_others_resp.hello(&out, "u7", true);
    assert_text(&out, "*3\r\n$9\r\nSUBSCRIBE\r\n$2\r\nu7\r\n$3\r\nall\r\n");
    bench_others_resp.publish(&out, "u7", bytes_str("hi"));
    assert_text(&out, "*3\r\n$7\r\nPUBLISH\r\n$2\r\nu7\r\n$2\r\nhi\r\n");
    assert_understands(
        &bench_others_resp,
        bytes_str("*3\r\n$9\r\nsubscribe\r\n$2\r\nu7\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$3\r\nall\r\n:2\r\n"
                  "*3\r\n$7\r\nmessage\r\n$2\r\nu7\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n:1\r\n"),
        "RMhi#0;TT");
    assert_refuses(&bench_others_resp, bytes_str("-ERR max number of clients reached\r\n"));
    assert_refuses(&bench_others_resp, bytes_str("*3\r\n$-5\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mqtt), cmocka_unit_test(mqtt_long), cmocka_unit_test(nats),
                                       cmocka_unit_test(resp)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
