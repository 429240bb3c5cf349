/* link_tcp_impl.h: what the files of link_tcp share. Private to them. All on the link's loop. */
#ifndef PETREL_DISCOVERY_LINK_TCP_IMPL_H
#define PETREL_DISCOVERY_LINK_TCP_IMPL_H

#include "base/map.h"
#include "base/object.h"
#include "discovery/link_local.h"
#include "discovery/link_tcp.h"
#include "loop/listener.h"
#include "loop/timer.h"
#include "wire/peer_codec.h"

#define LINK_TCP_MAGIC OBJECT_MAGIC('T', 'L', 'N', 'K')
#define LINK_TCP_CONN_MAGIC OBJECT_MAGIC('T', 'C', 'O', 'N')

/* Each state's own next is the only move, but that any may close. */
enum link_tcp_state {
    LINK_TCP_GREETING, /* awaits the other's hello */
    LINK_TCP_PROVING,  /* awaits its proof */
    LINK_TCP_UP,
    LINK_TCP_CLOSING,
};

/* One connection, on the loop that made or took it. */
struct link_tcp_conn {
    uint32_t magic;
    enum link_tcp_state state;
    struct link_tcp_loop *home;
    struct link_tcp_peer *peer; /* whom we call; NULL: we were called */
    struct stream *stream;
    struct list node;        /* in home->conns */
    bool begun;              /* a taken one has said whether it speaks TLS, by its first byte */
    bool open;               /* one that was made with TLS has shaken hands */
    struct tls_peer *caller; /* who a taken one proved to be, until its hello */
    struct frame_reader reader;
    struct timer timer;          /* hello's deadline, then heartbeats */
    struct bytebuf ours, theirs; /* the hellos' bodies, until they are proved */
    uint32_t other;              /* the other side: its node, loop, incarnation */
    uint16_t other_loop;
    uint64_t incarnation;
    uint64_t serial; /* the caller's */
    uint32_t window;
    uint64_t heard_ms;
    uint64_t ticked_ms;
    bool wrote;      /* since the last tick */
    bool dirty;      /* tells were dropped, and the other side is not told yet */
    bool paused;     /* reading waits until what we wrote is taken */
    bool leaving;    /* closes when no call of ours is under way */
    bool registered; /* in the directory */
    uint32_t number; /* of the last call */
    struct map calls;
    struct list waiting; /* of calls, by deadline */
    uint32_t abandoned;  /* calls that passed their deadline and have no answer yet */
    struct list serving; /* calls of theirs under way */
    uint32_t serving_count;
};

/* One loop's link. */
struct link_tcp_loop {
    struct link link;
    uint32_t magic;
    struct link_tcp *set;
    struct link *inner; /* of link_local: what stays in the process, and what hops between its loops */
    struct loop *loop;
    size_t index;
    bool closed;
    struct listener *listener;
    struct tls_server *tls_server; /* NULL while TLS is off, both */
    struct tls_client *tls_client;
    struct discovery_view *view; /* the last; NULL before the first */
    struct peer_codec *codec;
    struct bytebuf out;
    struct list conns;
    uint32_t taken;     /* connections that were taken */
    uint32_t strangers; /* of them, not up yet */
    struct list peers;
    uint32_t peers_count;
    struct map directory;
    uint64_t serial; /* of the last connection made */
    uint64_t served; /* calls of other nodes, with a role of this loop */
    struct buf *apps;
    uint64_t apps_version;
    uint64_t dropped;
    uint64_t refused;
    uint64_t refusal_ms; /* when a refusal was last logged */
};

struct link_tcp {
    struct link_tcp_config config;
    char name[PEER_CODEC_NAME_MAX + 1];
    char tls_name[PEER_CODEC_NAME_MAX + 1];
    struct bytebuf secret;
    struct link_local *local;
    size_t count;
    struct link_tcp_loop *loops[];
};

/* ---- link_tcp_conn.c ---- */

/* Call that peer. Negative: no connection was made. */
int link_tcp_conn_call(struct link_tcp_loop *home, struct link_tcp_peer *peer);
/* Take a connection; home closes it when there are too many. */
void link_tcp_conn_take(struct link_tcp_loop *home, struct stream *stream);
/* Write what stands in home->out, and empty that. */
void link_tcp_conn_write(struct link_tcp_conn *conn);
bool link_tcp_conn_has_room(const struct link_tcp_conn *conn);
/* 0; PETREL_E_BUSY: dropped, and the other side will be told so. */
int link_tcp_conn_tell(struct link_tcp_conn *conn, const struct peer_msg *msg);
/* Tells for the other side were lost on the way here. */
void link_tcp_conn_mark_dirty(struct link_tcp_conn *conn);
/* End it now; its calls are UNAVAILABLE. why is logged. */
void link_tcp_conn_drop(struct link_tcp_conn *conn, const char *why);
/* End it when its calls have come back. */
void link_tcp_conn_leave(struct link_tcp_conn *conn);
void link_tcp_conn_leave_if_idle(struct link_tcp_conn *conn);

/* ---- link_tcp_tls.c ---- */

/* A connection was just made: speak TLS where both sides are to. false: they don't agree, and it was dropped. */
bool link_tcp_tls_call(struct link_tcp_conn *conn);
/* A taken connection's first bytes. Whether they were dealt with: they are TLS's, or such as are not taken, and it was dropped. */
bool link_tcp_tls_begin(struct link_tcp_conn *conn, struct bytes first);
/* Whether a taken connection's hello is of the node whose certificate was shown. NULL; or why not. */
const char *link_tcp_tls_check(struct link_tcp_conn *conn, const struct peer_hello *hello);
/* Why a connection ended: what TLS says, or err_text(status), or what it means that it did so before it was open. out is for it to be
 * made in. */
#define LINK_TCP_TLS_WHY_SIZE (TLS_WHY_SIZE + 128)
const char *link_tcp_tls_why(const struct link_tcp_conn *conn, int status, char out[LINK_TCP_TLS_WHY_SIZE]);

/* ---- link_tcp_calls.c ---- */

void link_tcp_calls_init(struct link_tcp_conn *conn);
/* Whether one more may be asked. */
bool link_tcp_calls_room(const struct link_tcp_conn *conn);
/* Ask the other side; the call is answered in any case. */
void link_tcp_calls_ask(struct link_tcp_conn *conn, struct link_call *call);
/* A reply came, or a call. 0 or PETREL_E_PROTOCOL. */
int link_tcp_calls_replied(struct link_tcp_conn *conn, const struct frame *frame);
int link_tcp_calls_serve(struct link_tcp_conn *conn, const struct frame *frame);
/* A role of this loop has answered another node's call: link_ops.answer. */
void link_tcp_calls_answer(struct link *link, struct link_call *call);
/* Give up calls past their deadline. PETREL_E_TIMEOUT: so many that the other side can't be well. */
int link_tcp_calls_expire(struct link_tcp_conn *conn, uint64_t now_ms);
/* The connection is gone: ours are UNAVAILABLE, theirs are answered to nobody. */
void link_tcp_calls_end(struct link_tcp_conn *conn);

#endif
