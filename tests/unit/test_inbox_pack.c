/* The record that an inbox is packed into: faithful, read as the version before wrote it, refused when it is cut. */
#include "base/err.h"
#include "store/inbox_pack.h"
#include "unit/inbox_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* An inbox with some of everything, its record, and another that was read from it. */
static void open_packed(struct inbox_world *world, struct bytebuf *record, struct inbox *other)
{
    *record = (struct bytebuf){0};
    *other = (struct inbox){.key = bytes_str("app")};
    inbox_world_open_rich(world);
    inbox_pack(record, &world->live);
    assert_int_equal(inbox_pack_read(other, bytes_view(record)), 0);
}

static void records_are_faithful(void **state)
{
    (void)state;
    struct inbox_world world;
    struct bytebuf record;
    struct inbox other;
    open_packed(&world, &record, &other);
    inbox_world_assert_same(&world, &other);
    assert_int_equal(other.next_expiry_ms, world.live.next_expiry_ms);
    assert_true(inbox_state_bytes(&other) > 0);
    bytes_reset(&record);
    inbox_state_reset(&other);
    inbox_world_close(&world);
}

/* What the version before wrote: positions as they are. */
static void records_of_the_first_format_are_read(void **state)
{
    (void)state;
    struct inbox inbox = {.key = bytes_str("app")};
    struct bytebuf record = {0};
    bytes_put_u8(&record, 1);
    const uint64_t head[] = {5000, 40, 3, 2, 900, 4000, 1000, 4500};
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
        bytes_put_varint(&record, head[i]);
    bytes_put_varint(&record, 1);
    bytes_put_varint(&record, 3);
    bytes_put_u8(&record, 1);
    bytes_put_blob(&record, bytes_str("phone"));
    const uint64_t device[] = {4999, 4100, 40, 7, INBOX_WORLD_T0};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++)
        bytes_put_varint(&record, device[i]);
    for (int nothing = 0; nothing < 4; nothing++)
        bytes_put_varint(&record, 0);
    assert_int_equal(inbox_pack_read(&inbox, bytes_view(&record)), 0);
    assert_int_equal(inbox.head, 5000);
    assert_int_equal(inbox.floor, 40);
    assert_int_equal(inbox_state_epoch(&inbox), 1000);
    assert_int_equal(inbox.epochs[0].seq, 4000);
    assert_int_equal(inbox.epochs[1].seq, 4500);
    assert_int_equal(inbox.devices_count, 1);
    assert_int_equal(inbox.devices[0].acked, 4999);
    assert_int_equal(inbox.devices[0].floor, 4100);
    assert_int_equal(inbox.devices[0].told, 40);
    assert_int_equal(inbox.devices[0].attempt, 7);
    assert_int_equal(inbox.devices[0].bound_ms, INBOX_WORLD_T0);
    bytes_reset(&record);
    inbox_state_reset(&inbox);
}

static void cut_records_are_refused_whole(void **state)
{
    (void)state;
    struct inbox_world world;
    struct bytebuf record;
    struct inbox other;
    open_packed(&world, &record, &other);
    for (size_t len = 0; len < record.len; len++) {
        /* A block of exactly so many bytes, so that the sanitizer sees a read beyond it. */
        uint8_t *cut = malloc(len + (len == 0));
        assert_non_null(cut);
        memcpy(cut, record.ptr, len);
        assert_int_equal(inbox_pack_read(&other, bytes_of(cut, len)), PETREL_E_INVALID);
        free(cut);
        inbox_world_assert_same(&world, &other);
    }
    bytes_put_u8(&record, 0);
    assert_int_equal(inbox_pack_read(&other, bytes_view(&record)), PETREL_E_INVALID);
    bytes_reset(&record);
    inbox_state_reset(&other);
    inbox_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_faithful),
        cmocka_unit_test(records_of_the_first_format_are_read),
        cmocka_unit_test(cut_records_are_refused_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
