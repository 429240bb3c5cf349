/* stream_impl.h: a stream's inside, for its parts stream*.c; for tls_loop.c, who is next. Private to this room. */
#ifndef PETREL_LOOP_STREAM_IMPL_H
#define PETREL_LOOP_STREAM_IMPL_H

#include "loop/loop_impl.h"
#include "loop/outbox.h"

/* Bounds on what one stream may do in a turn while others wait. */
#define STREAM_READS_MAX 4
#define STREAM_WRITES_MAX 16
/* In one read of a stranger; the kernel keeps the rest. */
#define STREAM_STRANGER_BYTES 4096U

/* It lies in a slab of its loop's, which is how it knows the loop. */
struct stream {
    struct endpoint endpoint;
    void *owner;
    union {
        struct outbox *out;  /* NULL while nothing is queued and no close is being flushed */
        struct stream *next; /* once closing: in the loop's list of those that wait for on_closed */
    };
    uint32_t tls;      /* one more than the index of its tls_conn in the loop's slab; 0: it has none */
    uint8_t kind;      /* the owner's ops are loop->stream_ops[kind - 1]; 0 until attached */
    bool watch_in : 1; /* what the pollset watches for */
    bool watch_out : 1;
    bool watch_gone : 1; /* while it waits: the peer's leaving */
    bool paused : 1;
    bool connecting : 1; /* the peer is not reached yet; blocked until then */
    bool blocked : 1;    /* the socket was full: EPOLLOUT goes on */
    bool ended : 1;      /* nothing will be read any more */
    bool broken : 1;     /* nor written */
    bool flushing : 1;   /* stream_close_flushed() was called */
    bool shut : 1;       /* what was queued is out, and so is our FIN */
    bool closing : 1;
    bool unopened : 1; /* on_open waits for TLS */
    bool held_up : 1;  /* so does what is queued, over a turn's end */
    bool few : 1;      /* the part of the pollset where it stands */
    bool
        stranger : 1; /* accepted, and not known to speak anything: what it says may have to be kept until it has its turn */
};

_Static_assert(sizeof(struct stream) == 32, "a million idle streams are a million of these");

static inline const struct stream_ops *stream_ops_of(const struct stream *stream)
{
    return stream_loop(stream)->stream_ops[stream->kind - 1];
}

/* ---- stream.c ---- */

/* The outbox to queue in; what is in it goes out at the turn's end. */
struct outbox *stream_outbox(struct stream *stream);
void stream_begin_close(struct stream *stream);
/* The connection is of no use in either direction. */
void stream_break_off(struct stream *stream, int status);
/* The peer has nothing more to say. */
void stream_end_reading(struct stream *stream);
/* Have the pollset watch for what is of interest now. */
void stream_watch(struct stream *stream);

/* ---- stream_connect.c ---- */

/* The socket has something to say about its connect. */
void stream_connect_finish(struct stream *stream);

/* ---- stream_tls.c: of streams that have a tls_conn ---- */

/* Its turn has come, or will not: rc. */
void stream_tls_begin(struct stream *stream, int rc);
/* What is left of the last read, at the front of the loop's read buffer: its size. */
size_t stream_tls_partial(const struct stream *stream);
/* Read len bytes there, those of the partial one first. */
void stream_tls_read(struct stream *stream, size_t len);
/* Write what is queued. 0: all is out, or waits for the handshake; PETREL_E_NEED_MORE: the socket is full, or had its share of this
 * turn; else it broke. */
int stream_tls_write(struct stream *stream);
/* What TLS had against a connection (tls_loop_why()) has been told. */
void stream_tls_told(struct loop *loop);
/* Forget the keys. Nothing happens when it has none. */
void stream_tls_end(struct stream *stream);

#endif
