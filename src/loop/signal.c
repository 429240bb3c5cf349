/* Signals by libuv, which knows to take them on whatever thread they arrive. Its loop stands in ours as one more thing to wait for. */
#include "loop/signal.h"

#include "base/err.h"
#include "loop/loop_impl.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <uv.h>

#define SIGNAL_MAGIC OBJECT_MAGIC('S', 'I', 'G', 'W')

struct signals {
    struct endpoint endpoint;
    struct loop *loop;
    uv_loop_t uv;
    struct loop_task task; /* what was begun or ended is not done before libuv has run */
};

struct signal_watch {
    uint32_t magic;
    struct loop *loop;
    uv_signal_t handle;
    void (*on_signal)(void *ctx, int signum);
    void *ctx;
};

void signal_on_events(struct signals *signals)
{
    object_check(&signals->endpoint, SIGNALS_MAGIC);
    (void)uv_run(&signals->uv, UV_RUN_NOWAIT);
}

static void on_task(struct loop_task *task)
{
    signal_on_events(container_of(task, struct signals, task));
}

void signal_free(struct signals *signals)
{
    if (signals == NULL)
        return;
    object_check(&signals->endpoint, SIGNALS_MAGIC);
    pollset_remove(signals->loop, POLLSET_OF_ALL, &signals->endpoint);
    int rc = uv_loop_close(&signals->uv);
    petrel_assert(rc == 0);
    free(signals);
}

static int signals_need(struct loop *loop)
{
    if (loop->signals != NULL)
        return 0;
    struct signals *signals = object_zalloc(sizeof *signals);
    if (uv_loop_init(&signals->uv) != 0) {
        free(signals);
        return PETREL_E_IO;
    }
    signals->endpoint = (struct endpoint){SIGNALS_MAGIC, uv_backend_fd(&signals->uv)};
    signals->loop = loop;
    signals->task.run = on_task;
    if (pollset_add(loop, POLLSET_OF_ALL, &signals->endpoint, EPOLLIN) != 0) {
        (void)uv_loop_close(&signals->uv);
        free(signals);
        return PETREL_E_IO;
    }
    loop->signals = signals;
    return 0;
}

static void on_uv_signal(uv_signal_t *handle, int signum)
{
    struct signal_watch *watch = container_of(handle, struct signal_watch, handle);
    object_check(watch, SIGNAL_MAGIC);
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
    if (signals_need(loop) != 0)
        return PETREL_E_IO;
    struct signal_watch *watch = object_zalloc(sizeof *watch);
    *watch = (struct signal_watch){.magic = SIGNAL_MAGIC, .loop = loop, .on_signal = on_signal, .ctx = ctx};
    if (uv_signal_init(&loop->signals->uv, &watch->handle) != 0) {
        free(watch);
        return PETREL_E_IO;
    }
    loop->open++;
    loop_defer(loop, &loop->signals->task);
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
    loop_defer(watch->loop, &watch->loop->signals->task);
}
