/* listener.h: a listener on a loop. Of TCP every loop opens its own on the same port (SO_REUSEPORT), so the kernel spreads
 * connections and no descriptor crosses threads. A Unix socket is one loop's. */
#ifndef PETREL_LOOP_LISTENER_H
#define PETREL_LOOP_LISTENER_H

#include "loop/stream.h"

struct listener;

struct listener_config {
    const char *host; /* numeric IPv4 or IPv6 address */
    uint16_t port;    /* 0: the kernel chooses; see listener_port() */
    int backlog;      /* 0: 4096 */
    uint32_t
        unsent_bytes; /* the kernel takes at most so many of a connection that it can't send yet (TCP_NOTSENT_LOWAT), so
                              that a slow reader shows early; 0: as the machine is set */
    uint32_t send_buffer_bytes; /* the kernel holds at most about twice so much of a connection, what is on its way
                                   included (SO_SNDBUF); 0: it grows as the machine is set */
    bool crowd;                 /* so many connections that others of the loop, when many are ready, go before them */
    uint32_t
        lag_ms; /* while the loop's lag is above it, ever fewer connections are accepted in a turn, one at least, and
                        again more once it is half of it; 0: always as many as may be */
};

/* A connection: the callee owns the stream and attaches it, or closes it, before this returns. */
typedef void listener_accept_fn(void *ctx, struct stream *stream);

/* Open and begin to accept. 0; PETREL_E_INVALID (host); PETREL_E_EXISTS (address in use); PETREL_E_FORBIDDEN (port below
 * 1024); PETREL_E_IO. When the process is out of descriptors, accepting pauses for 100 ms at a time and says so once. */
int listener_open(struct listener **out, struct loop *loop, const struct listener_config *config,
                  listener_accept_fn *accept, void *ctx);
/* The same on a Unix socket, which processes of this machine find as the file `path`. A file of a server that died is replaced. */
struct listener_local {
    const char *path;
    uint32_t group; /* whose members may connect besides the owner and root; LISTENER_NO_GROUP: nobody's */
};
#define LISTENER_NO_GROUP UINT32_MAX
/* 0; PETREL_E_INVALID: the path is too long for a Unix socket, or something else stands there; PETREL_E_EXISTS: a process answers there;
 * PETREL_E_NOT_FOUND: no such directory; PETREL_E_FORBIDDEN: the directory may not be written, or the group not be given; PETREL_E_IO. */
int listener_open_local(struct listener **out, struct loop *loop, const struct listener_local *local,
                        listener_accept_fn *accept, void *ctx);
/* Whether the address is free, before the first of a process's listeners on it: SO_REUSEPORT would let two processes of one user
 * share a port, and each would get some of the other's connections. 0, or an error of listener_open(). Any thread. */
int listener_probe(const struct listener_config *config);
/* How many connections the kernel lets wait at a listener, whatever is asked for (net.core.somaxconn). Any thread; reads a file. */
uint32_t listener_backlog_max(void);
uint16_t listener_port(const struct listener *listener); /* 0: a Unix socket */
/* Stop accepting, leave the backlog alone; and begin again. */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);
/* Close and free; no callback afterwards. Streams it gave live on. NULL inside is fine. */
void listener_close(struct listener **listener);

#endif
