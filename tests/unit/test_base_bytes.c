#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void packs_and_unpacks(void **state)
{
    (void)state;
    struct bytebuf out = {0};
    bytes_put_u8(&out, 0xab);
    bytes_put_u32(&out, 0x01020304);
    bytes_put_u64(&out, UINT64_MAX - 1);
    bytes_put_blob(&out, bytes_str("blob"));
    bytes_put_blob(&out, bytes_str(""));
    static const uint8_t head[] = {0xab, 4, 3, 2, 1, 0xfe};
    assert_memory_equal(out.ptr, head, sizeof head);

    struct bytes in = bytes_view(&out);
    uint8_t u8;
    uint32_t u32;
    uint64_t u64;
    struct bytes blob;
    assert_int_equal(bytes_get_u8(&in, &u8), 0);
    assert_int_equal(u8, 0xab);
    assert_int_equal(bytes_get_u32(&in, &u32), 0);
    assert_int_equal(u32, 0x01020304);
    assert_int_equal(bytes_get_u64(&in, &u64), 0);
    assert_true(u64 == UINT64_MAX - 1);
    assert_int_equal(bytes_get_blob(&in, &blob), 0);
    assert_true(bytes_equal_str(blob, "blob"));
    assert_int_equal(bytes_get_blob(&in, &blob), 0);
    assert_int_equal(blob.len, 0);
    assert_int_equal(in.len, 0);
    assert_int_equal(bytes_get_u8(&in, &u8), PETREL_E_INVALID);
    bytes_reset(&out);
}

static void truncated_input_is_left_where_it_was(void **state)
{
    (void)state;
    static const uint8_t raw[] = {5, 'a', 'b', 'c'};
    struct bytes in = bytes_of(raw, sizeof raw);
    struct bytes blob;
    uint64_t u64;
    assert_int_equal(bytes_get_blob(&in, &blob), PETREL_E_INVALID);
    assert_int_equal(bytes_get_u64(&in, &u64), PETREL_E_INVALID);
    assert_ptr_equal(in.ptr, raw);
    assert_int_equal(in.len, sizeof raw);
}

static void varints_have_one_form(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct bytebuf out = {0};
        bytes_put_varint(&out, values[i]);
        for (size_t cut = 0; cut < out.len; cut++) {
            struct bytes shorter = bytes_of(out.ptr, cut);
            uint64_t value;
            assert_int_equal(bytes_get_varint(&shorter, &value), PETREL_E_INVALID);
        }
        struct bytes in = bytes_view(&out);
        uint64_t value;
        assert_int_equal(bytes_get_varint(&in, &value), 0);
        assert_true(value == values[i]);
        assert_int_equal(in.len, 0);
        bytes_reset(&out);
    }
    static const uint8_t over_long[] = {0x80, 0x00};
    static const uint8_t too_big[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    struct bytes bad[] = {bytes_of(over_long, sizeof over_long), bytes_of(too_big, sizeof too_big),
                          bytes_of(endless, sizeof endless)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t value;
        assert_int_equal(bytes_get_varint(&bad[i], &value), PETREL_E_INVALID);
    }
}

static void grows_prints_and_consumes(void **state)
{
    (void)state;
    struct bytebuf out = {0};
    for (int i = 0; i < 1000; i++)
        bytes_printf(&out, "%d,", i);
    assert_int_equal(out.len, 10 * 2 + 90 * 3 + 900 * 4);
    bytes_consume(&out, out.len - 4);
    assert_true(bytes_equal_str(bytes_view(&out), "999,"));
    bytes_printf(&out, "%0500d", 7);
    assert_int_equal(out.len, 504);
    assert_int_equal(out.ptr[503], '7');
    bytes_consume(&out, 504);
    assert_int_equal(out.len, 0);
    bytes_append_str(&out, "again");
    assert_true(bytes_equal_str(bytes_view(&out), "again"));
    bytes_reset(&out);
    assert_null(out.ptr);
}

/* RFC 4648 section 10, and the letters in which the alphabets differ. */
static void base64_follows_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *standard, *url;
    } rows[] = {{"", "", ""},
                {"f", "Zg==", "Zg"},
                {"fo", "Zm8=", "Zm8"},
                {"foo", "Zm9v", "Zm9v"},
                {"foob", "Zm9vYg==", "Zm9vYg"},
                {"fooba", "Zm9vYmE=", "Zm9vYmE"},
                {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                {"\xfb\xff\xbf", "+/+/", "-_-_"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytebuf out = {0};
        bytes_put_base64(&out, bytes_str(rows[i].plain));
        assert_true(bytes_equal_str(bytes_view(&out), rows[i].standard));
        bytes_consume(&out, out.len);
        bytes_put_base64url(&out, bytes_str(rows[i].plain));
        assert_true(bytes_equal_str(bytes_view(&out), rows[i].url));
        bytes_consume(&out, out.len);
        assert_int_equal(bytes_get_base64(bytes_str(rows[i].standard), &out), 0);
        assert_true(bytes_equal_str(bytes_view(&out), rows[i].plain));
        bytes_consume(&out, out.len);
        assert_int_equal(bytes_get_base64url(bytes_str(rows[i].url), &out), 0);
        assert_true(bytes_equal_str(bytes_view(&out), rows[i].plain));
        bytes_reset(&out);
    }
}

static void base64_refuses_what_is_not_exact(void **state)
{
    (void)state;
    static const char *const standard[] = {
        "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm9v\n", "-_-_", "Z=g="};
    static const char *const url[] = {"Z", "Zg==", "Zh", "Zm9", "+/+/", "Zm 8", "Zm9vZ"};
    struct bytebuf out = {0};
    bytes_append_str(&out, "kept");
    for (size_t i = 0; i < sizeof standard / sizeof standard[0]; i++)
        assert_int_equal(bytes_get_base64(bytes_str(standard[i]), &out), PETREL_E_INVALID);
    for (size_t i = 0; i < sizeof url / sizeof url[0]; i++)
        assert_int_equal(bytes_get_base64url(bytes_str(url[i]), &out), PETREL_E_INVALID);
    assert_true(bytes_equal_str(bytes_view(&out), "kept"));
    bytes_reset(&out);
}

static void bufs_count_references(void **state)
{
    (void)state;
    struct buf *buf = buf_copy(bytes_str("shared"));
    assert_ptr_equal(buf_ref(buf), buf);
    buf_unref(buf);
    assert_true(bytes_equal_str(buf_bytes(buf), "shared"));
    buf_unref(buf); /* the leak checker sees whether this was the last */
    buf_unref(NULL);
    struct buf *empty = buf_copy((struct bytes){NULL, 0});
    assert_int_equal(buf_bytes(empty).len, 0);
    assert_non_null(buf_bytes(empty).ptr);
    buf_unref(empty);
    assert_null(buf_bytes(NULL).ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_and_unpacks),      cmocka_unit_test(truncated_input_is_left_where_it_was),
        cmocka_unit_test(varints_have_one_form),  cmocka_unit_test(grows_prints_and_consumes),
        cmocka_unit_test(base64_follows_the_rfc), cmocka_unit_test(base64_refuses_what_is_not_exact),
        cmocka_unit_test(bufs_count_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
