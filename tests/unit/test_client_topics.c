/* Topics in the core: positions that are saved and carried, what is accepted, what the application is told. */
#include "unit/client_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The script with a core of its own, which takes topics. */
static void on_message(void *ctx, const struct petrel_message *message)
{
    struct script *script = ctx;
    bytes_printf(&script->seen, "%s %u; ", message->topic, (unsigned)message->seq);
}

static void on_gap(void *ctx, const struct petrel_gap *gap)
{
    struct script *script = ctx;
    bytes_printf(&script->seen, "gap %s %u; ", gap->topic, (unsigned)gap->lost_at_most);
}

static void on_save(void *ctx, const struct petrel_state *state)
{
    struct script *script = ctx;
    script->saved = *state;
}

static void on_topic(void *ctx, const char *topic, bool follows, uint32_t code)
{
    struct script *script = ctx;
    bytes_printf(&script->seen, "%s %s %u; ", follows ? "follows" : "leaves", topic, code);
}

static void begin(struct script *script, const struct petrel_state *state)
{
    static const struct petrel_callbacks callbacks = {
        .on_message = on_message, .on_save = on_save, .on_gap = on_gap, .on_topic = on_topic};
    const struct petrel_core_config config = {.callbacks = &callbacks, .ctx = script, .topics = true, .seed = 7};
    script->core = petrel_core_new(&config, state);
    assert_non_null(script->core);
    assert_int_equal(petrel_core_connected(script->core, 1, "token"), 0);
}

static int setup(void **state)
{
    struct script *script = calloc(1, sizeof *script);
    const uint8_t *bytes;
    if (script == NULL)
        return -1;
    script->codec = session_codec_new();
    begin(script, NULL);
    script_connected(script, SESSION_NEW, 7, 40);
    assert_int_equal(script_feed(script, 0), 0);
    petrel_core_sent(script->core, petrel_core_output(script->core, &bytes));
    *state = script;
    return 0;
}

static int teardown(void **state)
{
    script_end(*state);
    free(*state);
    return 0;
}

static void subscribed(struct script *script, const char *topic, uint64_t epoch, uint64_t seq, uint32_t refused)
{
    const struct session_subscribed told = {.topic = bytes_str(topic),
                                            .position = {epoch, seq},
                                            .verdict = epoch != 0 ? SESSION_NEW : 0,
                                            .refused = refused};
    session_encode_topic_subscribed(&script->in, &told);
}

static void push(struct script *script, const char *topic, struct position at, uint64_t prev, uint8_t id)
{
    const struct session_message message = {.id = {{id}}, .body = bytes_str("1")};
    struct buf *stored = session_encode_message(&message);
    session_encode_topic_push(&script->in, bytes_str(topic), at, prev, buf_bytes(stored));
    buf_unref(stored);
}

/* The next frame that the core queued. */
static struct session_frame take_frame(struct script *script)
{
    const uint8_t *bytes;
    struct frame frame;
    struct session_frame decoded;
    struct bytes out = bytes_of(NULL, 0);
    const size_t len = petrel_core_output(script->core, &bytes);
    out = bytes_of(bytes, len);
    assert_int_equal(frame_take(&out, FRAME_BODY_MAX, &frame), 0);
    assert_int_equal(session_decode(script->codec, &frame, &decoded), 0);
    petrel_core_sent(script->core, len - out.len);
    return decoded;
}

static void positions_are_saved_and_carried(void **state)
{
    struct script *script = *state;
    subscribed(script, "all", 3, 10, 0);
    subscribed(script, "news", 4, 20, 0);
    push(script, "news", (struct position){4, 21}, 20, 1);
    push(script, "news", (struct position){4, 21}, 20, 1); /* again */
    push(script, "all", (struct position){3, 15}, 10, 2);
    push(script, "all", (struct position){3, 16}, 15, 1); /* under another position: it was in `news` */
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "follows all 0; follows news 0; news 21; all 15; ");
    const struct petrel_state saved = script->saved;
    assert_int_equal(saved.topics_count, 2);
    assert_true(saved.topics[0].seq == 16 && saved.topics[1].epoch == 4 && saved.topics[1].seq == 21);
    petrel_core_free(&script->core);
    begin(script, &saved);
    const struct session_connect connect = take_frame(script).connect;
    assert_true(connect.takes_topics && connect.topics_count == 2);
    assert_int_equal(connect.topics[1].position.seq, 21);
}

static void gaps_and_ends_are_told(void **state)
{
    struct script *script = *state;
    subscribed(script, "news", 4, 20, 0);
    const struct session_gap gap = {.log = SESSION_LOG_TOPIC,
                                    .from = 20,
                                    .to = {5, 30},
                                    .lost_at_most = 10,
                                    .reason = SESSION_GAP_TRIMMED,
                                    .topic = bytes_str("news")};
    session_encode_gap(&script->in, &gap);
    push(script, "news", (struct position){5, 31}, 30, 1);
    subscribed(script, "more", 0, 0, SESSION_CODE_TOO_MANY_TOPICS);
    subscribed(script, "news", 0, 0, 0);
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "follows news 0; gap news 10; news 31; leaves more 3512; leaves news 0; ");
    assert_int_equal(script->saved.topics_count, 0);
}

static void holes_break_the_connection(void **state)
{
    struct script *script = *state;
    subscribed(script, "news", 4, 20, 0);
    push(script, "news", (struct position){4, 22}, 21, 1);
    assert_int_equal(script_feed(script, 0), -1);
}

static void another_epoch_without_a_word_breaks_it(void **state)
{
    struct script *script = *state;
    subscribed(script, "news", 4, 20, 0);
    push(script, "news", (struct position){5, 21}, 20, 1);
    assert_int_equal(script_feed(script, 0), -1);
}

static void subscriptions_are_asked_for(void **state)
{
    struct script *script = *state;
    assert_int_equal(petrel_core_topic(script->core, "no topic", true), -1);
    assert_int_equal(petrel_core_topic(script->core, "news", true), 0);
    assert_int_equal(petrel_core_topic(script->core, "sport", false), 0);
    assert_int_equal(take_frame(script).type, SESSION_SUBSCRIBE);
    assert_int_equal(take_frame(script).type, SESSION_UNSUBSCRIBE);
    (void)petrel_core_lost(script->core, 2);
    assert_int_equal(petrel_core_topic(script->core, "news", true), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(positions_are_saved_and_carried), TEST(gaps_and_ends_are_told),
        TEST(holes_break_the_connection),      TEST(another_epoch_without_a_word_breaks_it),
        TEST(subscriptions_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
