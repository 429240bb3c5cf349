/* core.h: what is inside a petrel_core, for the files that share it. Private to this room.
 *
 * phase    IDLE: no connection. CONNECTING: CONNECT is queued or sent. LIVE: CONNECTED came. LEAVING: goodbye was said, nothing
 *          more is accepted. BROKEN: the connection has to be closed; petrel_core_lost() is awaited.
 * batch    everything that one petrel_core_receive() brought: saved once, then acked
 * end      why the connection ends; the first reason that was found is the one that is told
 *
 * petrel_core.c is the public face and the clockwork, core_frames.c what each frame of the server's does, core_end.c how a
 * connection ends and when the next one begins, servers.h where it goes. */
#ifndef PETREL_CLIENT_CORE_H
#define PETREL_CLIENT_CORE_H

#include "base/rng.h"
#include "client/servers.h"
#include "petrel/core.h"
#include "wire/session.h"

#define CORE_MAGIC OBJECT_MAGIC('P', 'C', 'O', 'R')

#define CORE_FRAME_MAX (1024U * 1024U) /* the largest max_frame_bytes that a server can be set to */
#define CORE_HEARTBEAT_DEFAULT_S 240   /* a server that names none */
#define CORE_HEARTBEAT_MAX_S 86400
#define CORE_SILENCE_EXTRA_MS 10000 /* beyond one and a half heartbeats */
#define CORE_ACK_MESSAGES 16
#define CORE_ACK_DELAY_MS 200

#define CORE_BACKOFF_MIN_MS 500
#define CORE_BACKOFF_MAX_MS 60000
#define CORE_BACKOFF_SERVER_MAX_MS 3600000 /* no server can send a device away for longer */
#define CORE_PROVEN_MS 30000               /* a session that lived so long was a success */

/* How far a lost attempt is jumped ahead, doubled with each refusal: more connects than an installation makes in its life.
 * A clock would do it in one step, but a phone's clock may stand in the past. */
#define CORE_ATTEMPT_JUMP (UINT64_C(1) << 20)
#define CORE_ATTEMPT_MAX INT64_MAX

enum core_phase { CORE_IDLE, CORE_CONNECTING, CORE_LIVE, CORE_LEAVING, CORE_BROKEN };

struct core_end {
    bool known;
    uint32_t code; /* the server's, or 0 */
    char text[SESSION_ERROR_TEXT_MAX + 1];
};

struct core_goaway {
    bool told;
    uint32_t code;
    uint64_t leave_at; /* when to be back somewhere: the random time within the spread */
    uint64_t close_at; /* that, or the server's deadline if it is earlier */
};

struct petrel_core {
    uint32_t magic;
    enum core_phase phase;
    struct petrel_callbacks callbacks;
    void *ctx;
    char *client;
    uint32_t heartbeat_wish_s;
    uint32_t ack_delay_ms;
    bool fresh_tokens;
    bool topics;
    struct rng rng;
    struct petrel_state state;

    /* the connection */
    struct session_codec *codec;
    struct frame_reader reader;
    struct bytebuf out;
    bool busy; /* callbacks of the application may be on the stack */
    bool paused;
    bool leave_asked; /* disconnect was called from a callback: after this batch */
    uint32_t leave_reason;
    uint64_t now_ms;
    uint64_t began_ms;    /* CONNECT was queued; then, CONNECTED came */
    uint32_t patience_ms; /* from CONNECT to CONNECTED */
    uint64_t heard_ms;
    uint64_t sent_ms;
    uint64_t heartbeat_ms;

    bool unsaved;        /* the state moved in this batch */
    uint32_t unacked;    /* messages since the last ack */
    uint64_t ack_due_ms; /* with unacked > 0 */

    /* the end of it, and the next */
    struct core_end end;
    struct core_goaway goaway;
    struct servers servers;
    uint32_t failures; /* rounds in a row that did not lead to a session which proved itself */
    uint32_t server_backoff_ms;
    bool backoff_told; /* in this round, by a server that refused: of several waits the shortest counts */
    uint64_t attempt_jump;
};

/* The one place where the phase changes; a move that is not allowed is a programmer's error. */
void core_move(struct petrel_core *core, enum core_phase to);

/* Handle one frame of the server's: a frame_fn, ctx is the core. 0; 1: stop, goodbye is to be said; -1: broken. */
int core_frame(void *ctx, const struct frame *frame);

/* Note why the connection ends, unless a reason is known already. Returns -1. */
int core_end(struct petrel_core *core, uint32_t code, const char *text);
/* What a GOAWAY asks for. */
void core_goaway(struct petrel_core *core, const struct session_goaway *goaway);
/* An ERROR names a wait. */
void core_backoff(struct petrel_core *core, uint32_t backoff_ms);
/* How long to wait before the next connect, 0 while there is another server to try, -1: never, as things stand; counts this end among
 * the failures. */
int64_t core_retry_ms(struct petrel_core *core);

#endif
