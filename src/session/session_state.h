/* session_state.h: what the few bits of a session say. Private to this room. */
#ifndef PETREL_SESSION_SESSION_STATE_H
#define PETREL_SESSION_SESSION_STATE_H

enum conn_state {
    CONN_ACCEPTED, /* no valid CONNECT yet */
    CONN_BINDING,  /* authenticated; the bind's reply is awaited */
    CONN_LIVE,     /* CONNECTED was written */
    CONN_CLOSING,  /* on_closed is awaited */
};

enum session_speaks {
    SPEAKS_UNKNOWN,   /* its first byte is awaited */
    SPEAKS_PROXY,     /* a PROXY header, and then its first byte */
    SPEAKS_NATIVE,    /* frames */
    SPEAKS_HTTP,      /* one request, which may make it a WebSocket */
    SPEAKS_WEBSOCKET, /* frames in messages */
};

enum session_flag {
    SESSION_BEHIND = 1,   /* Delivers are not taken: it refills by FETCH */
    SESSION_PAGING = 2,   /* a FETCH or BIND is under way: at most one of them */
    SESSION_ACKING = 4,   /* an ACK is under way */
    SESSION_LISTED = 16,  /* stands on the agenda */
    SESSION_NEWS = 32,    /* a Deliver was not taken since the page was asked for */
    SESSION_REWOUND = 64, /* was told a rollback within its epoch: acks from before it may still come */
    SESSION_TOLD = 128,   /* got GOAWAY */
};

#endif
