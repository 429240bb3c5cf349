#include "loop/stream.h"

#include "base/err.h"
#include "loop/loop_impl.h"
#include "loop/outbox.h"
#include "loop/stream_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_VECTORS 64
/* After the last byte of a flushing close: how long the peer has to shut down its side. */
#define STREAM_LINGER_MS 1000

static enum pollset_part part_of(const struct stream *stream)
{
    return stream->few ? POLLSET_OF_FEW : POLLSET_OF_ALL;
}

void stream_begin_close(struct stream *stream)
{
    struct loop *loop = stream_loop(stream);
    stream_tls_end(stream);
    outbox_free(stream->out);
    if (!stream->broken)
        pollset_remove(loop, part_of(stream), &stream->endpoint);
    (void)close(stream->endpoint.fd);
    stream->endpoint.fd = -1;
    stream->closing = true;
    stream->next = NULL;
    if (loop->closing_first == NULL)
        loop->closing_first = stream;
    else
        loop->closing_last->next = stream;
    loop->closing_last = stream;
}

static void drop_outbox_if_empty(struct stream *stream)
{
    if (stream->out == NULL || outbox_size(stream->out) > 0 || stream->flushing)
        return;
    outbox_free(stream->out);
    stream->out = NULL;
}

static void break_off(struct stream *stream, int status)
{
    if (stream->flushing) {
        stream_begin_close(stream);
        return;
    }
    bool dropped = stream_queued(stream) > 0;
    bool had_ended = stream->ended;
    stream->ended = true;
    stream->broken = true;
    stream->blocked = false;
    stream_tls_end(stream);
    outbox_free(stream->out);
    stream->out = NULL;
    pollset_remove(stream_loop(stream), part_of(stream), &stream->endpoint); /* errors would be told again and again */
    if (stream->kind == 0)
        return;
    const struct stream_ops *ops = stream_ops_of(stream);
    if (!had_ended)
        ops->on_end(stream->owner, status);
    else if (dropped && ops->on_drain != NULL)
        ops->on_drain(stream->owner); /* the owner may wait for this before it closes */
}

void stream_break_off(struct stream *stream, int status)
{
    break_off(stream, status);
    stream_tls_told(stream_loop(stream));
}

/* What it is told of. Once of what there is to read, or each wake-up would cost a second look at the socket, which finds nothing: so
 * it reads until nothing is left, or asks again. A peer's FIN is told apart, for it may stand behind what was read. Of room to write it
 * is told for as long as there is some. */
