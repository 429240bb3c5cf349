/* The short cut for plain objects against the parser that it stands in for: whatever it takes, the parser takes too, with the same
 * values; and it does take what senders write. */
#include "api/api_json_scan.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MUTANTS 40000
#define TEXT_MAX 512

struct fields {
    struct bytes text;
    struct bytes brief;
    struct api_json_uint number;
    bool flag;
    struct api_json_part object;
    struct api_json_part any;
};

#define ROW(name_, type_, min_, max_)                                                                                  \
    {                                                                                                                  \
        .name = #name_, .type = API_JSON_##type_, .offset = offsetof(struct fields, name_), .min = min_, .max = max_   \
    }

static const struct api_json_field table[] = {
    ROW(text, TEXT, 0, 0),
    ROW(brief, TEXT, 0, 4),
    ROW(number, UINT, 1, 5000000000),
    ROW(flag, BOOL, 0, 0),
    ROW(object, OBJECT, 0, 0),
    ROW(any, ANY, 0, 0),
    {.name = "later", .type = API_JSON_UNSUPPORTED},
};

#define FIELDS (sizeof table / sizeof table[0])

static bool same_text(struct bytes a, struct bytes b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && (a.ptr == NULL || bytes_equal(a, b));
}

static size_t index_of(json_t *object, const char *wanted)
{
    size_t index = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (strcmp(name, wanted) == 0)
            break;
        index++;
    }
    return index;
}

static bool same_part(json_t *object, struct bytes text, const char *name, const struct api_json_part *tree,
                      const struct api_json_part *scanned)
{
    if (tree->tree == NULL || scanned->text.ptr == NULL)
        return tree->tree == NULL && scanned->text.ptr == NULL;
    struct bytebuf a = {0}, b = {0};
    api_json_put_member(&a, text, index_of(object, name));
    api_json_put_compact(&b, scanned->text);
    const bool same = bytes_equal(bytes_view(&a), bytes_view(&b));
    bytes_reset(&a);
    bytes_reset(&b);
    return same;
}

/* Whether it was plain; fails the test when the parser says otherwise. */
static bool scan(struct bytes text)
{
    struct fields scanned = {0}, read = {0};
    struct api_error error = {0};
    if (!api_json_scan(text, table, FIELDS, &scanned))
        return false;
    json_t *object = api_json_parse(text, &error);
    if (object == NULL)
        fail_msg("%.*s: %s", (int)text.len, (const char *)text.ptr, error.message);
    assert_int_equal(api_json_read(object, "", table, FIELDS, &read, &error), 0);
    assert_true(same_text(scanned.text, read.text) && same_text(scanned.brief, read.brief));
    assert_int_equal(scanned.number.given, read.number.given);
    assert_true(scanned.number.value == read.number.value);
    assert_int_equal(scanned.flag, read.flag);
    assert_true(same_part(object, text, "object", &read.object, &scanned.object));
    assert_true(same_part(object, text, "any", &read.any, &scanned.any));
    json_decref(object);
    return true;
}

static const char *const plain[] = {
    "{}",
    " { } \r\n",
    "{\"text\":\"\"}",
    "{\"text\":\"user-1\",\"number\":3600,\"flag\":true,\"brief\":\"high\"}",
    "{\"object\":{\"user\":\"user-00000001\"},\"any\":\"0000000a xxxxxxxxxxxx\"}",
    "{ \"any\" : { \"title\" : \"Gr\xc3\xbc\xc3\x9f"
    "e\", \"n\" : [ 1 , -2.50 , 0 , null ] , \"o\":{} } , \"flag\" : false }",
    "{\"any\":\"a\\\"b\\\\c\\n\\/\",\"number\":5000000000}",
    "{\"any\":[[],{\"a\":[true,false]},\"\xf0\x9f\x90\xa6\x7f\"]}",
};

static void what_senders_write_is_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (!scan(bytes_str(plain[i])))
            fail_msg("not taken: %s", plain[i]);
    }
}

static void what_is_wrong_or_rare_is_left_to_the_parser(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        " ",
        "{",
        "}",
        "[]",
        "{}x",
        "{} {}",
        "{\"text\":\"a\"",
        "{\"text\":\"a",
        "{\"text\":\"a\",}",
        "{\"text\" \"a\"}",
        "{\"text\":\"a\",\"text\":\"b\"}",
        "{\"any\":{\"a\":1,\"a\":2}}",
        "{\"nobody\":1}",
        "{\"later\":1}",
        "{\"text\":\"\\u0061\"}",
        "{\"text\":\"a\\nb\"}",
        "{\"te\\u0078t\":\"a\"}",
        "{\"text\":1}",
        "{\"brief\":\"12345\"}",
        "{\"number\":0}",
        "{\"number\":5000000001}",
        "{\"number\":-1}",
        "{\"number\":1.0}",
        "{\"number\":01}",
        "{\"number\":1e3}",
        "{\"any\":1e400}",
        "{\"any\":99999999999999999999}",
        "{\"any\":-}",
        "{\"any\":.5}",
        "{\"any\":1.}",
        "{\"any\":tru}",
        "{\"any\":\"\xc3\"}",
        "{\"any\":\"\xff\"}",
        "{\"any\":\"a\tb\"}",
        "{\"any\":\"\\x\"}",
        "{\"any\":\"\\",
        "{\"any\":",
        "{\"any\":[1,]}",
        "{\"any\":[[[[[[[[]]]]]]]]}",
        "{\"object\":[]}",
        "{\"flag\":1}",
        "{\"flag\":null}",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (scan(bytes_str(others[i])))
            fail_msg("taken: %s", others[i]);
    }
}

/* Plain objects with a few bytes changed, doubled or left out: most are wrong, some are something else. */
static void mutants_are_read_alike(void **state)
{
    (void)state;
    static const char bytes[] = "{}[]\",:\\ 0129.-eEtfnu\x80\xc3\x01";
    struct rng rng;
    rng_seed(&rng, 7);
    int taken = 0;
    for (int i = 0; i < MUTANTS; i++) {
        const char *from = plain[rng_u64(&rng) % (sizeof plain / sizeof plain[0])];
        char text[TEXT_MAX];
        size_t len = strlen(from);
        memcpy(text, from, len);
        for (uint64_t changes = 1 + rng_u64(&rng) % 3; changes > 0 && len > 0; changes--) {
            const size_t at = rng_u64(&rng) % len;
            const uint64_t how = rng_u64(&rng) % 3;
            if (how == 0) {
                text[at] = bytes[rng_u64(&rng) % (sizeof bytes - 1)];
            } else if (how == 1) {
                memmove(text + at, text + at + 1, --len - at);
            } else {
                memmove(text + at + 1, text + at, len++ - at);
            }
        }
        taken += scan(bytes_of(text, len));
    }
    assert_true(taken > MUTANTS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_senders_write_is_plain),
        cmocka_unit_test(what_is_wrong_or_rare_is_left_to_the_parser),
        cmocka_unit_test(mutants_are_read_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
