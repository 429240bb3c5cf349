/* The parts of the Redis client that need no connection: replies and their bounds, views of a cluster, redirections, names of scripts. */
#include "base/err.h"
#include "base/object.h"
#include "driver/redis_codec.h"
#include "driver/redis_script.h"
#include "driver/redis_slots.h"
#include "driver/redis_verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PIECE (1024 * 1024)

/* What a whole input comes to: the last reply's verdict. */
static int read_all(struct redis_codec *codec, const char *text, const struct redis_value **reply)
{
    const int err = redis_codec_feed(codec, bytes_str(text));
    return err != 0 ? err : redis_codec_next(codec, reply);
}

/* The shortest prefixes are no reply yet; nothing of a reply is seen before all of it is there. */
static void test_every_prefix(void **state)
{
    (void)state;
    static const char text[] = "*4\r\n$2\r\nab\r\n:-5\r\n*2\r\n$-1\r\n*0\r\n-ERR no\r\n";
    for (size_t cut = 0; cut < sizeof text - 1; cut++) {
        struct redis_codec *codec = redis_codec_new();
        const struct redis_value *reply = NULL;
        assert_int_equal(redis_codec_feed(codec, bytes_of(text, cut)), 0);
        assert_int_equal(redis_codec_next(codec, &reply), 0);
        assert_int_equal(redis_codec_feed(codec, bytes_of(text + cut, sizeof text - 1 - cut)), 0);
        assert_int_equal(redis_codec_next(codec, &reply), 1);
        assert_int_equal(reply->type, REDIS_ARRAY);
        assert_int_equal(reply->count, 4);
        assert_true(bytes_equal_str(reply->items[0].text, "ab"));
        assert_int_equal(reply->items[1].integer, -5);
        assert_int_equal(reply->items[2].count, 2);
        assert_int_equal(reply->items[2].items[0].type, REDIS_NIL);
        assert_int_equal(reply->items[2].items[1].type, REDIS_ARRAY);
        assert_int_equal(reply->items[2].items[1].count, 0);
        assert_int_equal(reply->items[3].type, REDIS_ERROR);
        assert_int_equal(redis_codec_next(codec, &reply), 0);
        redis_codec_free(&codec);
    }
}

/* A reply that was kept outlives the next ones. */
static void test_keep(void **state)
{
    (void)state;
    struct redis_codec *codec = redis_codec_new();
    const struct redis_value *first = NULL, *second = NULL;
    assert_int_equal(read_all(codec, "*2\r\n$3\r\none\r\n:1\r\n$3\r\ntwo\r\n", &first), 1);
    struct redis_arena kept = redis_codec_keep(codec);
    assert_int_equal(redis_codec_next(codec, &second), 1);
    assert_true(bytes_equal_str(second->text, "two"));
    redis_codec_free(&codec);
    assert_true(bytes_equal_str(first->items[0].text, "one"));
    redis_codec_drop(&kept);
}

/* A string that is announced, or comes, beyond the limit; an array that lies about its length costs no more than the limit. */
static void test_too_large(void **state)
{
    (void)state;
    struct redis_codec *codec = redis_codec_new();
    const struct redis_value *reply = NULL;
    char *piece = malloc(PIECE);
    assert_non_null(piece);
    memset(piece, 'x', PIECE);
    int rc = read_all(codec, "$999999999\r\n", &reply);
    size_t fed = 0;
    for (; rc == 0 && fed < 2 * (size_t)REDIS_REPLY_BYTES_MAX; fed += PIECE) {
        assert_int_equal(redis_codec_feed(codec, bytes_of(piece, PIECE)), 0);
        rc = redis_codec_next(codec, &reply);
    }
    assert_int_equal(rc, PETREL_E_TOO_LARGE);
    assert_true(fed <= REDIS_REPLY_BYTES_MAX + 2 * PIECE);
    free(piece);
    redis_codec_free(&codec);

    codec = redis_codec_new();
    assert_int_equal(read_all(codec, "*2000000000\r\n", &reply), PETREL_E_TOO_LARGE);
    redis_codec_free(&codec);

    codec = redis_codec_new();
    rc = read_all(codec, "*200\r\n", &reply);
    for (int i = 0; rc == 0 && i < 200; i++) /* each may be, all together may not */
        rc = read_all(codec, "*100000\r\n", &reply) == 0 ? redis_codec_feed(codec, bytes_str(":1\r\n"))
                                                         : PETREL_E_TOO_LARGE;
    assert_int_equal(rc, PETREL_E_TOO_LARGE);
    redis_codec_free(&codec);
}

static void assert_sha(const char *text, const char *sha)
{
    struct redis_text *script = redis_script_text(0, bytes_str(text));
    assert_string_equal(script->name, sha);
    free(script);
}

