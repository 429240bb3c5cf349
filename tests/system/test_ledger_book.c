/* The ledger's own sums: each kind of broken promise is counted as what it is. */
#include "system/ledger/book.h"
#include "system/ledger/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEVICES 40
#define SENDERS 3

struct sent {
    uint32_t number;
    uint32_t user;
    int mate;
    struct id id;
};

/* A message of the sender's to the first user, or to that user's only device if `alone`. */
static struct sent send_one(struct book *book, uint32_t sender, bool alone)
{
    struct sent sent;
    do {
        sent.number = book_draw(book, sender, &sent.user, &sent.mate);
    } while (sent.user != 0 || (sent.mate >= 0) != alone);
    sent.id = (struct id){.bytes = {(uint8_t)sent.number, (uint8_t)(sent.number >> 8)}};
    return sent;
}

static void accept_it(struct book *book, const struct sent *sent)
{
    book_answered(book, sent->number, BOOK_ACCEPTED, &sent->id);
}

/* All devices of the first user see it. */
static uint64_t see_it(struct book *book, uint32_t sender, const struct sent *sent)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < DEVICES && book_device(book, i).user == 0; i++) {
        if (sent->mate < 0 || book_device(book, i).mate == sent->mate) {
            book_seen(book, i, sender, sent->number, &sent->id);
            count++;
        }
    }
    return count;
}

static void what_is_seen_is_not_lost(void **state)
{
    (void)state;
    struct book *book = book_new(DEVICES, SENDERS, 5);
    struct sent first = send_one(book, 0, false), second = send_one(book, 0, true), other = send_one(book, 1, false);
    uint64_t seen = see_it(book, 1, &other); /* before its answer, and no order between senders */
    accept_it(book, &first);
    accept_it(book, &second);
    accept_it(book, &other);
    struct book_sums sums = book_sum(book);
    assert_true(sums.accepted == 3 && sums.delivered == seen && sums.lost == sums.expected - seen);
    seen += see_it(book, 0, &first) + see_it(book, 0, &second);
    sums = book_sum(book);
    assert_true(sums.delivered == seen && sums.expected == seen);
    assert_true(sums.lost + sums.out_of_order + sums.duplicates + sums.strangers == 0);
    book_free(&book);
}

static void each_fault_is_counted(void **state)
{
    (void)state;
    struct book *book = book_new(1, SENDERS, 1); /* one device: every message is for it */
    struct sent first = send_one(book, 0, false), second = send_one(book, 0, false), third = send_one(book, 0, false);
    accept_it(book, &first);
    accept_it(book, &second);
    book_seen(book, 0, 0, second.number, &second.id);
    book_seen(book, 0, 0, first.number, &first.id);
    assert_true(book_sum(book).out_of_order == 1);
    book_seen(book, 0, 0, second.number, &second.id);
    assert_true(book_sum(book).duplicates == 1);
    book_seen(book, 0, 1, third.number, &third.id); /* another sender's name on it */
    book_seen(book, 0, 0, 1000000, &third.id);
    book_stranger(book);
    assert_true(book_sum(book).strangers == 3);
    book_seen(book, 0, 0, third.number, &third.id); /* maybe, once */
    assert_true(book_sum(book).open > 0 && book_sum(book).strangers == 3);
    book_answered(book, third.number, BOOK_REFUSED, NULL);
    assert_true(book_sum(book).refused == 1 && book_sum(book).strangers == 4);
    struct sent fourth = send_one(book, 0, false);
    book_seen(book, 0, 0, fourth.number, &first.id);
    accept_it(book, &fourth); /* the API calls it otherwise */
    assert_true(book_sum(book).strangers == 5);
    assert_true(book_sum(book).lost == 0);
    book_free(&book);
}

static void gaps_pay_for_what_they_tell(void **state)
{
    (void)state;
    struct book *book = book_new(1, SENDERS, 1);
    for (int i = 0; i < 5; i++) {
        struct sent sent = send_one(book, 2, false);
        accept_it(book, &sent);
    }
    assert_true(book_sum(book).lost == 5);
    book_gap(book, 0, 3);
    struct book_sums sums = book_sum(book);
    assert_true(sums.lost == 2 && sums.missing == 5 && sums.gaps == 1);
    book_gap(book, 0, 100);
    assert_true(book_sum(book).lost == 0);
    book_free(&book);
}

static void replies_are_read_whole(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\nRetry-After: 7\r\n"
                               "Connection: close\r\n\r\nhello";
    struct reply reply;
    for (size_t cut = 0; cut < sizeof text - 1; cut++)
        assert_int_equal(reply_read(bytes_of(text, cut), &reply), 0);
    assert_int_equal(reply_read(bytes_str(text), &reply), 1);
    assert_int_equal(reply.status, 503);
    assert_int_equal(reply.retry_after_s, 7);
    assert_true(reply.close && bytes_equal_str(reply.body, "hello"));
    assert_int_equal(reply_read(bytes_str("HTTP/1.1 200 OK\r\n\r\n"), &reply), -1);
    assert_int_equal(reply_read(bytes_str("SSH-2.0\r\nContent-Length: 0\r\n\r\n"), &reply), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_seen_is_not_lost),
        cmocka_unit_test(each_fault_is_counted),
        cmocka_unit_test(gaps_pay_for_what_they_tell),
        cmocka_unit_test(replies_are_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
