#include "petreld/logfile.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "loop/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines on their way; beyond it they are dropped and counted, so that a stalled disk can't take the memory. */
#define LOGFILE_WAITING_MAX 16384

struct logfile {
    struct loop *loop; /* the writer's */
    int fd;
    atomic_uint waiting;
    atomic_uint dropped;
    char path[];
};

struct line {
    struct mail mail;
    struct logfile *file;
    size_t len; /* 0: not a line but "open again" */
    char text[];
};

static int open_path(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

static void write_line(struct logfile *file, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t done = write(file->fd, text, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) /* a full disk: the line is lost, the server goes on */
            return;
        text += done;
        len -= (size_t)done;
    }
}

static void open_again(struct logfile *file)
{
    int fd = open_path(file->path);
    if (fd < 0) {
        log_at(LOG_ERROR, "log", "the log file can't be opened again, the old one stays in use",
               LOG_STR("path", file->path), LOG_STR("error", strerror(errno)));
        return;
    }
    close(file->fd);
    file->fd = fd;
    log_event(LOG_INFO, "log", "opened again on SIGHUP");
}

static void on_line(struct mail *mail)
{
    struct line *line = container_of(mail, struct line, mail);
    struct logfile *file = line->file;
    if (line->len == 0) {
        open_again(file);
    } else {
        unsigned dropped = atomic_exchange(&file->dropped, 0);
        if (dropped > 0) {
            char text[64];
            int len = snprintf(text, sizeof text, "(%u log lines dropped)\n", dropped);
            write_line(file, text, (size_t)len);
        }
        write_line(file, line->text, line->len);
    }
    atomic_fetch_sub(&file->waiting, 1);
    free(line);
}

static void post(struct logfile *file, const char *text, size_t len)
{
    struct line *line = object_alloc(sizeof *line + len);
    *line = (struct line){.mail = {.run = on_line}, .file = file, .len = len};
    memcpy(line->text, text, len);
    atomic_fetch_add(&file->waiting, 1);
    mailbox_post(file->loop, &line->mail);
}

static void sink(void *ctx, const char *text, size_t len)
{
    struct logfile *file = ctx;
    if (atomic_load(&file->waiting) >= LOGFILE_WAITING_MAX)
        atomic_fetch_add(&file->dropped, 1);
    else
        post(file, text, len);
}

int logfile_open(struct logfile **out, const char *path)
{
    int fd = open_path(path);
    if (fd < 0) {
        int errnum = errno;
        log_at(LOG_ERROR, "log", "the log file can't be opened", LOG_STR("path", path),
               LOG_STR("error", strerror(errnum)));
        return err_from_errno(errnum);
    }
    struct logfile *file = object_zalloc(sizeof *file + strlen(path) + 1);
    memcpy(file->path, path, strlen(path) + 1);
    file->fd = fd;
    struct loop_config config = {.read_buffer_bytes = 4096};
    int err = loop_new(&file->loop, &config);
    if (err == 0)
        err = loop_start_thread(file->loop, "log");
    if (err != 0) {
        loop_free(&file->loop);
        close(fd);
        free(file);
        return err;
    }
    log_set_sink(sink, file);
    *out = file;
    return 0;
}

void logfile_reopen(struct logfile *file)
{
    if (file != NULL)
        post(file, "", 0);
}

void logfile_close(struct logfile **file_ref)
{
    struct logfile *file = *file_ref;
    *file_ref = NULL;
    if (file == NULL)
        return;
    log_set_sink(NULL, NULL);
    loop_stop(file->loop);
    loop_join_thread(file->loop);
    loop_free(&file->loop);
    close(file->fd);
    free(file);
}
