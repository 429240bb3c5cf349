/* link.h: how roles talk, on one loop: calls with one answer and tells with none, of wire/peer.h's messages.
 *
 * One struct link per loop, the node's end of all its links. Roles register as servers of their messages on their own loop;
 * callers don't know whether the answer comes from this loop, another, or another node. A tell is a hint: it may be lost, and
 * then the link is dirty, which sessions are told (PROMISE §3).
 *
 * To add an implementation: struct link_ops in link_<name>.c, its line in petreld/backends.c, tests/contract/test_link
 * against it. */
#ifndef PETREL_DISCOVERY_LINK_H
#define PETREL_DISCOVERY_LINK_H

#include "base/err.h"
#include "base/object.h"
#include "loop/mailbox.h"
#include "wire/peer.h"

struct link;

struct link_call;
typedef void link_done_fn(struct link_call *call);

/* Embedded by the caller, left alone until done. What `in` borrows stays until then; `reply` is valid until done returns. */
struct link_call {
    struct peer_msg in;
    struct peer_reply reply;
    link_done_fn *done;
    /* the link's own */
    struct link *from;
    struct link *to;
    struct mail mail;
    struct loop_task task;
    uint32_t far_node; /* whose role is asked, when it is not of this process */
    uint16_t far_loop;
    bool far;
    bool serving;
    bool answered;
};

/* LINK_FAR is no role: it is what carries calls and tells for other nodes out of the process (link_tcp.c). */
enum link_role { LINK_MESSAGE, LINK_SESSION, LINK_FAR, LINK_ROLES };

/* The role that a call of this type is for: the number says (wire/peer.h). */
static inline enum link_role link_role_of(enum peer_type type)
{
    petrel_assert(type >= PEER_BIND && type < PEER_DELIVER);
    return type >= PEER_SESSIONS ? LINK_SESSION : LINK_MESSAGE;
}

/* A role's side, on its loop. */
struct link_server {
    void *ctx;
    /* A call came: answer it with link_answer(), now (then only a status; what reply points to would be gone) or later, exactly
     * once. Calls come only from links of this process or from peers that said hello with the shared secret. */
    void (*on_call)(void *ctx, struct link_call *call);
    /* A tell came; all of it borrows until this returns. May run inside link_tell(). */
    void (*on_tell)(void *ctx, const struct peer_msg *msg);
    /* Tells to this role may have been lost. May be NULL. */
    void (*on_dirty)(void *ctx);
};

/* All on the link's loop. */
struct link_ops {
    const char *name;
    int (*call)(struct link *link, struct link_call *call);
    int (*call_at)(struct link *link, uint32_t node, uint16_t loop, struct link_call *call);
    int (*tell)(struct link *link, uint32_t node, uint16_t loop, const struct peer_msg *msg);
    int (*tell_node)(struct link *link, uint32_t node, const struct peer_msg *msg);
    int (*tell_sessions)(struct link *link, const struct peer_msg *msg);
    void (*lost)(struct link *link);
    void (*answer)(struct link *link, struct link_call *call);
    bool (*knows)(struct link *link, const struct route *route);
    bool (*outlived)(struct link *link, const struct route *route);
    /* Serve and tell no more: asking and telling are PETREL_E_CLOSING from here on, calls from other loops get UNAVAILABLE, what
     * was told is sent off, what arrives is let go. Calls under way still come back. After the roles of this loop have closed. */
    void (*close)(struct link *link);
};

struct link {
    const struct link_ops *ops;
    struct loop *loop;
    struct link_server servers[LINK_ROLES]; /* on_call NULL: nobody serves it here */
};

/* Serve a role's messages on this loop, before any link of the process is used. */
static inline void link_serve(struct link *link, enum link_role role, struct link_server server)
{
    link->servers[role] = server;
}

/* Ask the message role, on whichever node serves the target. Fill call->in. 0: done runs exactly once, later, on this loop, with
 * reply.status 0, the operation's status, or UNAVAILABLE, TIMEOUT. Negative: never runs; BUSY, CLOSING. */
static inline int link_ask(struct link *link, struct link_call *call, link_done_fn *done)
{
    call->done = done;
    return link->ops->call(link, call);
}

/* Ask the session role of that loop of that node (SESSIONS, DRAIN). As link_ask(); UNAVAILABLE when it is not there. */
static inline int link_ask_at(struct link *link, uint32_t node, uint16_t loop, struct link_call *call,
                              link_done_fn *done)
{
    call->done = done;
    return link->ops->call_at(link, node, loop, call);
}

/* Tell the session role of that loop of that node (DELIVER, EVICT, RESUBSCRIBED). 0, or an error when it was dropped. */
static inline int link_tell(struct link *link, uint32_t node, uint16_t loop, const struct peer_msg *msg)
{
    return link->ops->tell(link, node, loop, msg);
}

/* Tell the session roles of all loops of that node (TOPIC_DELIVER). 0, or an error when it was dropped for some of them. */
static inline int link_tell_node(struct link *link, uint32_t node, const struct peer_msg *msg)
{
    return link->ops->tell_node(link, node, msg);
}

/* Tell every session role that this node serves (APPS). */
static inline int link_tell_sessions(struct link *link, const struct peer_msg *msg)
{
    return link->ops->tell_sessions(link, msg);
}

/* What the message role of this loop asks may have forgotten sessions: those of this loop, and of the nodes that are connected to it, are
 * told as if tells had been lost. */
static inline void link_lost(struct link *link)
{
    link->ops->lost(link);
}

/* Whether the route's process is this one, or its loop is connected to this one: then it may live, whatever discovery says (§3, §11). */
static inline bool link_knows(struct link *link, const struct route *route)
{
    return link->ops->knows(link, route);
}

/* Whether a newer process of the route's node is this one, or its loop has said hello to this one: the route leads nowhere any more. */
static inline bool link_outlived(struct link *link, const struct route *route)
{
    return link->ops->outlived(link, route);
}

/* The server's answer: call->reply is filled. What it points to must live until this returns, or, over threads, is carried over by
 * the link (lists travel as bufs). */
static inline void link_answer(struct link_call *call)
{
    call->to->ops->answer(call->to, call);
}

#endif
