/* sim_net.h: the network between devices and session nodes: byte streams in memory.
 *
 * conn     one connection. A loop's end is a struct stream; the device's end is here
 * packet   bytes under way. Those of one direction arrive in order, cut as chance has it
 * window   what the network and the device's kernel hold; beyond, the server's stream is blocked
 * vanish   the device is gone without a word: what it sent may still arrive, and nothing ends on the server's side */
#ifndef PETREL_SIM_SIM_NET_H
#define PETREL_SIM_SIM_NET_H

#include "base/bytes.h"
#include "sim/sim.h"

struct sim_conn;

/* The device's end. All may call anything of this header. */
struct sim_conn_ops {
    void (*on_open)(void *owner);
    void (*on_readable)(void *owner); /* sim_conn_read() has something */
    void (*on_end)(void *owner);      /* refused, closed by the server, or broken; the conn is no more the owner's */
};

/* Connect to the listener of that port. */
struct sim_conn *sim_conn_new(struct sim *sim, uint16_t port, const struct sim_conn_ops *ops, void *owner);
void sim_conn_write(struct sim_conn *conn, struct bytes data);
/* Take up to max bytes of what came. */
size_t sim_conn_read(struct sim_conn *conn, uint8_t *into, size_t max);
/* These three end the owner's part; no callback follows. */
void sim_conn_close(struct sim_conn *conn);
/* What was written arrives up to late_us later than it would have. */
void sim_conn_vanish(struct sim_conn *conn, uint64_t late_us);
/* As close, but what was written is lost. */
void sim_conn_break(struct sim_conn *conn);

/* After the last loop is freed: whatever is still under way. */
void sim_net_reset(struct sim *sim);

#endif
