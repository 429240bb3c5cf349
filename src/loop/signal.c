#include "loop/signal.h"

#include "base/err.h"
#include "loop/loop_impl.h"

#include <stdlib.h>

#define SIGNAL_MAGIC OBJECT_MAGIC('S', 'I', 'G', 'W')

struct signal_watch {
    uint32_t magic;
    struct loop *loop;
    uv_signal_t handle;
    void (*on_signal)(void *ctx, int signum);
    void *ctx;
};

static void on_uv_signal(uv_signal_t *handle, int signum)
{
    struct signal_watch *watch = container_of(handle, struct signal_watch, handle);
    object_check(watch, SIGNAL_MAGIC);
    loop_turn_begin(watch->loop);
    watch->on_signal(watch->ctx, signum);
}

static void on_uv_closed(uv_handle_t *handle)
{
    struct signal_watch *watch = container_of((uv_signal_t *)handle, struct signal_watch, handle);
    watch->loop->open--;
    watch->magic = 0;
    free(watch);
}

int signal_watch_open(struct signal_watch **out, struct loop *loop, int signum,
                      void (*on_signal)(void *ctx, int signum), void *ctx)
{
    object_check(loop, LOOP_MAGIC);
    struct signal_watch *watch = object_zalloc(sizeof *watch);
    *watch = (struct signal_watch){.magic = SIGNAL_MAGIC, .loop = loop, .on_signal = on_signal, .ctx = ctx};
    if (uv_signal_init(&loop->uv, &watch->handle) != 0) {
        free(watch);
        return PETREL_E_IO;
    }
    loop->open++;
    if (uv_signal_start(&watch->handle, on_uv_signal, signum) != 0) {
        signal_watch_close(&watch);
        return PETREL_E_IO;
    }
    *out = watch;
    return 0;
}

void signal_watch_close(struct signal_watch **inside)
{
    struct signal_watch *watch = *inside;
    if (watch == NULL)
        return;
    object_check(watch, SIGNAL_MAGIC);
    *inside = NULL;
    uv_close((uv_handle_t *)&watch->handle, on_uv_closed);
}
