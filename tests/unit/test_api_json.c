/* The room's pure parts: JSON pieces, opaque texts, the error table. */
#include "api/api_address.h"
#include "api/api_json.h"
#include "api/api_query.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect_member(const char *text, size_t index, const char *expected)
{
    struct api_error error;
    json_t *object = api_json_parse(bytes_str(text), &error);
    assert_non_null(object);
    json_decref(object);
    struct bytebuf out = {0};
    api_json_put_member(&out, bytes_str(text), index);
    bytes_append(&out, "", 1);
    assert_string_equal((const char *)out.ptr, expected);
    bytes_reset(&out);
}

static void members_keep_their_text(void **state)
{
    (void)state;
    const char *text =
        " {\"a\" : 1.50e+3 ,\t\"b{\\\"\" : { \"x\" : [ \" , }\" , { } ] } , \"c\":\"\\\\\" ,\r\n\"d\":false }\n";
    expect_member(text, 0, "1.50e+3");
    expect_member(text, 1, "{\"x\":[\" , }\",{}]}");
    expect_member(text, 2, "\"\\\\\"");
    expect_member(text, 3, "false");
}

static void expect_text(struct bytes text, const char *expected)
{
    struct bytebuf out = {0};
    api_json_put_text(&out, text);
    bytes_append(&out, "", 1);
    assert_string_equal((const char *)out.ptr, expected);
    json_t *value = json_loads((const char *)out.ptr, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    json_decref(value);
    bytes_reset(&out);
}

static void texts_are_escaped(void **state)
{
    (void)state;
    expect_text(bytes_str(""), "\"\"");
    expect_text((struct bytes){NULL, 0}, "\"\"");
    expect_text(bytes_str("a\"b\\c\nd\x01\x7f"), "\"a\\\"b\\\\c\\nd\\u0001\\u007f\"");
    expect_text(bytes_str("\xc3\xa9\xf0\x9f\x90\xa6"), "\"\xc3\xa9\xf0\x9f\x90\xa6\"");
    expect_text(bytes_str("x\xff\xc3"), "\"x\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void depth_is_bounded_and_strings_do_not_count(void **state)
{
    (void)state;
    char text[400] = "{\"a\":";
    for (int i = 0; i < 63; i++)
        strcat(text, "[");
    strcat(text, "\"[[[[[[[[[[{{{{\\\"[[\"");
    for (int i = 0; i < 63; i++)
        strcat(text, "]");
    strcat(text, "}");
    struct api_error error;
    json_t *object = api_json_parse(bytes_str(text), &error);
    assert_non_null(object);
    json_decref(object);
    assert_null(api_json_parse(bytes_str("{\"a\":\"unfinished"), &error));
    assert_null(api_json_parse(bytes_str("{\"a\":\"\\"), &error));
    assert_int_equal(error.kind, API_ERROR_INVALID_JSON);
}

/* Every error that is read cut short is a text still. */
static void long_names_are_cut_between_characters(void **state)
{
    (void)state;
    struct api_error error;
    char name[400];
    for (size_t i = 0; i < sizeof name - 1; i += 3)
        memcpy(name + i, "\xe2\x82\xac", 3);
    name[sizeof name - 1] = '\0';
    (void)api_error_set(&error, API_ERROR_INVALID, name, "%s", name);
    struct bytebuf out = {0};
    api_error_render(&error, 7, &out);
    json_t *value = json_loadb((const char *)out.ptr, out.len, 0, NULL);
    assert_non_null(value);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(value, "error"), "line")), 7);
    json_decref(value);
    bytes_reset(&out);
}