/* RFC 3174 and FIPS 180, at the lengths where the padding takes another block. */
static void test_sha(void **state)
{
    (void)state;
    char text[65];
    assert_sha("", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_sha("abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    memset(text, 'a', 64);
    text[64] = '\0';
    assert_sha(text, "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    text[55] = '\0';
    assert_sha(text, "c1c8bbdc22796e28c0e15163d20899b65621d65a");
}

/* The name is the text's: two versions never meet under one. */
static void test_library(void **state)
{
    (void)state;
    struct redis_text *library = redis_script_library(3, "petrel", bytes_str("abc"));
    struct redis_script *function = redis_script_new(library, "append");
    static const char expected[] = "#!lua name=petrel_a9993e364706816a\nlocal library = 'petrel_a9993e364706816a'\nabc";
    assert_int_equal(library->index, 3);
    assert_string_equal(library->name, "petrel_a9993e364706816a");
    assert_int_equal(library->len, sizeof expected - 1);
    assert_memory_equal(library->text, expected, library->len);
    assert_string_equal(function->name, "petrel_a9993e364706816a_append");
    free(function);
    free(library);
}

static int read_view(const char *text, struct redis_view **view)
{
    struct redis_codec *codec = redis_codec_new();
    const struct redis_value *reply = NULL;
    assert_int_equal(read_all(codec, text, &reply), 1);
    const int err = redis_slots_read(reply, "10.0.0.9", false, view);
    redis_codec_free(&codec);
    return err;
}

#define NODE(ip, role, health)                                                                                         \
    "*10\r\n$2\r\nid\r\n$1\r\nx\r\n$4\r\nport\r\n:7000\r\n$2\r\nip\r\n" ip "$4\r\nrole\r\n" role                       \
    "$6\r\nhealth\r\n" health
#define MASTER "$6\r\nmaster\r\n"
#define REPLICA "$7\r\nreplica\r\n"
#define ONLINE "$6\r\nonline\r\n"
#define FAILED "$4\r\nfail\r\n"

/* Failed replicas count, for they may return; of two masters the living one is believed; a node that knows no address is where we
 * asked. */
static void test_view(void **state)
{
    (void)state;
    struct redis_view *view = NULL;
    assert_int_equal(
        read_view("*2\r\n"
                  "*4\r\n$5\r\nslots\r\n*4\r\n:0\r\n:5\r\n:7\r\n:7\r\n$5\r\nnodes\r\n*4\r\n" NODE("$8\r\n10.0.0.1\r\n",
                                                                                                  MASTER, FAILED)
                      NODE("$8\r\n10.0.0.2\r\n", MASTER, ONLINE) NODE("$8\r\n10.0.0.3\r\n", REPLICA, ONLINE) NODE(
                          "$8\r\n10.0.0.4\r\n", REPLICA,
                          FAILED) "*4\r\n$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n*1\r\n" NODE("$0\r\n\r\n", MASTER, ONLINE),
                  &view),
        0);
    assert_int_equal(view->nodes_count, 5);
    assert_int_equal(view->ranges_count, 2);
    assert_int_equal(view->replicas[0], 2);
    assert_int_equal(view->replicas[1], 0);
    assert_false(view->nodes[0].master);
    assert_true(view->nodes[1].master);
    assert_string_equal(view->nodes[1].address.host, "10.0.0.2");
    assert_int_equal(view->ranges[1].first, 7);
    assert_string_equal(view->nodes[4].address.host, "10.0.0.9");
    assert_int_equal(view->nodes[4].shard, 1);
    free(view);
}

static void test_bad_views(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "+OK\r\n",
        "-ERR This instance has cluster support disabled\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*4\r\n$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n*0\r\n", /* whole, and knows no slots */
        "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16384\r\n$5\r\nnodes\r\n*0\r\n",
        "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:-1\r\n:4\r\n$5\r\nnodes\r\n*0\r\n",
        "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:5\r\n:4\r\n$5\r\nnodes\r\n*0\r\n",
        "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n$1\r\n0\r\n:4\r\n$5\r\nnodes\r\n*0\r\n",
        "*1\r\n*2\r\n$5\r\nslots\r\n*2\r\n:0\r\n:4\r\n",
        "*1\r\n*3\r\n$5\r\nslots\r\n*2\r\n:0\r\n:4\r\n$5\r\nnodes\r\n", /* a name without a value */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct redis_view *view = NULL;
        assert_int_equal(read_view(bad[i], &view), PETREL_E_INVALID);
        assert_null(view);
    }
}

static void test_redirect(void **state)
{
    (void)state;
    struct redis_address to;
    uint32_t slot;
    assert_int_equal(redis_verdict_redirect(bytes_str("MOVED 16383 10.1.2.3:65535"), "10.0.0.9", &slot, &to), 0);
    assert_int_equal(slot, 16383);
    assert_string_equal(to.host, "10.1.2.3");
    assert_int_equal(to.port, 65535);
    assert_int_equal(redis_verdict_redirect(bytes_str("ASK 0 2001:db8::1:7000"), "10.0.0.9", &slot, &to), 0);
    assert_string_equal(to.host, "2001:db8::1");
    assert_int_equal(to.port, 7000);
    assert_int_equal(redis_verdict_redirect(bytes_str("ASK 0 :7000"), "10.0.0.9", &slot, &to), 0);
    assert_string_equal(to.host, "10.0.0.9");
    assert_int_equal(redis_verdict_redirect(bytes_str("ASK 0 ?:7000"), "10.0.0.9", &slot, &to), PETREL_E_INVALID);
    assert_int_equal(redis_verdict_redirect(bytes_str("ASK  10.0.0.1:7000"), "10.0.0.9", &slot, &to), PETREL_E_INVALID);
    assert_int_equal(redis_verdict_redirect(bytes_str(""), "10.0.0.9", &slot, &to), PETREL_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_prefix), cmocka_unit_test(test_keep),     cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_sha),          cmocka_unit_test(test_library),  cmocka_unit_test(test_view),
        cmocka_unit_test(test_bad_views),    cmocka_unit_test(test_redirect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
