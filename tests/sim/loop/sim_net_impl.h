/* sim_net_impl.h: what connections (sim_net.c) and streams (sim_stream.c) share. Nobody else includes it. */
#ifndef PETREL_SIM_SIM_NET_IMPL_H
#define PETREL_SIM_SIM_NET_IMPL_H

#include "sim/loop/sim_loop.h"
#include "sim/loop/sim_net.h"

#define SIM_CONN_MAGIC OBJECT_MAGIC('S', 'C', 'O', 'N')
#define SIM_STREAM_MAGIC OBJECT_MAGIC('S', 'S', 'T', 'R')

struct sim_conn {
    uint32_t magic;
    uint32_t number;
    struct list node; /* of the simulation */
    struct sim *sim;
    struct stream *stream; /* NULL: not accepted yet, or gone */
    const struct sim_conn_ops *ops;
    void *owner; /* NULL: gone */
    struct sim_event opening;
    struct sim_event ending;
    struct loop *loop; /* with the accept's mail under way */
    struct mail accept;
    bool accepting;
    bool busy;              /* in a callback of the device */
    struct bytebuf arrived; /* at the device */
    struct list packets[2]; /* [1]: to the server */
    uint64_t last_us[2];
    size_t under_way; /* bytes to the device, also those that it has not read */
    size_t window;
    uint64_t latency_us;
    uint16_t port;
};

struct stream {
    uint32_t magic;
    struct loop *loop;
    const struct stream_ops *ops;
    void *owner;
    struct sim_conn *conn; /* NULL: the other end is gone */
    struct bytebuf in;
    struct bytebuf out;
    struct list ready;
    struct list node; /* of unflushed or closing */
    struct timer deadline;
    uint32_t number;
    uint64_t moved_ms; /* the network last took bytes, or had none to take */
    bool paused, blocked, ended, told, flushing, closing;
};

struct sim_listener {
    struct list node;
    struct loop *loop;
    listener_accept_fn *accept;
    void *ctx;
    uint16_t port;
    bool paused; /* connections wait */
};

struct listener {
    struct sim_listener of;
};

/* Let data travel; end: nothing comes after it. */
void sim_net_send(struct sim_conn *conn, bool to_server, struct bytes data, bool end);
/* Something to read, or room to write, for the next turn. */
void sim_net_mark_ready(struct stream *stream);
/* Free the connection once neither end is left. */
void sim_net_free_if_over(struct sim_conn *conn);

#endif
