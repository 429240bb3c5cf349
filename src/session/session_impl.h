/* session_impl.h: what a session and its role are made of. Private to this room.
 *
 * at        the position up to which everything meant for the session has been written to its socket
 * busy      what is not as it is for an idle session: who has been told less than `at`, or has not acked it, has a partial
 *           frame, or is not live yet (session_busy.h)
 * wants     what the agenda is to do for the session at its next round (session_agenda.h)
 * speaks    what the connection carries; no more than this is kept of a WebSocket that is between two messages
 *
 * An idle session costs a cache line, its stream (32 bytes) and its identity (28 bytes and the names of user and device): no
 * timer, no buffer, no entry in a hash, no allocation of its own. All three lie in slabs: so it knows its slot and role. */
#ifndef PETREL_SESSION_SESSION_IMPL_H
#define PETREL_SESSION_SESSION_IMPL_H

#include "session/session_admission.h"
#include "session/session_agenda.h"
#include "session/session_auth.h"
#include "session/session_busy.h"
#include "session/session_call.h"
#include "session/session_check.h"
#include "session/session_checks.h"
#include "session/session_door.h"
#include "session/session_drain.h"
#include "session/session_edge.h"
#include "session/session_flood.h"
#include "session/session_goaway.h"
#include "session/session_identity.h"
#include "session/session_listen.h"
#include "session/session_move.h"
#include "session/session_penalty.h"
#include "session/session_role.h"
#include "session/session_state.h"
#include "session/session_table.h"
#include "session/session_window.h"

#define SESSION_MAGIC OBJECT_MAGIC('S', 'E', 'S', 'S')
#define SESSION_ROLE_MAGIC OBJECT_MAGIC('S', 'E', 'S', 'R')

/* What a peer without a token may make us hold: a CONNECT with the longest token and the most topics, and room for fields to come. */
#define SESSION_CONNECT_BYTES_MAX 12288U
#define SESSION_FLUSH_MS 2000U /* a last frame has so long to leave */

#define SESSION_HEARTBEAT_BITS 4095U /* seconds that fit: over the longest interval of any client */

struct session {
    uint32_t magic;
    uint32_t generation;
    uint8_t state : 3;  /* enum conn_state; written by session_conn_move() only */
    uint8_t speaks : 3; /* enum session_speaks */
    uint8_t parted : 1; /* of a WebSocket: its close was written */
    uint8_t flags;      /* of enum session_flag */
    uint8_t wants;      /* of enum session_want */
    uint8_t proven : 1; /* the device has what is acked; else that is where CONNECTED's GAP told it to begin */
    uint8_t topics : 7; /* of enum session_topics_flag */
    uint16_t heartbeat_s : 12;
    uint16_t reads : 4; /* in the second of heard_s, as far as session_flood counts */
    uint16_t losses;    /* of the sweep, as counted at the last check; its lower half */
    struct stream *stream;
    struct session_identity *who; /* NULL before a valid CONNECT */
    struct session_busy *busy;    /* NULL while idle */
    struct position at;
    uint32_t heard_s; /* both in seconds of the role */
    uint32_t checked_s;
};

_Static_assert(sizeof(struct session) == 64, "a million idle sessions are a million of these");

/* What a heartbeat looks at stands first: between two of them, others have had the cache. */
struct session_role {
    uint32_t magic;
    struct session_flood flood;
    struct loop *loop;
    uint64_t start_ms;
    struct bytebuf out; /* frames are built here, one write per callback */
    struct session_codec *codec;
    struct session_config config; /* its texts are the role's own */
    struct metrics_shard *metrics;
    struct link *link;
    struct session_listeners listeners;
    uint32_t connections; /* sockets that are open */
    uint32_t sessions;    /* of them, binding or live */
    uint32_t live;        /* of them, live */
    struct session_table table;
    struct slab busies;
    struct slab doors;
    struct slab edges;
    struct bytebuf unmasked; /* lent to who reads from a WebSocket */
    struct lookup_pacer *pacer;
    struct session_identities identities;
    struct session_keyring *keyring; /* NULL before the first APPS */
    uint64_t keyring_version;
    struct session_admission admission;
    struct session_window window;
    struct session_gate gate;
    struct session_penalties penalties;
    struct session_calls calls;
    struct session_checks checks;
    struct session_agenda agenda;
    struct session_sweep sweep;
    struct session_goaway_state goaway;
    struct session_move move;
    struct session_drain drain;
    struct session_topics *topics;
    struct tls_server *tls; /* NULL: devices connect without */
    bool tls_required;
    bool closing;
    struct loop_task finish;
    void (*done)(void *ctx);
    void *done_ctx;
};

static inline struct session_role *session_role_of(const struct session *session)
{
    return slab_keeper(session);
}

static inline uint32_t session_slot(const struct session *session)
{
    return slab_index(session);
}

/* Seconds since the role began. */
static inline uint32_t session_now_s(const struct session_role *role)
{
    return (uint32_t)((loop_now_ms(role->loop) - role->start_ms) / 1000);
}

static inline struct route session_route(const struct session *session)
{
    const struct session_role *role = session_role_of(session);
    return (struct route){
        .incarnation = role->config.incarnation,
        .node = role->config.node,
        .loop = loop_index(role->loop),
        .slot = session_slot(session),
        .generation = session->generation,
    };
}

/* Whether `a` is later in a log than `b`: epochs are ordered, and seq goes on over them. */
static inline bool session_later(struct position a, struct position b)
{
    return a.epoch != b.epoch ? a.epoch > b.epoch : a.seq > b.seq;
}

/* Give back what sessions that are gone took, but for what the load of the time since it was last called needs (session_role.c). */
void session_role_trim(struct session_role *role);
/* Begin the end of a closing role once nothing is open and nothing under way (session_role.c). */
void session_role_finish_if_idle(struct session_role *role);

#endif
