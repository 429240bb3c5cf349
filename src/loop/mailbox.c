#include "loop/mailbox.h"

#include "base/err.h"
#include "loop/loop_impl.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The eventfd is watched for its edges: each write is told once, and nobody needs to read it. */
int mailbox_init(struct loop *loop)
{
    struct mailbox *box = &loop->mailbox;
    int rc = pthread_mutex_init(&box->lock, NULL);
    petrel_assert(rc == 0);
    box->wakeup = (struct endpoint){WAKEUP_MAGIC, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (box->wakeup.fd < 0)
        return PETREL_E_IO;
    return pollset_add(loop, POLLSET_OF_ALL, &box->wakeup, EPOLLIN | EPOLLET);
}

void mailbox_destroy(struct loop *loop)
{
    petrel_assert(loop->mailbox.first == NULL);
    while (atomic_load_explicit(&loop->mailbox.posting, memory_order_acquire) > 0)
        (void)sched_yield(); /* for as long as a write to an eventfd takes */
    if (loop->mailbox.wakeup.fd >= 0)
        (void)close(loop->mailbox.wakeup.fd);
    (void)pthread_mutex_destroy(&loop->mailbox.lock);
}

bool mailbox_run(struct loop *loop)
{
    struct mailbox *box = &loop->mailbox;
    atomic_store_explicit(&box->sleep, MAILBOX_AWAKE, memory_order_relaxed);
    if (atomic_load_explicit(&box->filled, memory_order_acquire) == MAILBOX_EMPTY)
        return false;
    pthread_mutex_lock(&box->lock);
    struct mail *mail = box->first;
    box->first = NULL;
    box->last = NULL;
    atomic_store_explicit(&box->filled, MAILBOX_EMPTY, memory_order_relaxed);
    pthread_mutex_unlock(&box->lock);
    bool any = mail != NULL;
    while (mail != NULL) {
        struct mail *next = mail->next;
        mail->run(mail);
        mail = next;
    }
    return any;
}

/* Whether such mail ends such a sleep. */
static bool is_woken(int sleep, int mail)
{
    return sleep == MAILBOX_RESTING ? mail == MAILBOX_URGENT : sleep == MAILBOX_ASLEEP && mail != MAILBOX_EMPTY;
}

/* Here sleep is written before filled is read, and who posts does it the other way around: one of the two sees the other. */
bool mailbox_sleep(struct loop *loop, enum mailbox_sleep sleep)
{
    struct mailbox *box = &loop->mailbox;
    atomic_store(&box->sleep, (int)sleep);
    if (!is_woken((int)sleep, atomic_load(&box->filled)))
        return true;
    atomic_store_explicit(&box->sleep, MAILBOX_AWAKE, memory_order_relaxed);
    return false;
}

void mailbox_wake(struct loop *loop)
{
    const uint64_t one = 1;
    ssize_t wrote;
    do {
        wrote = write(loop->mailbox.wakeup.fd, &one, sizeof one);
    } while (wrote < 0 && errno == EINTR);
    petrel_assert(wrote == (ssize_t)sizeof one);
}

void mailbox_post_chain(struct loop *to, struct mail *first, struct mail *last, bool urgent)
{
    struct mailbox *box = &to->mailbox;
    const int mail = urgent ? MAILBOX_URGENT : MAILBOX_FILLED;
    last->next = NULL;
    atomic_fetch_add_explicit(&box->posting, 1, memory_order_relaxed);
    pthread_mutex_lock(&box->lock);
    if (box->first == NULL)
        box->first = first;
    else
        box->last->next = first;
    box->last = last;
    if (urgent || atomic_load_explicit(&box->filled, memory_order_relaxed) == MAILBOX_EMPTY)
        atomic_store(&box->filled, mail);
    pthread_mutex_unlock(&box->lock);
    /* One that is awake looks into its mailbox before it sleeps. Not inside the lock, which the loop takes first of all. It may have run
     * the mail by now, and its owner free it. */
    if (is_woken(atomic_load(&box->sleep), mail) && atomic_exchange(&box->sleep, MAILBOX_AWAKE) != MAILBOX_AWAKE)
        mailbox_wake(to);
    atomic_fetch_sub_explicit(&box->posting, 1, memory_order_release);
}

void mailbox_post(struct loop *to, struct mail *mail)
{
    mailbox_post_chain(to, mail, mail, false);
}

void mailbox_post_urgent(struct loop *to, struct mail *mail)
{
    mailbox_post_chain(to, mail, mail, true);
}
