#include "discovery/board.h"

#include "base/err.h"
#include "base/object.h"
#include "loop/mailbox.h"

#include <stdlib.h>

#define BOARD_MAGIC OBJECT_MAGIC('B', 'O', 'R', 'D')

struct watcher {
    struct mail mail;
    struct board *owner;
    struct loop *loop;
    discovery_watch_fn *on_view;
    void *ctx;
    struct discovery_view *_Atomic pending; /* while not NULL, the mail is on its way */
    atomic_bool ready;
};

struct board {
    uint32_t magic;
    atomic_uint refs;   /* the owner's, and one per mail on its way */
    atomic_bool closed; /* no watcher is called any more */

    /* board_view() reads `present` and then takes a reference, on any thread; `readers` is up between the two. board_show()
     * alone replaces the view: when it finds no reader after the exchange, nobody can hold an older pointer without a reference,
     * so the older views go. Else they stay in `retired` until the next board_show(). Nobody ever waits. */
    struct discovery_view *_Atomic present;
    atomic_uint readers;
    struct discovery_view **retired;
    size_t retired_count;

    atomic_uint watchers_count;
    struct watcher watchers[DISCOVERY_WATCHERS_MAX];
};

static void reclaim(struct board *board)
{
    if (atomic_load(&board->readers) != 0)
        return;
    for (size_t i = 0; i < board->retired_count; i++)
        discovery_view_unref(board->retired[i]);
    board->retired_count = 0;
}

static void board_unref(struct board *board)
{
    if (atomic_fetch_sub_explicit(&board->refs, 1, memory_order_acq_rel) != 1)
        return;
    reclaim(board);
    petrel_assert(board->retired_count == 0);
    discovery_view_unref(atomic_load(&board->present));
    free(board->retired);
    board->magic = 0;
    free(board);
}

struct discovery_view *board_view_new(size_t count)
{
    struct discovery_view *view = object_zalloc(sizeof *view + count * sizeof view->nodes[0]);
    atomic_init(&view->refs, 1);
    view->count = count;
    return view;
}

struct board *board_new(uint64_t as_of_ms)
{
    struct board *board = object_zalloc(sizeof *board);
    board->magic = BOARD_MAGIC;
    atomic_init(&board->refs, 1);
    struct discovery_view *empty = board_view_new(0);
    empty->as_of_ms = as_of_ms;
    atomic_init(&board->present, empty);
    return board;
}

static void on_notice(struct mail *mail)
{
    struct watcher *watcher = container_of(mail, struct watcher, mail);
    struct board *board = watcher->owner;
    object_check(board, BOARD_MAGIC);
    /* From the exchange on the next board_show() may post the mail again. */
    struct discovery_view *view = atomic_exchange(&watcher->pending, NULL);
    if (!atomic_load(&board->closed))
        watcher->on_view(watcher->ctx, view);
    discovery_view_unref(view);
    board_unref(board);
}

static void notify(struct watcher *watcher, struct discovery_view *view)
{
    struct discovery_view *skipped = atomic_exchange(&watcher->pending, discovery_view_ref(view));
    if (skipped != NULL) {
        discovery_view_unref(skipped);
        return;
    }
    atomic_fetch_add_explicit(&watcher->owner->refs, 1, memory_order_relaxed);
    mailbox_post(watcher->loop, &watcher->mail);
}

void board_show(struct board *board, struct discovery_view **taken)
{
    object_check(board, BOARD_MAGIC);
    struct discovery_view *view = *taken;
    *taken = NULL;
    view->version = atomic_load(&board->present)->version + 1;
    struct discovery_view *before = atomic_exchange(&board->present, view);
    board->retired = object_realloc(board->retired, (board->retired_count + 1) * sizeof(struct discovery_view *));
    board->retired[board->retired_count++] = before;
    reclaim(board);

    const unsigned claimed = atomic_load(&board->watchers_count);
    for (unsigned i = 0; i < claimed && i < DISCOVERY_WATCHERS_MAX; i++) {
        if (atomic_load(&board->watchers[i].ready))
            notify(&board->watchers[i], view);
    }
}

struct discovery_view *board_view(struct board *board)
{
    object_check(board, BOARD_MAGIC);
    atomic_fetch_add(&board->readers, 1);
    struct discovery_view *view = discovery_view_ref(atomic_load(&board->present));
    atomic_fetch_sub(&board->readers, 1);
    return view;
}

int board_watch(struct board *board, struct loop *loop, discovery_watch_fn *on_view, void *ctx)
{
    object_check(board, BOARD_MAGIC);
    for (unsigned i = 0; i < DISCOVERY_WATCHERS_MAX; i++) {
        if (atomic_load(&board->watchers[i].ready) && board->watchers[i].loop == loop)
            return PETREL_E_EXISTS;
    }
    unsigned index = atomic_load(&board->watchers_count);
    do {
        if (index >= DISCOVERY_WATCHERS_MAX)
            return PETREL_E_TOO_LARGE;
    } while (!atomic_compare_exchange_weak(&board->watchers_count, &index, index + 1));

    struct watcher *watcher = &board->watchers[index];
    watcher->mail.run = on_notice;
    watcher->owner = board;
    watcher->loop = loop;
    watcher->on_view = on_view;
    watcher->ctx = ctx;
    atomic_store(&watcher->ready, true);
    return 0;
}

void board_close(struct board **inside)
{
    struct board *board = *inside;
    if (board == NULL)
        return;
    object_check(board, BOARD_MAGIC);
    atomic_store(&board->closed, true);
    board_unref(board);
    *inside = NULL;
}
