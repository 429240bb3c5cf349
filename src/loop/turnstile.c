#include "loop/turnstile.h"

#include "base/list.h"
#include "base/object.h"
#include "loop/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

enum pass_place {
    PASS_OUT,
    PASS_IN_LINE,
    PASS_CALLED, /* it has a place, and mail says so */
    PASS_IN,
};

struct turnstile {
    pthread_mutex_t lock;
    unsigned places;  /* that are free; while there are any, nobody is in line */
    struct list line; /* of passes */
    _Atomic(unsigned) waiting;
};

/* place is written under the lock. */
struct turnstile_pass {
    struct mail mail;
    struct list node;
    struct turnstile *turnstile;
    struct loop *loop;
    void (*let_in)(void *ctx);
    void *ctx;
    enum pass_place place;
    bool parted;
};

struct turnstile *turnstile_new(unsigned width)
{
    petrel_assert(width > 0);
    struct turnstile *turnstile = object_zalloc(sizeof *turnstile);
    pthread_mutex_init(&turnstile->lock, NULL);
    turnstile->places = width;
    list_init(&turnstile->line);
    return turnstile;
}

void turnstile_free(struct turnstile **inside)
{
    struct turnstile *turnstile = *inside;
    if (turnstile == NULL)
        return;
    petrel_assert(list_empty(&turnstile->line));
    pthread_mutex_destroy(&turnstile->lock);
    free(turnstile);
    *inside = NULL;
}

/* Whoever is first in line gets a place that has become free. Under the lock. */
static void give_place(struct turnstile *turnstile)
{
    struct list *first = list_pop_front(&turnstile->line);
    if (first == NULL) {
        turnstile->places++;
        return;
    }
    struct turnstile_pass *pass = container_of(first, struct turnstile_pass, node);
    turnstile->waiting--;
    pass->place = PASS_CALLED;
    mailbox_post(pass->loop, &pass->mail);
}

static void on_called(struct mail *mail)
{
    struct turnstile_pass *pass = container_of(mail, struct turnstile_pass, mail);
    struct turnstile *turnstile = pass->turnstile;
    pthread_mutex_lock(&turnstile->lock);
    const bool parted = pass->parted;
    pass->place = PASS_IN;
    if (parted)
        give_place(turnstile);
    pthread_mutex_unlock(&turnstile->lock);
    if (parted)
        free(pass);
    else
        pass->let_in(pass->ctx);
}

struct turnstile_pass *turnstile_join(struct turnstile *turnstile, struct loop *loop, void (*let_in)(void *ctx),
                                      void *ctx)
{
    struct turnstile_pass *pass = object_zalloc(sizeof *pass);
    *pass = (struct turnstile_pass){
        .mail = {.run = on_called}, .turnstile = turnstile, .loop = loop, .let_in = let_in, .ctx = ctx};
    list_init(&pass->node);
    return pass;
}

void turnstile_part(struct turnstile_pass **inside)
{
    struct turnstile_pass *pass = *inside;
    if (pass == NULL)
        return;
    *inside = NULL;
    turnstile_leave(pass);
    struct turnstile *turnstile = pass->turnstile;
    pthread_mutex_lock(&turnstile->lock);
    if (pass->place == PASS_IN_LINE) {
        list_remove(&pass->node);
        turnstile->waiting--;
    }
    const bool called = pass->place == PASS_CALLED;
    pass->parted = called; /* its mail frees it */
    pthread_mutex_unlock(&turnstile->lock);
    if (!called)
        free(pass);
}

bool turnstile_enter(struct turnstile_pass *pass)
{
    struct turnstile *turnstile = pass->turnstile;
    pthread_mutex_lock(&turnstile->lock);
    if (pass->place == PASS_OUT && turnstile->places > 0) {
        turnstile->places--;
        pass->place = PASS_IN;
    } else if (pass->place == PASS_OUT) {
        pass->place = PASS_IN_LINE;
        list_push_back(&turnstile->line, &pass->node);
        turnstile->waiting++;
    }
    const bool in = pass->place == PASS_IN;
    pthread_mutex_unlock(&turnstile->lock);
    return in;
}

bool turnstile_is_wanted(const struct turnstile_pass *pass)
{
    return pass->turnstile->waiting > 0;
}

void turnstile_leave(struct turnstile_pass *pass)
{
    struct turnstile *turnstile = pass->turnstile;
    pthread_mutex_lock(&turnstile->lock);
    if (pass->place == PASS_IN) {
        pass->place = PASS_OUT;
        give_place(turnstile);
    }
    pthread_mutex_unlock(&turnstile->lock);
}
