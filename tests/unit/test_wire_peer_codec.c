/* The peer protocol's bytes: every message there and back, what is refused, and the examples of proto/README.md. */
#include "base/err.h"
#include "unit/peer_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define README PETREL_SOURCE_DIR "/proto/README.md"

static const struct {
    const char *name;
    enum peer_samples_kind kind;
    enum peer_type type;
} SAMPLES[] = {
    {"BIND", PEER_SAMPLES_CALL, PEER_BIND},
    {"UNBIND", PEER_SAMPLES_CALL, PEER_UNBIND},
    {"FETCH", PEER_SAMPLES_CALL, PEER_FETCH},
    {"ACK", PEER_SAMPLES_CALL, PEER_ACK},
    {"CHECK", PEER_SAMPLES_CALL, PEER_CHECK},
    {"SEND", PEER_SAMPLES_CALL, PEER_SEND},
    {"RECALL", PEER_SAMPLES_CALL, PEER_RECALL},
    {"STATE", PEER_SAMPLES_CALL, PEER_STATE},
    {"ENROL", PEER_SAMPLES_CALL, PEER_ENROL},
    {"REMOVE", PEER_SAMPLES_CALL, PEER_REMOVE},
    {"USER", PEER_SAMPLES_CALL, PEER_USER},
    {"SESSIONS", PEER_SAMPLES_CALL, PEER_SESSIONS},
    {"DELIVER", PEER_SAMPLES_TELL, PEER_DELIVER},
    {"EVICT", PEER_SAMPLES_TELL, PEER_EVICT},
    {"APPS", PEER_SAMPLES_TELL, PEER_APPS},
    {"BOUND", PEER_SAMPLES_REPLY, PEER_BIND},
    {"UNBOUND", PEER_SAMPLES_REPLY, PEER_UNBIND},
    {"FETCHED", PEER_SAMPLES_REPLY, PEER_FETCH},
    {"CHECKED", PEER_SAMPLES_REPLY, PEER_CHECK},
    {"SENT", PEER_SAMPLES_REPLY, PEER_SEND},
    {"RECALLED", PEER_SAMPLES_REPLY, PEER_RECALL},
    {"STATED", PEER_SAMPLES_REPLY, PEER_STATE},
    {"REMOVED", PEER_SAMPLES_REPLY, PEER_REMOVE},
    {"USER_INFO", PEER_SAMPLES_REPLY, PEER_USER},
    {"LISTED", PEER_SAMPLES_REPLY, PEER_SESSIONS},
    {"DRAIN", PEER_SAMPLES_CALL, PEER_DRAIN},
    {"DRAINED", PEER_SAMPLES_REPLY, PEER_DRAIN},
    {"TOPIC_INTEREST", PEER_SAMPLES_CALL, PEER_TOPIC_INTEREST},
    {"TOPIC_FETCH", PEER_SAMPLES_CALL, PEER_TOPIC_FETCH},
    {"TOPIC_SEND", PEER_SAMPLES_CALL, PEER_TOPIC_SEND},
    {"SUBSCRIBE", PEER_SAMPLES_CALL, PEER_SUBSCRIBE},
    {"UNSUBSCRIBE", PEER_SAMPLES_CALL, PEER_UNSUBSCRIBE},
    {"SUBSCRIPTIONS", PEER_SAMPLES_CALL, PEER_SUBSCRIPTIONS},
    {"TOPIC_HEAD", PEER_SAMPLES_REPLY, PEER_TOPIC_INTEREST},
    {"TOPIC_PAGE", PEER_SAMPLES_REPLY, PEER_TOPIC_FETCH},
    {"TOPIC_SENT", PEER_SAMPLES_REPLY, PEER_TOPIC_SEND},
    {"SUBSCRIBED", PEER_SAMPLES_REPLY, PEER_SUBSCRIBE},
    {"UNSUBSCRIBED", PEER_SAMPLES_REPLY, PEER_UNSUBSCRIBE},
    {"SET", PEER_SAMPLES_REPLY, PEER_SUBSCRIPTIONS},
    {"TOPIC_DELIVER", PEER_SAMPLES_TELL, PEER_TOPIC_DELIVER},
    {"RESUBSCRIBED", PEER_SAMPLES_TELL, PEER_RESUBSCRIBED},
};
#define SAMPLES_COUNT (sizeof SAMPLES / sizeof SAMPLES[0])