static void every_error_code_is_mapped_to_a_status(void **state)
{
    (void)state;
#define CHECK_ERR(number, name, text)                                                                                  \
    {                                                                                                                  \
        struct api_error error;                                                                                        \
        api_error_from(&error, PETREL_E_##name, false, "field");                                                       \
        assert_in_range(api_error_http(error.kind), 400, 599);                                                         \
    }
    PETREL_ERR_TABLE(CHECK_ERR)
#undef CHECK_ERR
    struct api_error error;
    api_error_from(&error, PETREL_E_TIMEOUT, true, NULL);
    assert_int_equal(error.kind, API_ERROR_UNKNOWN_OUTCOME);
    api_error_from(&error, PETREL_E_FULL, true, "field");
    assert_string_equal(error.field, "");
    api_error_from_http(&error, 413, "x");
    assert_int_equal(error.kind, API_ERROR_TOO_LARGE);
    api_error_from_http(&error, 400, "x");
    assert_int_equal(error.kind, API_ERROR_BAD_REQUEST);
}

static void set(struct api_target *target, const char *user, const char *device)
{
    api_address_set_target(target, bytes_str("shop"), bytes_str(user), bytes_str(device));
}

static void message_ids_carry_their_target(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    const struct id id = id_new(&rng, 1700000000000);
    static const char *const targets[][2] = {{"ann", ""}, {"ann", "phone"}, {"\xc3\xa9 ~", "a:b._-"}};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct api_target target;
        struct api_target got = {.app = "shop"};
        struct id got_id;
        struct bytebuf text = {0};
        set(&target, targets[i][0], targets[i][1]);
        api_address_put_message(&text, &id, &target);
        assert_int_equal(api_address_get_message(bytes_view(&text), &got_id, &got), 0);
        assert_memory_equal(&got_id, &id, sizeof id);
        assert_string_equal(got.user, target.user);
        assert_string_equal(got.device, target.device);
        for (size_t len = 0; len < 38; len++)
            assert_int_equal(api_address_get_message(bytes_of(text.ptr, len), &got_id, &got), PETREL_E_INVALID);
        bytes_reset(&text);
    }
}

static void messages_of_topics_are_known_as_such(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    const struct id id = id_new(&rng, 1700000000000);
    struct api_target target;
    struct api_target got = {.app = "shop"};
    struct id got_id;
    struct bytebuf text = {0};
    set(&target, "", "news");
    api_address_put_message(&text, &id, &target);
    assert_int_equal(api_address_get_message(bytes_view(&text), &got_id, &got), PETREL_E_UNSUPPORTED);
    assert_memory_equal(&got_id, &id, sizeof id);
    text.len = 0;
    api_address_put_device(&text, &target);
    assert_int_equal(api_address_get_device(bytes_view(&text), &got), PETREL_E_INVALID);
    bytes_reset(&text);
}

static void device_addresses_are_checked(void **state)
{
    (void)state;
    struct api_target target;
    char user[ROUTE_USER_MAX + 1];
    char device[ROUTE_DEVICE_MAX + 1];
    memset(user, 'u', sizeof user - 1);
    memset(device, 'd', sizeof device - 1);
    user[sizeof user - 1] = device[sizeof device - 1] = '\0';
    set(&target, user, device);
    struct bytebuf text = {0};
    api_address_put_device(&text, &target);
    struct api_target got = {.app = "shop"};
    assert_int_equal(api_address_get_device(bytes_view(&text), &got), 0);
    assert_string_equal(got.user, user);
    assert_string_equal(got.device, device);
    for (size_t i = 0; i < text.len; i++) {
        text.ptr[i] ^= 1;
        assert_int_equal(api_address_get_device(bytes_view(&text), &got), PETREL_E_INVALID);
        text.ptr[i] ^= 1;
        assert_int_equal(api_address_get_device(bytes_of(text.ptr, i), &got), PETREL_E_INVALID);
    }
    struct api_target other = {.app = "other"};
    assert_int_equal(api_address_get_device(bytes_view(&text), &other), PETREL_E_INVALID);
    bytes_reset(&text);
    set(&target, "ann", "");
    api_address_put_device(&text, &target); /* no device: no address */
    assert_int_equal(api_address_get_device(bytes_view(&text), &got), PETREL_E_INVALID);
    bytes_reset(&text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_keep_their_text),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(depth_is_bounded_and_strings_do_not_count),
        cmocka_unit_test(long_names_are_cut_between_characters),
        cmocka_unit_test(every_error_code_is_mapped_to_a_status),
        cmocka_unit_test(message_ids_carry_their_target),
        cmocka_unit_test(messages_of_topics_are_known_as_such),
        cmocka_unit_test(device_addresses_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
