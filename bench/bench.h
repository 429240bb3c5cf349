/* bench.h: petrel-bench: load for petreld, and what it cost the servers, from /proc.
 *
 * run      one measurement: a target, a load, figures
 * figure   a named number; runs print them as a table for people and, as the last line, as JSON
 *
 * Read bench_target.h (whom the load is for) and bench_fleet.h (the devices) with it.
 * To add a measurement: a function `int bench_<name>(struct bench *)` in a file of its own and its row in bench_main.c. */
#ifndef PETREL_BENCH_BENCH_H
#define PETREL_BENCH_BENCH_H

#include "bench_target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_FIGURES_MAX 80
#define BENCH_NAME_MAX 64

struct bench_figure {
    char name[BENCH_NAME_MAX]; /* as in the JSON */
    double value;
    int digits; /* behind the point */
};

struct bench_options {
    const char *petreld;  /* path of the server to start */
    const char *limit;    /* path of petrel-limit */
    const char *data_dir; /* of a running server to use instead; NULL: start one */
    const char *cluster;  /* directory of a deploy/cluster to use instead; NULL: none */
    const char *server;   /* HOST:PORT of a running server to use instead; NULL: none */
    const char *api;      /* its send API, HOST:PORT; NULL: of the same host, port 7480 */
    const char *admin_url;
    const char *token_file; /* admin.token */
    const char *plot;       /* growth: SVG file to write; NULL: none */
    uint32_t server_pid;    /* 0: unknown, so nothing of it can be read in /proc */
    uint32_t heartbeat;     /* hold: seconds from one of a session to its next; 0: bench_hold_heartbeat() */
    uint32_t rounds;        /* compare */
    uint32_t others;        /* compare: 0, and servers of others are left out */
    uint32_t limit_seconds; /* compare: instead of seconds, of the limit; 0: the same */
    bool json;              /* nothing but the JSON on stdout */
    bool tls;               /* the devices speak it */
    bool ws;                /* and this, within it or without */
    uint32_t sessions;
    uint32_t senders;
    uint32_t users;
    uint32_t seconds;
    uint32_t settle; /* seconds at most until the server is at rest; 0: not waited for */
    uint32_t payload_bytes;
    uint32_t rate;     /* sends a second; 0: as many as go */
    uint32_t every_ms; /* broadcast, soak: one in so long; 0: the run's own choice */
    uint32_t share;    /* storm: percent of the sessions that are cut */
    uint32_t stay;     /* storm: devices beside them that are not */
    uint32_t churn;    /* soak: devices a second that leave and come back */
    uint32_t slow;     /* soak: of the sessions, those that read by turns */
    uint32_t growth;   /* soak: percent that the servers' memory may grow */
    uint32_t loops;    /* of the server that is started; 0: as many as cores, and as sessions need */
};

/* What petrel-bench starts: the real thing, what does its socket work and no more, or another server of bench_others.h. */
enum bench_server { BENCH_PETRELD, BENCH_LIMIT, BENCH_OTHER };
struct bench_other;

struct bench {
    struct bench_options options;
    enum bench_server server;
    const struct bench_other *other; /* of BENCH_OTHER */
    bool compares;                   /* petrel-limit is to have the same */
    bool broadcasts;                 /* the devices take topics, and the run sends to all of them now and then */
    bool storms; /* the run cuts sessions: a server has some of them twice before it has heard of their end */
    bool
        soaks; /* the run wants memory to be steady soon: what became of a message is remembered for a minute, not an hour */
    struct bench_target target;
    struct bench_fleet *fleet; /* NULL: none */
    size_t figures_count;
    struct bench_figure figures[BENCH_FIGURES_MAX];
};

uint64_t bench_now_us(void); /* of a clock that all processes of the machine share */
/* A message on stderr and exit code 1; never returns. Ends what was started. */
_Noreturn void bench_die(struct bench *bench, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One whose name begins with server_ is left out when no process of the target is known. */
void bench_figure(struct bench *bench, const char *name, double value, int digits);
/* NULL: there is none of that name. */
const struct bench_figure *bench_figure_find(const struct bench_figure *figures, size_t count, const char *name);
/* A figure's value; 0 when the run at hand has none of that name. */
double bench_figure_value(const struct bench *bench, const char *name);
void bench_figure_table(const struct bench *bench);
/* {"name":value,...}, no newline. */
void bench_figure_json(const struct bench_figure *figures, size_t count);
/* p50, p99, p99.9 and max as figures "<name>_p50_us" ...; name "": "p50_us" ... */
struct bench_latency;
void bench_figure_latency(struct bench *bench, const char *name, const struct bench_latency *latency);
void bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One run against a server of its own, which is stopped; the figures of runs before are gone. What the run returned. */
int bench_run_alone(struct bench *bench, int (*run)(struct bench *bench));

/* A measurement's exit code: 0 all was as it should be, 1 something was refused or lost. compare and growth print table and JSON. */
int bench_broadcast(struct bench *bench);
int bench_compare(struct bench *bench, int (*run)(struct bench *bench));
int bench_growth(struct bench *bench);
int bench_hold(struct bench *bench);
/* Seconds between heartbeats, so that within those to hold each session sends as many as it would in life, and at least one. */
uint32_t bench_hold_heartbeat(uint32_t seconds);
int bench_send(struct bench *bench);
/* After the connects: wait until the server is at rest; figures of what that took. Nothing where its processes are not known. */
void bench_settle(struct bench *bench);
int bench_soak(struct bench *bench);
int bench_storm(struct bench *bench);

#endif