static struct frame frame_of(const struct bytebuf *wire)
{
    struct bytes in = bytes_view(wire);
    struct frame frame;
    assert_int_equal(frame_take(&in, FRAME_BODY_MAX, &frame), 0);
    assert_int_equal(in.len, 0);
    return frame;
}

static void assert_same(const struct bytebuf *a, const struct bytebuf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->ptr, b->ptr, a->len);
}

static void every_message_comes_back_as_it_was(void **state)
{
    (void)state;
    struct peer_codec *codec = peer_codec_new();
    for (size_t i = 0; i < SAMPLES_COUNT; i++) {
        struct bytebuf once = {0};
        struct bytebuf twice = {0};
        peer_samples_encode(&once, SAMPLES[i].kind, SAMPLES[i].type);
        const struct frame frame = frame_of(&once);
        assert_int_equal(frame.type, SAMPLES[i].type + (SAMPLES[i].kind == PEER_SAMPLES_REPLY ? PEER_CODEC_REPLY : 0));
        assert_int_equal(peer_samples_recode(codec, &frame, &twice), 0);
        assert_same(&once, &twice);
        bytes_reset(&once);
        bytes_reset(&twice);
    }
    peer_codec_free(&codec);
}

static void values_are_those_that_were_sent(void **state)
{
    (void)state;
    struct peer_codec *codec = peer_codec_new();
    struct bytebuf wire = {0};
    struct peer_msg msg;
    struct peer_reply reply;
    uint32_t number = 0;
    peer_samples_encode(&wire, PEER_SAMPLES_CALL, PEER_SEND);
    struct frame frame = frame_of(&wire);
    assert_int_equal(peer_codec_decode_call(codec, &frame, &number, &msg), 0);
    assert_int_equal(number, PEER_SAMPLES_NUMBER);
    assert_true(bytes_equal_str(msg.send.target.user, "ana") && bytes_equal_str(msg.send.collapse_key, "score"));
    assert_true(bytes_equal_str(buf_bytes(msg.send.message), "hi"));
    assert_true(msg.send.has_key && msg.send.key[15] == 0x5a && msg.send.body_hash == 77 && msg.send.require_device);
    assert_true(msg.send.sent_ms == 1738000000000 && msg.send.durability == PEER_DURABILITY_REPLICATED);
    peer_codec_release_msg(&msg);

    wire.len = 0;
    peer_samples_encode(&wire, PEER_SAMPLES_REPLY, PEER_BIND);
    frame = frame_of(&wire);
    assert_int_equal(peer_codec_decode_reply(codec, &frame, &number, &reply), 0);
    assert_int_equal(reply.bound->replaced.slot, 300);
    assert_true(reply.bound->unnoted);
    assert_int_equal(reply.bound->page.count, 2);
    assert_int_equal(reply.bound->page.entries[1].seq, 302);
    assert_int_equal(reply.bound->page.gap.lost_at_most, 9);
    peer_codec_release_reply(PEER_BIND, &reply);

    wire.len = 0;
    peer_samples_encode(&wire, PEER_SAMPLES_REPLY, PEER_SESSIONS);
    frame = frame_of(&wire);
    assert_int_equal(peer_codec_decode_reply(codec, &frame, &number, &reply), 0);
    assert_true(reply.sessions.count == 2 && reply.sessions.next_slot == 42 && reply.sessions.records->len == 10);
    buf_unref(reply.sessions.records);

    wire.len = 0;
    peer_samples_encode(&wire, PEER_SAMPLES_REPLY, PEER_DRAIN);
    frame = frame_of(&wire);
    assert_int_equal(peer_codec_decode_reply(codec, &frame, &number, &reply), 0);
    assert_true(reply.drained.draining && reply.drained.sessions == 5000 && reply.drained.to_tell == 3000);
    assert_true(reply.drained.told == 120 && reply.drained.left == 1880);
    bytes_reset(&wire);
    peer_codec_free(&codec);
}

