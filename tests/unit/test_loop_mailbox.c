#include "base/object.h"
#include "loop/mailbox.h"
#include "unit/loop_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SENDERS 4
#define LETTERS 5000

struct letter {
    struct mail mail;
    struct sender *sender;
    int number;
};

struct sender {
    struct loop_rig *rig;
    pthread_t thread;
    int received; /* the loop's alone */
    int disordered;
    int done;
};

static void take_letter(struct mail *mail)
{
    struct letter *letter = container_of(mail, struct letter, mail);
    struct sender *sender = letter->sender;
    if (letter->number != sender->received)
        sender->disordered++;
    sender->received++;
    free(letter);
    if (sender->received == LETTERS)
        loop_rig_bump(sender->rig, &sender->done);
}

static void *send_letters(void *arg)
{
    struct sender *sender = arg;
    for (int i = 0; i < LETTERS; i++) {
        struct letter *letter = object_zalloc(sizeof *letter);
        *letter = (struct letter){.mail = {.run = take_letter}, .sender = sender, .number = i};
        mailbox_post(sender->rig->loop, &letter->mail);
    }
    return NULL;
}

static void mail_of_each_thread_arrives_in_order(void **state)
{
    (void)state;
    struct loop_rig rig;
    loop_rig_start(&rig);
    struct sender senders[SENDERS] = {{0}};
    for (int i = 0; i < SENDERS; i++) {
        senders[i].rig = &rig;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_letters, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        loop_rig_wait(&rig, &senders[i].done, 1);
    }
    loop_rig_stop(&rig);
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(senders[i].received, LETTERS);
        assert_int_equal(senders[i].disordered, 0);
    }
}

struct counted {
    struct mail mail;
    struct loop *loop;
    struct loop_task *task;
    int runs;
    int posts_left;
};

static void count_and_repost(struct mail *mail)
{
    struct counted *counted = container_of(mail, struct counted, mail);
    counted->runs++;
    if (counted->task != NULL)
        loop_at_turn_end(counted->loop, counted->task);
    if (counted->posts_left-- > 0)
        mailbox_post(counted->loop, mail);
}

static struct loop *new_loop(void)
{
    struct loop *loop;
    assert_int_equal(loop_new(&loop, &(struct loop_config){.index = 0}), 0);
    return loop;
}

static void mail_is_run_at_the_latest_when_the_loop_is_freed(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct counted counted = {.mail = {.run = count_and_repost}, .loop = loop, .posts_left = 3};
    mailbox_post(loop, &counted.mail);
    assert_int_equal(counted.runs, 0);
    loop_free(&loop);
    assert_int_equal(counted.runs, 4);
}

struct turn_counter {
    struct loop_task task;
    struct loop *loop;
    int turns;
};

static void count_turn(struct loop_task *task)
{
    struct turn_counter *counter = container_of(task, struct turn_counter, task);
    counter->turns++;
    loop_stop(counter->loop);
}

static void a_batch_is_run_in_one_turn(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct turn_counter counter = {.task = {.run = count_turn}, .loop = loop};
    struct counted batch[100];
    for (int i = 0; i < 100; i++) {
        batch[i] = (struct counted){.mail = {.run = count_and_repost}, .loop = loop, .task = &counter.task};
        mailbox_post(loop, &batch[i].mail);
    }
    loop_run(loop);
    for (int i = 0; i < 100; i++)
        assert_int_equal(batch[i].runs, 1);
    assert_int_equal(counter.turns, 1);
    loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_of_each_thread_arrives_in_order),
        cmocka_unit_test(mail_is_run_at_the_latest_when_the_loop_is_freed),
        cmocka_unit_test(a_batch_is_run_in_one_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
