/* A loop whose crowd speaks all the time serves it now and then: mail and the few do not wait for it, and nobody is forgotten. */
#include "base/object.h"
#include "loop/listener.h"
#include "loop/mailbox.h"
#include "unit/loop_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define BUSY 20        /* servings, one a turn, after which a crowd is busy by any count */
#define MAILS 50       /* as many turns */
#define MAILS_BEFORE 5 /* turns that take no time; the next one takes longer than a crowd rests */
#define LONG_MS 100

/* Everything on the main thread, with a clock that moves when told: in a turn that takes no time no rest ends. */
struct pace {
    struct clock_manual clock;
    struct loop *loop;
    struct listener *listener, *few_listener;
    struct stream *streams[2]; /* of the crowd; of the few */
    int fds[2];
    int accepted;
    int heard;
    int heard_of_few;
    bool few_speak; /* when the crowd has become busy */
    bool urgent;    /* the mail then */
    struct mail mail;
    int mails;
    int mails_before; /* the crowd was heard again */
    struct loop_task turn_end;
    bool turn_ended; /* that of the first mail, before the crowd was heard again */
};

static void speak(const struct pace *pace, int which)
{
    petrel_assert(send(pace->fds[which], "x", 1, MSG_NOSIGNAL) == 1);
}

static void on_turn_end(struct loop_task *task)
{
    struct pace *pace = container_of(task, struct pace, turn_end);
    pace->turn_ended = pace->heard <= BUSY;
}

static void finish(struct pace *pace)
{
    pace->mails_before = pace->mails;
    stream_close(pace->streams[0]);
    stream_close(pace->streams[1]);
    loop_stop(pace->loop);
}

static void on_data(void *owner, struct bytes data)
{
    struct pace *pace = owner;
    (void)data;
    pace->heard++;
    if (pace->heard < BUSY)
        speak(pace, 0);
    else if (pace->heard > BUSY)
        finish(pace);
    else if (pace->few_speak)
        speak(pace, 1);
    else if (pace->urgent)
        mailbox_post_urgent(pace->loop, &pace->mail);
    else
        mailbox_post(pace->loop, &pace->mail);
}

static void on_data_of_few(void *owner, struct bytes data)
{
    struct pace *pace = owner;
    (void)data;
    pace->heard_of_few++;
    mailbox_post(pace->loop, &pace->mail);
}

/* The first mail makes the crowd speak; then each turn has mail. */
static void on_mail(struct mail *mail)
{
    struct pace *pace = container_of(mail, struct pace, mail);
    if (pace->mails++ == 0) {
        speak(pace, 0);
        loop_defer(pace->loop, &pace->turn_end);
    }
    if (pace->mails == MAILS_BEFORE)
        clock_manual_advance(&pace->clock, LONG_MS);
    if (pace->few_speak && pace->heard <= BUSY && pace->mails < MAILS)
        mailbox_post(pace->loop, &pace->mail);
}

static void on_end(void *owner, int status)
{
    (void)owner;
    (void)status;
}

static void on_closed(void *owner)
{
    (void)owner;
}

static const struct stream_ops ops = {.on_data = on_data, .on_end = on_end, .on_closed = on_closed};
static const struct stream_ops few_ops = {.on_data = on_data_of_few, .on_end = on_end, .on_closed = on_closed};

static void note_accepted(struct pace *pace)
{
    if (++pace->accepted == 2)
        speak(pace, 0);
}

static void on_accept(void *ctx, struct stream *stream)
{
    struct pace *pace = ctx;
    pace->streams[0] = stream;
    stream_attach(stream, &ops, pace);
    listener_close(&pace->listener);
    note_accepted(pace);
}

static void on_accept_few(void *ctx, struct stream *stream)
{
    struct pace *pace = ctx;
    pace->streams[1] = stream;
    stream_attach(stream, &few_ops, pace);
    listener_close(&pace->few_listener);
    note_accepted(pace);
}

static void run(struct pace *pace)
{
    clock_manual_init(&pace->clock, 1000, 1700000000000);
    pace->mail.run = on_mail;
    pace->turn_end = (struct loop_task){.run = on_turn_end};
    struct loop_config loop_config = {.clock = &pace->clock.clock};
    assert_int_equal(loop_new(&pace->loop, &loop_config), 0);
    struct listener_config config = {.host = "127.0.0.1", .crowd = true};
    assert_int_equal(listener_open(&pace->listener, pace->loop, &config, on_accept, pace), 0);
    config.crowd = false;
    assert_int_equal(listener_open(&pace->few_listener, pace->loop, &config, on_accept_few, pace), 0);
    pace->fds[0] = loop_rig_connect(listener_port(pace->listener));
    pace->fds[1] = loop_rig_connect(listener_port(pace->few_listener));
    loop_run(pace->loop);
    loop_free(&pace->loop);
    (void)close(pace->fds[0]);
    (void)close(pace->fds[1]);
}

static void a_busy_crowd_rests_and_the_few_and_mail_go_on(void **state)
{
    (void)state;
    struct pace pace = {.few_speak = true};
    run(&pace);
    assert_int_equal(pace.heard_of_few, 1);
    assert_true(pace.mails_before > MAILS_BEFORE);
    assert_true(pace.mails_before < MAILS);
    assert_int_equal(pace.heard, BUSY + 1);
}

/* No time passes by the clock, but the wait ends. */
static void what_waits_while_a_crowd_rests_is_not_forgotten(void **state)
{
    (void)state;
    struct pace pace = {.few_speak = false};
    run(&pace);
    assert_int_equal(pace.mails_before, 1);
    assert_int_equal(pace.heard, BUSY + 1);
    assert_false(pace.turn_ended);
}

static void urgent_mail_does_not_wait_for_a_crowd_that_rests(void **state)
{
    (void)state;
    struct pace pace = {.urgent = true};
    run(&pace);
    assert_int_equal(pace.mails_before, 1);
    assert_int_equal(pace.heard, BUSY + 1);
    assert_true(pace.turn_ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_crowd_rests_and_the_few_and_mail_go_on),
        cmocka_unit_test(what_waits_while_a_crowd_rests_is_not_forgotten),
        cmocka_unit_test(urgent_mail_does_not_wait_for_a_crowd_that_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