static void statuses_are_the_numbers_of_the_errors(void **state)
{
    (void)state;
    struct peer_codec *codec = peer_codec_new();
    const int statuses[] = {PETREL_E_UNAVAILABLE, PETREL_E_BUSY, PETREL_E_LOCKED, PETREL_E_INTERNAL};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct bytebuf wire = {0};
        struct peer_reply reply = {.status = statuses[i]};
        uint32_t number;
        assert_int_equal(peer_codec_encode_reply(&wire, 9, PEER_USER, &reply), 0);
        const struct frame frame = frame_of(&wire);
        assert_int_equal(frame.body.len, 8);
        assert_int_equal(frame.body.ptr[7], -statuses[i]);
        assert_int_equal(peer_codec_decode_reply(codec, &frame, &number, &reply), 0);
        assert_int_equal(reply.status, statuses[i]);
        wire.ptr[FRAME_HEADER_BYTES + 5] = 1; /* 65536 and more: of a newer version */
        const struct frame unknown = frame_of(&wire);
        assert_int_equal(peer_codec_decode_reply(codec, &unknown, &number, &reply), 0);
        assert_int_equal(reply.status, PETREL_E_INTERNAL);
        bytes_reset(&wire);
    }
    peer_codec_free(&codec);
}

/* What is cut short is refused or is a message that means less; nothing is read beyond its end, nothing leaks. */
static void a_message_cut_anywhere_is_no_other(void **state)
{
    (void)state;
    struct peer_codec *codec = peer_codec_new();
    for (size_t i = 0; i < SAMPLES_COUNT; i++) {
        struct bytebuf wire = {0};
        size_t refused = 0;
        peer_samples_encode(&wire, SAMPLES[i].kind, SAMPLES[i].type);
        const struct frame whole = frame_of(&wire);
        for (size_t len = 0; len < whole.body.len; len++) {
            uint8_t *copy = malloc(len > 0 ? len : 1);
            assert_non_null(copy);
            memcpy(copy, whole.body.ptr, len);
            struct bytebuf again = {0};
            const struct frame cut = {.type = whole.type, .body = bytes_of(copy, len)};
            refused += peer_samples_recode(codec, &cut, &again) != 0;
            assert_true(again.len < wire.len);
            bytes_reset(&again);
            free(copy);
        }
        assert_true(refused > 0);
        bytes_reset(&wire);
    }
    peer_codec_free(&codec);
}

static void refuse_call(struct peer_codec *codec, const struct peer_msg *msg)
{
    struct bytebuf wire = {0};
    struct peer_msg out;
    uint32_t number;
    assert_int_equal(peer_codec_encode_call(&wire, 1, msg), 0);
    const struct frame frame = frame_of(&wire);
    assert_int_equal(peer_codec_decode_call(codec, &frame, &number, &out), PETREL_E_PROTOCOL);
    bytes_reset(&wire);
}

static void what_is_out_of_bounds_is_refused(void **state)
{
    (void)state;
    struct peer_codec *codec = peer_codec_new();
    char text[ROUTE_USER_MAX + 2];
    memset(text, 'u', sizeof text);
    const struct peer_target good = {bytes_str("demo"), bytes_str("ana"), bytes_str("phone-1")};
    const struct route route = {.node = 1, .generation = 1};
    struct peer_msg msg = {.type = PEER_ENROL, .enrol = good};
    msg.enrol.user = bytes_of(text, ROUTE_USER_MAX + 1);
    refuse_call(codec, &msg);
    msg.enrol.user = bytes_str("a\nb");
    refuse_call(codec, &msg);
    msg.enrol.user = (struct bytes){NULL, 0};
    refuse_call(codec, &msg);
    msg = (struct peer_msg){.type = PEER_FETCH, .fetch = {.target = good, .max_entries = PEER_PAGE_MAX + 1}};
    refuse_call(codec, &msg);
    msg = (struct peer_msg){.type = PEER_UNBIND, .unbind = {.target = good}}; /* no route */
    refuse_call(codec, &msg);
    msg = (struct peer_msg){.type = PEER_BIND,
                            .bind = {.target = good, .route = route, .max_entries = PEER_PAGE_MAX + 1}};
    refuse_call(codec, &msg);
    msg = (struct peer_msg){.type = PEER_SEND, .send = {.target = good}}; /* no message */
    refuse_call(codec, &msg);
    msg = (struct peer_msg){.type = PEER_DRAIN, .drain = {.verb = PEER_DRAIN_BEGIN}}; /* no pace */
    refuse_call(codec, &msg);
    msg.drain = (struct peer_drain){.verb = (enum peer_drain_verb)(PEER_DRAIN_MOVE + 1), .per_second = 1};
    refuse_call(codec, &msg);
    msg.drain.verb = (enum peer_drain_verb)0;
    refuse_call(codec, &msg);
    peer_codec_free(&codec);
}

