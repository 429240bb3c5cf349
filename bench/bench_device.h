/* bench_device.h: inside a worker: its devices, and what they do. See bench_fleet.h.
 *
 * bench_device.c         the worker's life: events, orders, heartbeats
 * bench_device_link.c    how a device connects, is cut off, and comes back
 * bench_device_wire.c    what lies between its frames and its socket: nothing, TLS, WebSocket, or both
 * bench_device_hear.c    what a server says to it
 * bench_device_churn.c   devices that come and go, and slow readers */
#ifndef PETREL_BENCH_BENCH_DEVICE_H
#define PETREL_BENCH_BENCH_DEVICE_H

#include "bench_fleet.h"

#include "base/rng.h"
#include "wire/session.h"

#define BENCH_DEVICE_READ_BYTES 65536

struct tls_client;
struct tls_conn;
struct tls_loop;
struct websocket_reader;

/* GREETING: TLS, or the upgrade to WebSocket; WAITING: for CONNECTED. */
enum device_state {
    DEVICE_DOWN,
    DEVICE_CONNECTING,
    DEVICE_GREETING,
    DEVICE_WAITING,
    DEVICE_UP,
    DEVICE_GONE,
};

struct device {
    int fd;
    uint8_t state; /* of enum device_state */
    bool upgraded; /* to WebSocket */
    uint8_t failures;
    uint16_t told; /* the code that the server ended this connection with; 0: none */
    uint32_t told_ms;
    uint32_t attempt;
    struct position at;
    struct position topic_at; /* in `all` */
    uint64_t begun_us;        /* the connect; of a session, the PING that is not answered yet */
    struct frame_reader reader;
    struct tls_conn *tls;            /* NULL: none */
    struct buf *hello;               /* what TLS begins with, until the socket is connected */
    struct buf *ticket;              /* to resume with; NULL: none */
    struct bytebuf answer;           /* to the upgrade, as far as it has come */
    struct websocket_reader *packet; /* NULL between two messages */
};

struct work {
    struct bench_fleet *fleet;
    struct bench_worker *out;
    uint32_t worker;
    uint32_t first;
    uint32_t count;
    bool apart;
    int epoll_fd;
    struct device *devices;
    uint32_t *due_ms; /* of a device that is down: when it is to connect, since start_us; 0: not by itself */
    uint32_t due_count;
    uint64_t start_us;
    uint64_t looked_us; /* when those that wait were last looked at */
    struct session_codec *codec;
    struct bytebuf frame;
    struct bytebuf token;
    struct loop *loop;    /* --tls: it does not run, and has what TLS connections share; else NULL, the three */
    struct tls_loop *tls; /* the loop's */
    struct tls_client *client;
    struct bytebuf packet;  /* to be sent: of WebSocket */
    struct bytebuf scratch; /* received: of WebSocket */
    struct rng rng;
    uint32_t order_serial; /* under way, or done */
    enum bench_order order;
    uint64_t began_us; /* the order */
    uint64_t cursor;   /* where the order is among the devices */
    uint64_t beat_us;  /* between two heartbeats of a device */
    uint64_t beats;    /* heartbeats that are through: devices have theirs in turn */
    uint64_t beats_at; /* what that was at beats_from_us */
    uint64_t beats_from_us;
    uint32_t in_flight;
    uint64_t churned; /* since the order began */
    bool others_read; /* of the slow readers: which half */
    bool acked;       /* of the read at hand: something is to be acked */
    uint8_t data[BENCH_DEVICE_READ_BYTES];
};

/* The worker's whole life; devices first .. first + count - 1. Never returns. */
_Noreturn void bench_device_run(struct bench_fleet *fleet, uint32_t worker, uint32_t first, uint32_t count);

/* Whether that was work for more than the kernel. */
bool bench_device_link_begin(struct work *work, uint32_t index);
/* What lies below is ready: say CONNECT. */
void bench_device_link_hello(struct work *work, struct device *device);
void bench_device_link_up(struct work *work, struct device *device);
/* The connection ended, why, and not by our will: the device waits as it was told, or is gone. */
void bench_device_link_lost(struct work *work, struct device *device, const char *why);
/* End it ourselves. reset: nothing is said, as when a network goes, and no port is held for a minute. The device is back after a random
 * part of within_ms, or, at 0, stays away. */
void bench_device_link_cut(struct work *work, struct device *device, bool reset, uint32_t within_ms);
/* Begin again those whose wait is over, at most so many in flight; give up on servers that are silent. Whether some are left for a turn
 * at once. */
bool bench_device_link_turn(struct work *work, uint32_t in_flight_max);
/* events: EPOLLIN, or 0 for one that does not read. */
void bench_device_link_watch(struct work *work, struct device *device, uint32_t events);
/* Write the frame that is in work->frame; what can't be written is a lost connection. */
void bench_device_link_write(struct work *work, struct device *device, const char *what);

/* Before the first device. */
void bench_device_wire_init(struct work *work);
/* Make what the server is to be greeted with: its work is done before the connection is there, as a server has no use for one that says
 * nothing. Whether it was work. */
bool bench_device_wire_prepare(struct work *work, struct device *device);
/* The socket is connected: greet the server; bench_device_link_hello() follows, perhaps from within. */
void bench_device_wire_open(struct work *work, struct device *device);
/* Read the socket once, have the device hear what it brings. NULL, or why the connection is to be ended. */
const char *bench_device_wire_read(struct work *work, struct device *device);
/* The frame in work->frame. Whether it has gone out. */
bool bench_device_wire_write(struct work *work, struct device *device);
/* Say that nothing more comes. */
void bench_device_wire_farewell(struct work *work, struct device *device);
void bench_device_wire_close(struct device *device);
/* Give back what many handshakes took. */
void bench_device_wire_rest(const struct work *work);

/* Bytes of frames came: 0, or the connection is to be ended. Sets work->acked when something is to be acked. */
int bench_device_hear(struct work *work, struct device *device, struct bytes bytes);

void bench_device_churn_begin(struct work *work);
void bench_device_churn_turn(struct work *work);
/* All read again. */
void bench_device_churn_end(struct work *work);

#endif
