/* stream_rig.h: a listener whose streams record what happens to them, on a loop_rig. */
#ifndef PETREL_TESTS_STREAM_RIG_H
#define PETREL_TESTS_STREAM_RIG_H

#include "loop/listener.h"
#include "unit/loop_rig.h"

enum stream_rig_close { CLOSE_NEVER, CLOSE_IN_ACCEPT, CLOSE_IN_DATA, CLOSE_IN_DRAIN, CLOSE_IN_END };

/* What the next accepted streams do; set before a client connects, counts waited for with loop_rig_wait(). */
struct stream_rig {
    struct loop_rig loop;
    struct listener *listener;
    uint16_t port;
    enum stream_rig_close close_in;
    bool flushed;           /* those closes are stream_close_flushed() */
    bool echo;              /* send what arrives back */
    bool at_once;           /* by stream_write_now() */
    bool pause;             /* from the start */
    bool pause_in_data;     /* with each piece */
    bool keep_after_end;    /* on_end does not close */
    struct tls_server *tls; /* NULL: they do not speak TLS */
    bool peek;              /* they begin to when the first byte has come */
    enum tls_alpn alpn;     /* of the last one that had data */
    struct stream *last;    /* the loop's; NULL once its on_closed ran */
    int accepted, data, full, drained, turns, ended, closed;
    size_t bytes;   /* read in all */
    int end_status; /* what on_end said last */
    int after_end;  /* callbacks that came when none may come any more */
};

/* ipv6: listen on ::1. Returns false where the machine has none. */
bool stream_rig_start(struct stream_rig *rig, bool ipv6);
/* A loop that reads no more at a time, and no less: 4096 bytes or more. */
void stream_rig_start_reading(struct stream_rig *rig, uint32_t bytes);
/* Close the listener and the last stream, stop, and fail if any stream was not told of its end exactly once. */
void stream_rig_stop(struct stream_rig *rig);

/* On the loop: write count bytes of a pattern to the last stream, in bufs of up to 64 KiB, and small copies between. */
void stream_rig_write_pattern(struct stream_rig *rig, size_t count);
/* How much of data, which begins at `from` in the pattern, is as it was written. */
size_t stream_rig_check_pattern(const uint8_t *data, size_t len, size_t from);

#endif