static void a_hello_tells_its_version_whatever_else_it_says(void **state)
{
    (void)state;
    struct peer_codec *codec = peer_codec_new();
    struct bytebuf wire = {0};
    struct peer_hello hello = peer_samples_hello();
    peer_codec_encode_hello(&wire, &hello);
    struct frame frame = frame_of(&wire);
    assert_true(frame.body.len <= PEER_CODEC_GREETING_MAX);
    assert_int_equal(peer_codec_version(frame.body), 1);
    assert_int_equal(peer_codec_decode_hello(codec, frame.body, &hello), 0);
    assert_true(bytes_equal_str(hello.name, "s1") && hello.serial == 3 && hello.nonce[31] == 0xa5);
    assert_int_equal(peer_codec_version(bytes_str("\x08\x02what a later version says")), 2);
    assert_int_equal(peer_codec_version(bytes_str("")), 0);
    hello.window = 0;
    wire.len = 0;
    peer_codec_encode_hello(&wire, &hello);
    frame = frame_of(&wire);
    assert_int_equal(peer_codec_decode_hello(codec, frame.body, &hello), PETREL_E_PROTOCOL);
    bytes_reset(&wire);
    peer_codec_free(&codec);
}

/* RFC 4231, test case 2; and a proof is of one side and of both hellos. */
static void a_proof_is_of_one_side_and_one_pair_of_hellos(void **state)
{
    (void)state;
    static const uint8_t EXPECTED[] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
                                       0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
                                       0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    uint8_t macs[5][DIGEST_SHA256_BYTES];
    const struct bytes secret = bytes_str("Jefe");
    digest_hmac_sha256(secret, bytes_str("what do ya want for nothing?"), macs[0]);
    assert_memory_equal(macs[0], EXPECTED, sizeof EXPECTED);
    peer_codec_mac(secret, true, bytes_str("aX"), bytes_str("Y"), macs[0]);
    peer_codec_mac(secret, false, bytes_str("aX"), bytes_str("Y"), macs[1]);
    peer_codec_mac(secret, true, bytes_str("a"), bytes_str("XY"), macs[2]);
    peer_codec_mac(secret, true, bytes_str("Y"), bytes_str("aX"), macs[3]);
    peer_codec_mac(bytes_str("jefe"), true, bytes_str("aX"), bytes_str("Y"), macs[4]);
    for (size_t i = 1; i < 5; i++)
        assert_false(digest_equal(macs[0], macs[i]));
}

static void encode_named(const char *name, struct bytebuf *out)
{
    const struct peer_hello hello = peer_samples_hello();
    if (strcmp(name, "HELLO") == 0) {
        peer_codec_encode_hello(out, &hello);
        return;
    }
    for (size_t i = 0; i < SAMPLES_COUNT; i++) {
        if (strcmp(name, SAMPLES[i].name) == 0)
            peer_samples_encode(out, SAMPLES[i].kind, SAMPLES[i].type);
    }
}

static void add_hex(struct bytebuf *wire, char *line)
{
    char *comment = strchr(line, '#');
    if (comment != NULL)
        *comment = '\0';
    char *end;
    for (const char *at = line;; at = end) {
        const unsigned long value = strtoul(at, &end, 16);
        if (end == at)
            return;
        assert_true(value <= 0xff);
        bytes_put_u8(wire, (uint8_t)value);
    }
}

static void examples_are_what_the_codec_says(void **state)
{
    (void)state;
    char line[1024];
    char name[64];
    size_t count = 0;
    FILE *file = fopen(README, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        struct bytebuf stated = {0};
        struct bytebuf encoded = {0};
        if (sscanf(line, "```peer %63s", name) != 1)
            continue;
        while (fgets(line, sizeof line, file) != NULL && strncmp(line, "```", 3) != 0)
            add_hex(&stated, line);
        encode_named(name, &encoded);
        assert_same(&stated, &encoded);
        bytes_reset(&stated);
        bytes_reset(&encoded);
        count++;
    }
    fclose(file);
    assert_int_equal(count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_was),
        cmocka_unit_test(values_are_those_that_were_sent),
        cmocka_unit_test(statuses_are_the_numbers_of_the_errors),
        cmocka_unit_test(a_message_cut_anywhere_is_no_other),
        cmocka_unit_test(what_is_out_of_bounds_is_refused),
        cmocka_unit_test(a_hello_tells_its_version_whatever_else_it_says),
        cmocka_unit_test(a_proof_is_of_one_side_and_one_pair_of_hellos),
        cmocka_unit_test(examples_are_what_the_codec_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
