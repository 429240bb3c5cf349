#include "system/ledger/operate.h"

#include "base/object.h"

#include <signal.h>
#include <string.h>

void operate_init(struct operate *operate, uv_loop_t *loop, const char *dir, const char *bin)
{
    *operate = (struct operate){.loop = loop, .dir = dir, .bin = bin};
}

static void on_closed(uv_handle_t *handle)
{
    struct operate *operate = handle->data;
    if (--operate->open > 0)
        return;
    operate->busy = false;
    operate->done(operate->ctx, operate->good, operate->output);
}

static void on_exit(uv_process_t *process, int64_t status, int signal)
{
    struct operate *operate = process->data;
    operate->good = status == 0 && signal == 0;
    uv_close((uv_handle_t *)process, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct operate *operate = handle->data;
    static char spill[1024]; /* what nobody reads */
    size_t room = sizeof operate->output - 1 - operate->len;
    *out = room > 0 ? uv_buf_init(operate->output + operate->len, (unsigned)room) : uv_buf_init(spill, sizeof spill);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct operate *operate = stream->data;
    if (len < 0)
        uv_close((uv_handle_t *)stream, on_closed);
    else if (buffer->base == operate->output + operate->len)
        operate->len += (size_t)len;
    operate->output[operate->len] = '\0';
}

void operate_begin(struct operate *operate, const char *const *words, operate_fn *done, void *ctx)
{
    static char program[] = PETREL_SOURCE_DIR "/deploy/cluster";
    const char *args[OPERATE_WORDS_MAX + 6] = {program};
    size_t count = 1;
    for (size_t i = 0; words[i] != NULL; i++) {
        petrel_assert(i < OPERATE_WORDS_MAX);
        args[count++] = words[i];
    }
    args[count++] = "--dir";
    args[count++] = operate->dir;
    args[count++] = "--bin";
    args[count] = operate->bin;
    petrel_assert(!operate->busy);
    operate->busy = true;
    operate->good = false;
    operate->len = 0;
    operate->output[0] = '\0';
    operate->done = done;
    operate->ctx = ctx;
    operate->open = 2;
    operate->process.data = operate->pipe.data = operate;
    uv_pipe_init(operate->loop, &operate->pipe, 0);
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&operate->pipe},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
    };
    /* In a session of its own: Ctrl-C is ours alone, and what we end is ended in order. */
    const uv_process_options_t options = {
        .file = program,
        .args = (char **)(uintptr_t)args,
        .exit_cb = on_exit,
        .flags = UV_PROCESS_DETACHED,
        .stdio = stdio,
        .stdio_count = 3,
    };
    if (uv_spawn(operate->loop, &operate->process, &options) != 0) {
        uv_close((uv_handle_t *)&operate->process, on_closed);
        uv_close((uv_handle_t *)&operate->pipe, on_closed);
        return;
    }
    uv_read_start((uv_stream_t *)&operate->pipe, on_alloc, on_read);
}

void operate_end(struct operate *operate)
{
    if (operate->busy && !uv_is_closing((uv_handle_t *)&operate->process))
        uv_process_kill(&operate->process, SIGTERM);
}