static uint32_t interest(const struct stream *stream)
{
    uint32_t events = stream->watch_gone ? (uint32_t)EPOLLRDHUP : 0;
    if (stream->watch_out)
        events |= (uint32_t)EPOLLOUT;
    if (stream->watch_in)
        events |= (uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP;
    return stream->watch_in && !stream->watch_out ? events | (uint32_t)EPOLLET : events;
}

void stream_watch(struct stream *stream)
{
    bool in = !stream->ended && !stream->connecting && (stream->flushing || !stream->paused);
    bool waits = in && !stream->flushing && stream_waits(stream);
    bool out = stream->blocked;
    in = in && !waits;
    if (stream->closing || stream->broken ||
        (in == stream->watch_in && out == stream->watch_out && waits == stream->watch_gone))
        return;
    stream->watch_in = in;
    stream->watch_out = out;
    stream->watch_gone = waits;
    pollset_change(stream_loop(stream), part_of(stream), &stream->endpoint, interest(stream));
}

static void on_deadline(struct timer *timer)
{
    struct outbox *out = container_of(timer, struct outbox, deadline);
    stream_begin_close(out->stream);
}

/* A flushing close has nothing left to write: say so to the peer and wait for its FIN, reading on. To close with bytes
 * unread would send a reset, and some peers' kernels then throw away what they have not handed to the app yet. */
static void finish_flush(struct stream *stream)
{
    if (stream->ended || shutdown(stream->endpoint.fd, SHUT_WR) != 0) {
        stream_begin_close(stream);
        return;
    }
    stream->shut = true;
    stream_tls_end(stream); /* nothing more is sealed or opened: a handshake's place is for the next */
    struct loop *loop = stream_loop(stream);
    struct timer *deadline = &stream->out->deadline;
    if (!timer_running(deadline) || deadline->due_ms > loop_now_ms(loop) + STREAM_LINGER_MS)
        timer_start(loop, deadline, STREAM_LINGER_MS, on_deadline);
    stream_watch(stream);
}

/* One piece is what most turns have for a stream, and costs the kernel less to take in than a vector. */
static ssize_t put(int fd, struct iovec *vectors, size_t count)
{
    if (count == 1)
        return send(fd, vectors->iov_base, vectors->iov_len, MSG_NOSIGNAL);
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* 0: all is out; PETREL_E_NEED_MORE: the socket is full, or had its share of this turn; else it broke. */
static int write_queued(struct stream *stream)
{
    struct outbox *out = stream->out;
    for (int writes = 0; out->queued > 0; writes++) {
        if (writes == STREAM_WRITES_MAX)
            return PETREL_E_NEED_MORE;
        struct iovec vectors[STREAM_VECTORS];
        const size_t count = outbox_peek(out, vectors, STREAM_VECTORS);
        size_t offered = 0;
        for (size_t i = 0; i < count; i++)
            offered += vectors[i].iov_len;
        ssize_t sent = put(stream->endpoint.fd, vectors, count);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? PETREL_E_NEED_MORE : err_from_errno(errno);
        outbox_consume(out, (size_t)sent, loop_now_ms(stream_loop(stream)));
        if ((size_t)sent < offered)
            return PETREL_E_NEED_MORE;
    }
    return 0;
}

/* A flush left all of it out, or something queued, where something may have been before. */
static void tell_flushed(struct stream *stream, bool was_held, bool out)
{
    const struct stream_ops *ops = stream->kind != 0 ? stream_ops_of(stream) : NULL;
    if (ops == NULL || stream->flushing || out != was_held)
        return;
    if (out && ops->on_drain != NULL)
        ops->on_drain(stream->owner);
    else if (!out && ops->on_full != NULL)
        ops->on_full(stream->owner);
}

static void flush(struct stream *stream)
{
    int rc = stream->tls != 0 ? stream_tls_write(stream) : write_queued(stream);
    if (rc != 0 && rc != PETREL_E_NEED_MORE) {
        stream_break_off(stream, rc);
        return;
    }
    const bool out = outbox_size(stream->out) == 0, was_held = stream->blocked || stream->held_up;
    stream->blocked = rc != 0;
    stream->held_up = rc == 0 && !out; /* by a handshake */
    stream_watch(stream);
    drop_outbox_if_empty(stream);
    if (rc == 0 && stream->flushing)
        finish_flush(stream);
    else
        tell_flushed(stream, was_held, out);
}

static bool may_read(const struct stream *stream)
{
    return !stream->closing && stream->watch_in && !stream->ended && !stream_waits(stream);
}

void stream_end_reading(struct stream *stream)
{
    stream->ended = true;
    if (stream->shut) {
        stream_begin_close(stream);
        return;
    }
    stream_watch(stream);
    if (!stream->flushing)
        stream_ops_of(stream)->on_end(stream->owner, PETREL_E_EOF);
}

/* Something may be left: to be told again. */
static void watch_again(struct stream *stream)
{
    if (!stream->closing && !stream->broken && stream->watch_in)
        pollset_change(stream_loop(stream), part_of(stream), &stream->endpoint, interest(stream));
}

/* all: a FIN is there, too. */
static void read_some(struct stream *stream, bool all)
{
    struct loop *loop = stream_loop(stream);
    slab_prefetch(stream->owner); /* which is what many owners lie in; the read takes as long as that */
    for (int reads = 0; reads < STREAM_READS_MAX && may_read(stream); reads++) {
        size_t kept = stream->tls != 0 ? stream_tls_partial(stream) : 0;
        size_t room = stream->stranger ? STREAM_STRANGER_BYTES : loop->read_buffer_size - kept;
        ssize_t got = recv(stream->endpoint.fd, loop->read_buffer + kept, room, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0) {
            stream_break_off(stream, err_from_errno(errno));
            return;
        }
        if (got == 0) {
            stream_end_reading(stream);
            return;
        }
        if (!stream->flushing && stream->tls != 0)
            stream_tls_read(stream, kept + (size_t)got);
        else if (!stream->flushing)
            stream_ops_of(stream)->on_data(stream->owner, bytes_of(loop->read_buffer, (size_t)got));
        if (stream->tls == 0)
            stream->stranger = false;
        if ((size_t)got < room && !all)
            return;
    }
    watch_again(stream);
}

struct stream *stream_new(struct loop *loop, enum pollset_part part, int fd)
{
    struct stream *stream = slab_take(&loop->streams);
    stream->endpoint = (struct endpoint){STREAM_MAGIC, fd};
    stream->few = part == POLLSET_OF_FEW;
    stream->watch_in = true; /* what it will want once it is attached, which is before the next poll */
    if (pollset_add(loop, part, &stream->endpoint, interest(stream)) != 0) {
        slab_give(stream);
        return NULL;
    }
    stream->stranger = true;
    loop->open++;
    return stream;
}

bool stream_is_adopted(const struct stream *stream)
{
    return stream->kind != 0 || stream->flushing || stream->closing;
}

void stream_on_events(struct stream *stream, uint32_t events)
{
    if (stream->closing || stream->broken)
        return; /* closed or broken earlier in the same batch */
    if (stream->connecting) {
        stream_connect_finish(stream);
        return;
    }
    bool gone = (events & (EPOLLERR | EPOLLHUP)) != 0;
    if (stream->watch_in && stream_waits(stream))
        stream_watch(stream); /* as it waits for longer than a turn */
    else if (stream->watch_in)
        read_some(stream, gone || (events & EPOLLRDHUP) != 0);
    else if (gone || (events & EPOLLRDHUP) != 0) /* of who waits: it has not waited to the end */
        stream_break_off(stream, PETREL_E_IO);
    if (!stream->closing && stream->blocked && (gone || (events & EPOLLOUT) != 0))
        flush(stream);
}

void stream_flush_all(struct loop *loop)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &loop->unflushed);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct stream *stream = container_of(node, struct outbox, node)->stream;
        object_check(&stream->endpoint, STREAM_MAGIC);
        flush(stream);
    }
}

