/* bench_others.h: servers that others made, under the same shape of load: idle connections with a subscription each, messages to one or to
 * all of them. They keep nothing: what they cost is what delivery alone costs, with their protocols.
 *
 * codec   of a protocol: bytes out for what a client says, events from bytes that come in
 *
 * To add a server: a codec in bench_others_<protocol>.c, and its row in bench_others_server.c. */
#ifndef PETREL_BENCH_BENCH_OTHERS_H
#define PETREL_BENCH_BENCH_OTHERS_H

#include "bench.h"

#include "base/bytes.h"

struct bench_fleet;

#define BENCH_OTHERS_ALL "all" /* what everybody is subscribed to; device N besides to "u<N>" */
#define BENCH_OTHERS_NAME_MAX 16

enum bench_others_what {
    BENCH_OTHERS_NOTHING, /* it concerns nobody */
    BENCH_OTHERS_READY,   /* the connection is up, its subscriptions stand */
    BENCH_OTHERS_MESSAGE,
    BENCH_OTHERS_TAKEN, /* the answer to what was published, or to a ping */
    BENCH_OTHERS_ASKED, /* the server wants a pong */
};

struct bench_others_event {
    enum bench_others_what what;
    struct bytes data; /* MESSAGE: in the bytes that were read */
    uint16_t id;       /* MESSAGE: to be acked; 0: not at all */
};

struct bench_others_codec {
    /* All that a client says at first; subscriber "u<N>", a publisher subscribes to nothing. */
    void (*hello)(struct bytebuf *out, const char *name, bool subscriber);
    void (*publish)(struct bytebuf *out, const char *to, struct bytes data);
    void (*ack)(struct bytebuf *out, uint16_t id);
    void (*ping)(struct bytebuf *out);
    void (*pong)(struct bytebuf *out);
    /* What stands first in the bytes: how many they are; 0: it is not whole yet; -1: it can't be. */
    ssize_t (*take)(struct bytes in, struct bench_others_event *event);
    bool answers; /* each publish; else a ping after some is what keeps a publisher in step */
};

struct bench_other {
    const char *name; /* as in the table */
    const char *program;
    const char *argument; /* behind the program, before the configuration's path; NULL: none */
    const char *config;   /* one %u in it is the port */
    const struct bench_others_codec *codec;
};

extern const struct bench_others_codec bench_others_mqtt_qos1, bench_others_mqtt_qos0, bench_others_nats,
    bench_others_resp;

/* bench_others_feed.c: each thing in the bytes that came, after those that were left over; what is not whole is kept in rest. Ends at the
 * first error: of the codec, or what on_event() returned. */
typedef int bench_others_on_event(void *ctx, const struct bench_others_event *event);
int bench_others_feed(const struct bench_others_codec *codec, struct bytebuf *rest, struct bytes in,
                      bench_others_on_event *on_event, void *ctx);

/* bench_others_server.c: the index-th; NULL: there are no more. */
const struct bench_other *bench_others_at(size_t index);
bool bench_others_is_installed(const struct bench_other *other);
/* How many sessions one can have at most: each has one table of descriptors. */
uint32_t bench_others_sessions_max(void);
/* For bench_target.c: write the configuration of bench->other into the target's directory; become it; wait until it listens. */
void bench_others_configure(struct bench *bench);
_Noreturn void bench_others_become(const struct bench *bench);
void bench_others_await(struct bench *bench);

/* bench_others_send.c: the run `send`, or `broadcast`, with that server; the exit code. */
int bench_others_send(struct bench *bench);

/* bench_others_device.c: as bench_device_run(). */
_Noreturn void bench_others_device_run(struct bench_fleet *fleet, uint32_t worker, uint32_t first, uint32_t count);

#endif
