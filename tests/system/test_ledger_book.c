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
    struct book_to to;
    struct id id;
};

/* A message of the sender's to the first user, or to that user's only device if `alone`. */
static struct sent send_one(struct book *book, uint32_t sender, bool alone)
{
    struct sent sent;
    do {
        sent.number = book_draw(book, sender, &sent.to);
    } while (sent.to.target >= 0 || sent.to.user != 0 || (sent.to.mate >= 0) != alone);
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
        if (sent->to.mate < 0 || book_device(book, i).mate == sent->to.mate) {
            book_seen(book, i, TOPICS_INBOX, sender, sent->number, &sent->id);
            count++;
        }
    }
    return count;
}

static void what_is_seen_is_not_lost(void **state)
{
    (void)state;
    struct book *book = book_new(DEVICES, SENDERS, 5, false);
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
    struct book *book = book_new(1, SENDERS, 1, false); /* one device: every message is for it */
    struct sent first = send_one(book, 0, false), second = send_one(book, 0, false), third = send_one(book, 0, false);
    accept_it(book, &first);
    accept_it(book, &second);
    book_seen(book, 0, TOPICS_INBOX, 0, second.number, &second.id);
    book_seen(book, 0, TOPICS_INBOX, 0, first.number, &first.id);
    assert_true(book_sum(book).out_of_order == 1);
    book_seen(book, 0, TOPICS_INBOX, 0, second.number, &second.id);
    assert_true(book_sum(book).duplicates == 1);
    book_seen(book, 0, TOPICS_INBOX, 1, third.number, &third.id); /* another sender's name on it */
    book_seen(book, 0, TOPICS_INBOX, 0, 1000000, &third.id);
    book_stranger(book);
    assert_true(book_sum(book).strangers == 3);
    book_seen(book, 0, TOPICS_INBOX, 0, third.number, &third.id); /* maybe, once */
    assert_true(book_sum(book).open > 0 && book_sum(book).strangers == 3);
    book_answered(book, third.number, BOOK_REFUSED, NULL);
    assert_true(book_sum(book).refused == 1 && book_sum(book).strangers == 4);
    struct sent fourth = send_one(book, 0, false);
    book_seen(book, 0, TOPICS_INBOX, 0, fourth.number, &first.id);
    accept_it(book, &fourth); /* the API calls it otherwise */
    assert_true(book_sum(book).strangers == 5);
    assert_true(book_sum(book).lost == 0);
    book_free(&book);
}

static void gaps_pay_for_what_they_tell(void **state)
{
    (void)state;
    struct book *book = book_new(1, SENDERS, 1, false);
    for (int i = 0; i < 5; i++) {
        struct sent sent = send_one(book, 2, false);
        accept_it(book, &sent);
    }
    assert_true(book_sum(book).lost == 5);
    book_gap(book, 0, TOPICS_INBOX, 3);
    struct book_sums sums = book_sum(book);
    assert_true(sums.lost == 2 && sums.missing == 5 && sums.gaps == 1);
    book_gap(book, 0, TOPICS_INBOX, 100);
    assert_true(book_sum(book).lost == 0);
    book_free(&book);
}

/* A message of the first sender's to that target. */
static struct sent send_to(struct book *book, uint32_t target)
{
    struct sent sent;
    do {
        sent.number = book_draw(book, 0, &sent.to);
    } while (sent.to.target != (int)target);
    sent.id = (struct id){.bytes = {(uint8_t)sent.number, (uint8_t)(sent.number >> 8), 1}};
    return sent;
}

static uint32_t subscribed(const struct book *book, uint32_t topic, bool is)
{
    uint32_t device = 0;
    while ((book_device(book, device).set >> topic & 1) != is)
        device++;
    return device;
}

static void a_topic_is_for_who_is_subscribed(void **state)
{
    (void)state;
    struct book *book = book_new(DEVICES, SENDERS, 5, true);
    const uint32_t in = subscribed(book, 2, true), out = subscribed(book, 2, false);
    struct sent first = send_to(book, 2), second = send_to(book, 2);
    accept_it(book, &first);
    accept_it(book, &second);
    uint64_t members = 0;
    for (uint32_t i = 0; i < DEVICES; i++)
        members += book_device(book, i).set >> 2 & 1;
    assert_true(book_sum_topics(book).expected == 2 * members && book_sum(book).lost == 2 * members);
    book_seen(book, in, 2, 0, second.number, &second.id);
    book_seen(book, in, 2, 0, first.number, &first.id);
    assert_true(book_sum_topics(book).out_of_order == 1 && book_sum_topics(book).delivered == 2);
    book_seen(book, in, 2, 0, first.number, &first.id);
    assert_true(book_sum_topics(book).duplicates == 1 && book_sum(book).strangers == 0);
    book_seen(book, out, 2, 0, first.number, &first.id);
    book_seen(book, in, TOPICS_ALL, 0, first.number, &first.id);
    assert_true(book_sum(book).strangers == 2);
    book_free(&book);
}

