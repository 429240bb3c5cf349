#include "discovery/discovery_single.h"

#include "base/err.h"
#include "base/object.h"
#include "loop/mailbox.h"

#include <stdlib.h>
#include <string.h>

#define SINGLE_MAGIC OBJECT_MAGIC('D', 'S', 'N', 'G')
#define WATCHERS_MAX 64

struct watcher {
    struct mail mail;
    struct single *owner;
    struct loop *loop;
    discovery_watch_fn *on_view;
    void *ctx;
    struct discovery_view *_Atomic pending; /* while not NULL, the mail is on its way */
    atomic_bool ready;
};

struct single {
    struct discovery discovery;
    uint32_t magic;
    const struct clock *clock;
    atomic_uint refs;   /* the owner's, and one per mail on its way */
    atomic_bool closed; /* no watcher is called any more */

    /* view() reads `present` and then takes a reference, on any thread; `readers` is up between the two. publish() alone
     * replaces the view: when it finds no reader after the exchange, nobody can hold an older pointer without a reference, so
     * the older views go. Else they stay in `retired` until the next publish(). Nobody ever waits. */
    struct discovery_view *_Atomic present;
    atomic_uint readers;
    struct discovery_view **retired;
    size_t retired_count;

    atomic_uint watchers_count;
    struct watcher watchers[WATCHERS_MAX];
};

static struct single *single_of(struct discovery *discovery)
{
    struct single *single = container_of(discovery, struct single, discovery);
    object_check(single, SINGLE_MAGIC);
    return single;
}

static void reclaim(struct single *single)
{
    if (atomic_load(&single->readers) != 0)
        return;
    for (size_t i = 0; i < single->retired_count; i++)
        discovery_view_unref(single->retired[i]);
    single->retired_count = 0;
}

static void single_unref(struct single *single)
{
    if (atomic_fetch_sub_explicit(&single->refs, 1, memory_order_acq_rel) != 1)
        return;
    reclaim(single);
    petrel_assert(single->retired_count == 0);
    discovery_view_unref(atomic_load(&single->present));
    free(single->retired);
    single->magic = 0;
    free(single);
}

static struct discovery_view *view_make(uint64_t version, uint64_t as_of_ms, const struct discovery_node *node)
{
    const size_t count = node != NULL ? 1 : 0;
    struct discovery_view *view = object_zalloc(sizeof *view + count * sizeof view->nodes[0]);
    atomic_init(&view->refs, 1);
    view->version = version;
    view->as_of_ms = as_of_ms;
    view->count = count;
    if (node != NULL)
        view->nodes[0] = *node;
    return view;
}

static void on_notice(struct mail *mail)
{
    struct watcher *watcher = container_of(mail, struct watcher, mail);
    struct single *single = watcher->owner;
    object_check(single, SINGLE_MAGIC);
    /* From the exchange on the next publish() may post the mail again. */
    struct discovery_view *view = atomic_exchange(&watcher->pending, NULL);
    if (!atomic_load(&single->closed))
        watcher->on_view(watcher->ctx, view);
    discovery_view_unref(view);
    single_unref(single);
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

static bool is_text(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static int single_publish(struct discovery *discovery, const struct discovery_node *self)
{
    struct single *single = single_of(discovery);
    if (!is_text(self->name, sizeof self->name) || !is_text(self->session_address, sizeof self->session_address) ||
        !is_text(self->peer_address, sizeof self->peer_address))
        return PETREL_E_INVALID;

    const uint64_t version = atomic_load(&single->present)->version + 1;
    struct discovery_view *view = view_make(version, clock_wall_ms(single->clock), self);
    struct discovery_view *before = atomic_exchange(&single->present, view);
    single->retired = object_realloc(single->retired, (single->retired_count + 1) * sizeof(struct discovery_view *));
    single->retired[single->retired_count++] = before;
    reclaim(single);

    const unsigned claimed = atomic_load(&single->watchers_count);
    for (unsigned i = 0; i < claimed && i < WATCHERS_MAX; i++) {
        if (atomic_load(&single->watchers[i].ready))
            notify(&single->watchers[i], view);
    }
    return 0;
}

static struct discovery_view *single_view(struct discovery *discovery)
{
    struct single *single = single_of(discovery);
    atomic_fetch_add(&single->readers, 1);
    struct discovery_view *view = discovery_view_ref(atomic_load(&single->present));
    atomic_fetch_sub(&single->readers, 1);
    return view;
}

static int single_watch(struct discovery *discovery, struct loop *loop, discovery_watch_fn *on_view, void *ctx)
{
    struct single *single = single_of(discovery);
    for (unsigned i = 0; i < WATCHERS_MAX; i++) {
        if (atomic_load(&single->watchers[i].ready) && single->watchers[i].loop == loop)
            return PETREL_E_EXISTS;
    }
    unsigned index = atomic_load(&single->watchers_count);
    do {
        if (index >= WATCHERS_MAX)
            return PETREL_E_TOO_LARGE;
    } while (!atomic_compare_exchange_weak(&single->watchers_count, &index, index + 1));

    struct watcher *watcher = &single->watchers[index];
    watcher->mail.run = on_notice;
    watcher->owner = single;
    watcher->loop = loop;
    watcher->on_view = on_view;
    watcher->ctx = ctx;
    atomic_store(&watcher->ready, true);
    return 0;
}

static bool single_healthy(struct discovery *discovery)
{
    (void)single_of(discovery);
    return true;
}

static void single_close(struct discovery *discovery)
{
    struct single *single = single_of(discovery);
    atomic_store(&single->closed, true);
    single_unref(single);
}

static const struct discovery_ops discovery_single_ops = {
    .name = "single",
    .publish = single_publish,
    .view = single_view,
    .watch = single_watch,
    .healthy = single_healthy,
    .close = single_close,
};

int discovery_single_open(struct discovery **out, const struct clock *clock)
{
    struct single *single = object_zalloc(sizeof *single);
    single->discovery.ops = &discovery_single_ops;
    single->magic = SINGLE_MAGIC;
    single->clock = clock;
    atomic_init(&single->refs, 1);
    atomic_init(&single->present, view_make(0, clock_wall_ms(clock), NULL));
    *out = &single->discovery;
    return 0;
}
