/* What a live session is sent: the one rule for holes, refilling from the log, gaps, late binds. */
#include "base/err.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct position at(uint64_t seq)
{
    return (struct position){RIG_EPOCH, seq};
}

/* The FETCH that a session asks from `seq` on, answered by page, whose entries are given back. */
static void answer_fetch(struct rig *rig, uint64_t seq, struct peer_page *page)
{
    struct link_call *fetch = rig_take(rig, PEER_FETCH);
    assert_int_equal(fetch->in.fetch.position.epoch, RIG_EPOCH);
    assert_int_equal(fetch->in.fetch.position.seq, seq);
    assert_true(fetch->in.fetch.max_entries > 0 && fetch->in.fetch.max_entries <= PEER_PAGE_MAX);
    rig_answer_page(rig, fetch, page);
    rig_page_free(page);
}

/* ---- the rule of PROMISE, section 2 ---- */

static void deliver_that_fits_is_pushed(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    rig_deliver(rig, route, at(11), 10, "eleven");
    client_take_push(&client, 11, 10, "eleven");
    /* prev is the log's head, which may be behind what the session has. */
    rig_deliver(rig, route, at(13), 9, "thirteen");
    client_take_push(&client, 13, 11, "thirteen");
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void deliver_seen_before_is_dropped(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    rig_deliver(rig, route, at(10), 9, "old");
    rig_deliver(rig, route, at(11), 10, "eleven");
    rig_deliver(rig, route, at(11), 10, "eleven");
    rig_deliver(rig, route, at(3), 2, "older");
    client_take_push(&client, 11, 10, "eleven");
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void advances_move_at_and_the_client_sees_no_hole(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    rig_deliver(rig, route, at(11), 10, NULL);
    rig_deliver(rig, route, at(12), 11, NULL);
    client_expect_silence(&client);
    rig_deliver(rig, route, at(13), 12, "thirteen");
    /* The client stands at 10 still: prev is what it was told last. */
    client_take_push(&client, 13, 10, "thirteen");
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void hole_is_refilled_from_the_log(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    rig_deliver(rig, route, at(13), 12, "thirteen");
    struct peer_page page = rig_page(13, 13);
    rig_page_add(&page, 12, "twelve");
    rig_page_add(&page, 13, "thirteen");
    answer_fetch(rig, 10, &page);
    client_take_push(&client, 12, 10, "twelve");
    client_take_push(&client, 13, 12, "thirteen");
    /* No longer behind: what fits is taken again. */
    rig_deliver(rig, route, at(14), 13, "fourteen");
    client_take_push(&client, 14, 13, "fourteen");
    rig_expect_no_call(rig);
    assert_int_equal(metrics_get(rig->metrics, METRIC_BEHIND), 1);
    client_close(&client);
    rig_free(&rig);
}

static void nothing_is_taken_while_behind(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    rig_deliver(rig, route, at(12), 11, "twelve");
    struct link_call *fetch = rig_take(rig, PEER_FETCH);
    /* It would fit; but then the page, with 12 in it, would come after it. One FETCH is under way at a time. */
    rig_deliver(rig, route, at(11), 10, "eleven");
    rig_deliver(rig, route, at(13), 12, "thirteen");
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    struct peer_page page = rig_page(12, 12);
    rig_page_add(&page, 11, "eleven");
    rig_page_add(&page, 12, "twelve");
    rig_answer_page(rig, fetch, &page);
    rig_page_free(&page);
    client_take_push(&client, 11, 10, "eleven");
    client_take_push(&client, 12, 11, "twelve");
    /* The page ended at the head, but 13 came since it was asked for. */
    page = rig_page(13, 13);
    rig_page_add(&page, 13, "thirteen");
    answer_fetch(rig, 12, &page);
    client_take_push(&client, 13, 12, "thirteen");
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void page_after_page_until_the_head(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 0);
    rig_deliver(rig, route, at(30), 29, "thirty");
    struct peer_page page = rig_page(10, 30);
    rig_page_add(&page, 9, "nine");
    answer_fetch(rig, 0, &page);
    page = rig_page(20, 30); /* nothing for this device in it */
    answer_fetch(rig, 10, &page);
    page = rig_page(30, 30);
    rig_page_add(&page, 30, "thirty");
    answer_fetch(rig, 20, &page);
    client_take_push(&client, 9, 0, "nine");
    client_take_push(&client, 30, 9, "thirty");
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void lost_delivers_are_found_by_the_next_one(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    /* 11 is lost; an advance shows the hole as well as a message does. */
    rig_deliver(rig, route, at(12), 11, NULL);
    struct peer_page page = rig_page(12, 12);
    rig_page_add(&page, 11, "eleven");
    answer_fetch(rig, 10, &page);
    client_take_push(&client, 11, 10, "eleven");
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void failed_fetch_is_asked_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    rig_deliver(rig, route, at(12), 11, "twelve");
    rig_answer(rig, rig_take(rig, PEER_FETCH), PETREL_E_UNAVAILABLE);
    rig_answer(rig, rig_take(rig, PEER_FETCH), PETREL_E_BUSY);
    struct peer_page page = rig_page(12, 12);
    rig_page_add(&page, 12, "twelve");
    answer_fetch(rig, 10, &page);
    client_take_push(&client, 12, 10, "twelve");
    client_close(&client);
    rig_free(&rig);
}

static void delivers_to_other_generations_find_nobody(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    struct route other = route;
    other.generation++;
    rig_deliver(rig, other, at(11), 10, "not yours");
    other = route;
    other.slot += 1000;
    rig_deliver(rig, other, at(11), 10, "not yours");
    client_expect_silence(&client);
    /* A slot that is used again has another generation. */
    client_disconnect(&client);
    client_take_end(&client);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_close(&client);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 0);
    struct route again = client_go_live(&client, rig, "phone", 10);
    assert_int_equal(again.slot, route.slot);
    assert_int_not_equal(again.generation, route.generation);
    rig_deliver(rig, route, at(11), 10, "not yours");
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

/* ---- late binds ---- */

static struct link_call *begin_bind(struct client *client, struct rig *rig)
{
    client_open(client, rig->port);
    client_connect(client, rig, "phone", 1, at(10));
    return rig_take(rig, PEER_BIND);
}

static void deliver_overtakes_its_bind(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct link_call *bind = begin_bind(&client, rig);
    rig_deliver(rig, bind->in.bind.route, at(12), 11, "twelve");
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(10), .page = rig_page(11, 11)};
    rig_page_add(&bound.page, 11, "eleven");
    rig_answer_bound(rig, bind, &bound);
    rig_page_free(&bound.page);
    client_take(&client, SESSION_CONNECTED);
    client_take_push(&client, 11, 10, "eleven");
    struct peer_page page = rig_page(12, 12);
    rig_page_add(&page, 12, "twelve");
    answer_fetch(rig, 11, &page);
    client_take_push(&client, 12, 11, "twelve");
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void deliver_that_the_page_holds_costs_no_fetch(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct link_call *bind = begin_bind(&client, rig);
    rig_deliver(rig, bind->in.bind.route, at(11), 10, "eleven");
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(10), .page = rig_page(11, 11)};
    rig_page_add(&bound.page, 11, "eleven");
    rig_answer_bound(rig, bind, &bound);
    rig_page_free(&bound.page);
    client_take(&client, SESSION_CONNECTED);
    client_take_push(&client, 11, 10, "eleven");
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void first_page_may_be_one_of_many(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct link_call *bind = begin_bind(&client, rig);
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(10), .page = rig_page(11, 12)};
    rig_page_add(&bound.page, 11, "eleven");
    rig_answer_bound(rig, bind, &bound);
    rig_page_free(&bound.page);
    client_take(&client, SESSION_CONNECTED);
    struct peer_page page = rig_page(12, 12);
    rig_page_add(&page, 12, "twelve");
    answer_fetch(rig, 11, &page);
    client_take_push(&client, 11, 10, "eleven");
    client_take_push(&client, 12, 11, "twelve");
    client_close(&client);
    rig_free(&rig);
}

/* ---- gaps and epochs in mid-session ---- */

static void gap_is_told_before_the_push_after_it(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    rig_deliver(rig, route, at(50), 49, "fifty");
    struct peer_page page = rig_page(50, 50);
    page.gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 10, .to = 40, .floor = 40, .lost_at_most = 30};
    rig_page_add(&page, 45, "forty-five");
    rig_page_add(&page, 50, "fifty");
    answer_fetch(rig, 10, &page);
    const struct session_gap *gap = &client_take(&client, SESSION_GAP)->gap;
    assert_int_equal(gap->from, 10);
    assert_int_equal(gap->to.epoch, RIG_EPOCH);
    assert_int_equal(gap->to.seq, 40);
    assert_int_equal(gap->lost_at_most, 30);
    assert_int_equal(gap->reason, SESSION_GAP_CAP);
    client_take_push(&client, 45, 40, "forty-five");
    client_take_push(&client, 50, 45, "fifty");
    assert_int_equal(metrics_get(rig->metrics, METRIC_GAPS), 1);
    /* The next fetch says what was told. */
    rig_deliver(rig, route, at(60), 59, NULL);
    struct link_call *fetch = rig_take(rig, PEER_FETCH);
    assert_int_equal(fetch->in.fetch.told_floor, 40);
    page = rig_page(60, 60);
    rig_answer_page(rig, fetch, &page);
    client_expect_silence(&client);
    client_close(&client);
    rig_free(&rig);
}

/* The cap drops low priority first: the hole is behind an entry that is left, so its GAP ends where the session stands. It is told
 * once, although the page after it begins below the floor. */
static void a_gap_behind_what_is_left_is_told_once(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    rig_deliver(rig, route, at(50), 49, "not taken");
    struct peer_page page = rig_page(11, 50);
    page.gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 10, .to = 10, .floor = 40, .lost_at_most = 30};
    rig_page_add(&page, 11, "high");
    answer_fetch(rig, 10, &page);
    const struct session_gap *gap = &client_take(&client, SESSION_GAP)->gap;
    assert_int_equal(gap->to.seq, 10);
    assert_int_equal(gap->lost_at_most, 30);
    client_take_push(&client, 11, 10, "high");
    struct link_call *fetch = rig_take(rig, PEER_FETCH);
    assert_int_equal(fetch->in.fetch.position.seq, 11);
    assert_int_equal(fetch->in.fetch.told_floor, 40);
    /* A log that says it again all the same is not repeated. */
    page = rig_page(50, 50);
    page.gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 11, .to = 40, .floor = 40, .lost_at_most = 29};
    rig_page_add(&page, 50, "fifty");
    rig_answer_page(rig, fetch, &page);
    rig_page_free(&page);
    client_take_push(&client, 50, 11, "fifty");
    assert_int_equal(metrics_get(rig->metrics, METRIC_GAPS), 1);
    client_close(&client);
    rig_free(&rig);
}