static void a_turn_asks_for_other_devices(void **state)
{
    (void)state;
    struct book *book = book_new(DEVICES, SENDERS, 5, true);
    struct sent before = send_to(book, 0);
    book_turn(book);
    struct sent after = send_to(book, 0);
    uint32_t joined = 0;
    while (!((book_device(book, joined).set & 1) != 0 && (book_device(book, joined).before & 1) == 0))
        joined++;
    book_seen(book, joined, 0, 0, before.number, &before.id);
    assert_true(book_sum(book).strangers == 1);
    book_seen(book, joined, 0, 0, after.number, &after.id);
    assert_true(book_sum(book).strangers == 1);
    book_free(&book);
}

/* Orders hold within a log, and what a gap tells of one pays in no other. */
static void logs_are_kept_apart(void **state)
{
    (void)state;
    struct book *book = book_new(DEVICES, SENDERS, 5, true);
    const uint32_t in = subscribed(book, 1, true);
    struct sent topic = send_to(book, 1), all = send_to(book, TOPICS_ALL);
    book_seen(book, in, TOPICS_ALL, 0, all.number, &all.id);
    book_seen(book, in, 1, 0, topic.number, &topic.id);
    assert_true(book_sum(book).out_of_order == 0);
    struct sent other = send_to(book, 1);
    accept_it(book, &other);
    const uint64_t lost = book_sum(book).lost;
    book_gap(book, in, TOPICS_ALL, 5);
    assert_true(book_sum(book).lost == lost);
    book_gap(book, in, 1, 5);
    assert_true(book_sum(book).lost == lost - 1 && book_sum_topics(book).gaps == 2);
    book_free(&book);
}

/* A condition is judged when an entry is sent, which may be later; but only who had a place in that log gets what is older. */
static void a_condition_may_be_met_later(void **state)
{
    (void)state;
    const uint32_t unless_four = 9;
    struct book *book = book_new(DEVICES, SENDERS, 5, true);
    struct sent sent = send_to(book, unless_four);
    accept_it(book, &sent);
    const uint64_t expected = book_sum(book).expected;
    book_turn(book);
    uint32_t left = 0;
    while (!((book_device(book, left).set & 16) == 0 && (book_device(book, left).before & 16) != 0))
        left++;
    book_seen(book, left, 4, 0, sent.number, &sent.id);
    assert_true(book_sum(book).strangers == 1);
    book_seen(book, left, TOPICS_ALL, 0, sent.number, &sent.id);
    assert_true(book_sum(book).strangers == 1 && book_sum(book).delivered == 0 && book_sum(book).expected == expected);
    book_seen(book, left, TOPICS_ALL, 0, sent.number, &sent.id);
    assert_true(book_sum(book).duplicates == 1);
    uint32_t stayed = 0;
    while ((book_device(book, stayed).set & book_device(book, stayed).before & 16) == 0)
        stayed++;
    book_seen(book, stayed, TOPICS_ALL, 0, sent.number, &sent.id);
    assert_true(book_sum(book).strangers == 2);
    book_free(&book);
}

static void conditions_are_met_by_sets(void **state)
{
    (void)state;
    /* 't1' in topics && ('t2' in topics || !('t5' in topics)) */
    const uint32_t target = 11;
    assert_string_equal(topics_to(target),
                        "{\"condition\":\"'t1' in topics && ('t2' in topics || !('t5' in topics))\"}");
    for (uint8_t set = 0; set < 64; set++) {
        const bool one = (set & 2) != 0, two = (set & 4) != 0, five = (set & 32) != 0;
        assert_int_equal(topics_meets(target, set), one && (two || !five));
        assert_false(topics_comes_by(target, set, TOPICS_ALL));
        assert_int_equal(topics_comes_by(target, set, 1), one);
    }
    assert_int_equal(topics_find("t3"), 3);
    assert_int_equal(topics_find("all"), TOPICS_ALL);
    assert_int_equal(topics_find(""), TOPICS_INBOX);
    assert_int_equal(topics_find("t9"), -1);
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
        cmocka_unit_test(what_is_seen_is_not_lost),      cmocka_unit_test(each_fault_is_counted),
        cmocka_unit_test(gaps_pay_for_what_they_tell),   cmocka_unit_test(a_topic_is_for_who_is_subscribed),
        cmocka_unit_test(a_turn_asks_for_other_devices), cmocka_unit_test(logs_are_kept_apart),
        cmocka_unit_test(a_condition_may_be_met_later),  cmocka_unit_test(conditions_are_met_by_sets),
        cmocka_unit_test(replies_are_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
