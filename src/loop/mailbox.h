/* mailbox.h: how one thread hands work to a loop. Senders append under a short lock, the loop takes the whole batch; one
 * wake-up per batch. Mail from one thread to one loop is run in the order it was posted, and before what happens on a socket after
 * the post is looked at. */
#ifndef PETREL_LOOP_MAILBOX_H
#define PETREL_LOOP_MAILBOX_H

#include "loop/loop.h"

/* Embedded by its owner. From mailbox_post() until run() is called it belongs to the loop. run() may free or re-post it. */
struct mail {
    struct mail *next;
    void (*run)(struct mail *mail);
};

/* Run mail->run(mail) once on the loop's thread, never before this returns. Any thread; also before loop_run() and up to
 * loop_free(). Never fails: who posts bounds how much is under way. */
void mailbox_post(struct loop *to, struct mail *mail);
/* As mailbox_post(). A loop that lets its busy crowd rest (crowd.c) is woken, and runs all mail, where other mail may wait some ms. */
void mailbox_post_urgent(struct loop *to, struct mail *mail);

#endif