static void another_epoch_is_fetched_never_taken(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    /* An epoch that is over means nothing. */
    rig_deliver(rig, route, (struct position){RIG_EPOCH - 1, 11}, 10, "of the past");
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    /* A new one: it may have given seq 9 to another message. */
    rig_deliver(rig, route, (struct position){RIG_EPOCH + 1, 10}, 9, "ten again");
    struct peer_page page = rig_page(10, 10);
    page.epoch = RIG_EPOCH + 1;
    page.gap = (struct peer_gap){.reason = SESSION_GAP_ROLLBACK, .from = 10, .to = 8, .lost_at_most = 2};
    rig_page_add(&page, 9, "nine again");
    rig_page_add(&page, 10, "ten again");
    answer_fetch(rig, 10, &page);
    const struct session_gap *gap = &client_take(&client, SESSION_GAP)->gap;
    assert_int_equal(gap->reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(gap->to.epoch, RIG_EPOCH + 1);
    assert_int_equal(gap->to.seq, 8);
    const struct session_push *push = &client_take(&client, SESSION_PUSH)->push;
    assert_int_equal(push->position.epoch, RIG_EPOCH + 1);
    assert_int_equal(push->position.seq, 9);
    assert_int_equal(push->prev, 8);
    assert_int_equal(client_take(&client, SESSION_PUSH)->push.position.seq, 10);
    /* And from there on in the new epoch. */
    rig_deliver(rig, route, (struct position){RIG_EPOCH + 1, 11}, 10, "eleven");
    assert_int_equal(client_take(&client, SESSION_PUSH)->push.position.seq, 11);
    /* What the log may have forgotten with the rest, it hears again. */
    struct link_call *ack = rig_take(rig, PEER_ACK);
    assert_int_equal(ack->in.ack.position.epoch, RIG_EPOCH + 1);
    assert_int_equal(ack->in.ack.position.seq, 8);
    rig_answer(rig, ack, 0);
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void acks_from_before_a_rollback_are_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 10);
    rig_deliver(rig, route, (struct position){RIG_EPOCH, 13}, 12, "thirteen");
    struct peer_page page = rig_page(8, 8);
    page.gap = (struct peer_gap){.reason = SESSION_GAP_ROLLBACK, .from = 10, .to = 8, .lost_at_most = 2};
    answer_fetch(rig, 10, &page);
    assert_int_equal(client_take(&client, SESSION_GAP)->gap.to.seq, 8);
    client_ack(&client, RIG_EPOCH, 10); /* was on its way when the GAP was */
    client_expect_silence(&client);
    rig_deliver(rig, route, (struct position){RIG_EPOCH, 9}, 8, "nine again");
    client_take_push(&client, 9, 8, "nine again");
    client_close(&client);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deliver_that_fits_is_pushed),
        cmocka_unit_test(acks_from_before_a_rollback_are_nothing),
        cmocka_unit_test(deliver_seen_before_is_dropped),
        cmocka_unit_test(advances_move_at_and_the_client_sees_no_hole),
        cmocka_unit_test(hole_is_refilled_from_the_log),
        cmocka_unit_test(nothing_is_taken_while_behind),
        cmocka_unit_test(page_after_page_until_the_head),
        cmocka_unit_test(lost_delivers_are_found_by_the_next_one),
        cmocka_unit_test(failed_fetch_is_asked_again),
        cmocka_unit_test(delivers_to_other_generations_find_nobody),
        cmocka_unit_test(deliver_overtakes_its_bind),
        cmocka_unit_test(deliver_that_the_page_holds_costs_no_fetch),
        cmocka_unit_test(first_page_may_be_one_of_many),
        cmocka_unit_test(gap_is_told_before_the_push_after_it),
        cmocka_unit_test(a_gap_behind_what_is_left_is_told_once),
        cmocka_unit_test(another_epoch_is_fetched_never_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