void stream_free_closed(struct loop *loop)
{
    struct stream *batch = loop->closing_first;
    loop->closing_first = loop->closing_last = NULL;
    while (batch != NULL) {
        struct stream *stream = batch;
        object_check(&stream->endpoint, STREAM_MAGIC);
        batch = stream->next;
        if (stream->kind != 0)
            stream_ops_of(stream)->on_closed(stream->owner);
        slab_give(stream);
        loop->open--;
    }
}

void stream_slabs_init(struct loop *loop)
{
    slab_init(&loop->streams, sizeof(struct stream), loop);
    slab_init(&loop->outboxes, sizeof(struct outbox), loop);
    slab_init(&loop->chunks, OUTBOX_CHUNK_BYTES, loop);
}

void stream_slabs_reset(struct loop *loop)
{
    slab_reset(&loop->streams);
    slab_reset(&loop->outboxes);
    slab_reset(&loop->chunks);
}

void stream_slabs_trim(struct loop *loop)
{
    slab_trim(&loop->streams);
    slab_trim(&loop->outboxes);
    slab_trim(&loop->chunks);
}

static uint8_t kind_of(struct loop *loop, const struct stream_ops *ops)
{
    uint8_t kind = 0;
    while (kind < LOOP_STREAM_KINDS_MAX && loop->stream_ops[kind] != NULL && loop->stream_ops[kind] != ops)
        kind++;
    petrel_assert(kind < LOOP_STREAM_KINDS_MAX);
    loop->stream_ops[kind] = ops;
    return (uint8_t)(kind + 1);
}

void stream_attach(struct stream *stream, const struct stream_ops *ops, void *owner)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    petrel_assert(stream->kind == 0 && !stream->closing && !stream->flushing);
    stream->kind = kind_of(stream_loop(stream), ops);
    stream->owner = owner;
}

static bool takes_writes(const struct stream *stream)
{
    return !stream->closing && !stream->broken && !stream->flushing;
}

struct outbox *stream_outbox(struct stream *stream)
{
    struct loop *loop = stream_loop(stream);
    if (stream->out == NULL)
        stream->out = outbox_new(&loop->outboxes, &loop->chunks, stream);
    if (outbox_size(stream->out) == 0)
        stream->out->moved_ms = loop_now_ms(loop);
    if (!stream->blocked && list_empty(&stream->out->node))
        list_push_back(&loop->unflushed, &stream->out->node);
    return stream->out;
}

void stream_write(struct stream *stream, struct buf *buf)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    if (takes_writes(stream))
        outbox_push(stream_outbox(stream), buf);
}

void stream_write_copy(struct stream *stream, struct bytes data)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    if (takes_writes(stream))
        outbox_push_copy(stream_outbox(stream), data);
}

void stream_write_now(struct stream *stream, struct bytes data)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    if (!takes_writes(stream))
        return;
    if (stream->out == NULL && stream->tls == 0 && !stream->blocked) {
        /* What it does not take goes the usual way; that it broke is found out there. */
        const ssize_t sent = send(stream->endpoint.fd, data.ptr, data.len, MSG_NOSIGNAL);
        if (sent > 0)
            data = bytes_of(data.ptr + sent, data.len - (size_t)sent);
    }
    if (data.len > 0)
        outbox_push_copy(stream_outbox(stream), data);
}

size_t stream_queued(const struct stream *stream)
{
    return !stream->closing && stream->out != NULL ? outbox_size(stream->out) : 0;
}

uint64_t stream_stalled_ms(const struct stream *stream)
{
    return stream_queued(stream) > 0 ? loop_now_ms(stream_loop(stream)) - stream->out->moved_ms : 0;
}

void stream_pause(struct stream *stream)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    stream->paused = true;
    stream_watch(stream);
}

void stream_resume(struct stream *stream)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    stream->paused = false;
    stream_watch(stream);
}

void stream_close(struct stream *stream)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    if (!stream->closing)
        stream_begin_close(stream);
}

void stream_close_flushed(struct stream *stream, uint32_t timeout_ms)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    if (stream->closing || stream->flushing)
        return;
    if (stream->broken) {
        stream_begin_close(stream);
        return;
    }
    struct outbox *out = stream_outbox(stream); /* its turn comes with the flush at the turn's end */
    stream->flushing = true;
    timer_start(stream_loop(stream), &out->deadline, timeout_ms, on_deadline);
    stream_watch(stream);
}

bool stream_blocked(const struct stream *stream)
{
    return stream->blocked;
}

struct loop *stream_loop(const struct stream *stream)
{
    return slab_keeper(stream);
}
