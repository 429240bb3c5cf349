#include "loop/mailbox.h"

#include "base/err.h"
#include "loop/loop_impl.h"

static void on_wakeup(uv_async_t *async)
{
    struct loop *loop = container_of(async, struct loop, mailbox.wakeup);
    object_check(loop, LOOP_MAGIC);
    loop_turn_begin(loop);
    mailbox_run(loop);
}

int mailbox_init(struct loop *loop)
{
    struct mailbox *box = &loop->mailbox;
    int rc = pthread_mutex_init(&box->lock, NULL);
    petrel_assert(rc == 0);
    box->first = NULL;
    box->last = NULL;
    return uv_async_init(&loop->uv, &box->wakeup, on_wakeup) == 0 ? 0 : PETREL_E_IO;
}

void mailbox_destroy(struct loop *loop)
{
    petrel_assert(loop->mailbox.first == NULL);
    (void)pthread_mutex_destroy(&loop->mailbox.lock);
}

bool mailbox_run(struct loop *loop)
{
    struct mailbox *box = &loop->mailbox;
    pthread_mutex_lock(&box->lock);
    struct mail *mail = box->first;
    box->first = NULL;
    box->last = NULL;
    pthread_mutex_unlock(&box->lock);
    bool any = mail != NULL;
    while (mail != NULL) {
        struct mail *next = mail->next;
        mail->run(mail);
        mail = next;
    }
    return any;
}

void mailbox_post_chain(struct loop *to, struct mail *first, struct mail *last)
{
    struct mailbox *box = &to->mailbox;
    last->next = NULL;
    pthread_mutex_lock(&box->lock);
    bool was_empty = box->first == NULL;
    if (was_empty)
        box->first = first;
    else
        box->last->next = first;
    box->last = last;
    /* Inside the lock: once it is open, the loop may run the mail, and its owner free the loop. */
    int rc = was_empty ? uv_async_send(&box->wakeup) : 0;
    pthread_mutex_unlock(&box->lock);
    petrel_assert(rc == 0);
}

void mailbox_post(struct loop *to, struct mail *mail)
{
    mailbox_post_chain(to, mail, mail);
}
