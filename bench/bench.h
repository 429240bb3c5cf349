/* bench.h: petrel-bench: load for a petreld, and what it cost the server, from /proc.
 *
 * run      one measurement: a server (its own or a given one), an app with its token secret and an API key, figures
 * figure   a named number; runs print them as a table for people and, as the last line, as JSON
 *
 * To add a measurement: a function `int bench_<name>(struct bench *)` in a file of its own and its row in bench_main.c. */
#ifndef PETREL_BENCH_BENCH_H
#define PETREL_BENCH_BENCH_H

#include "base/bytes.h"
#include "wire/token.h"

#include <netinet/in.h>
#include <sys/types.h>

#define BENCH_FIGURES_MAX 32

struct bench_figure {
    const char *name; /* as in the JSON */
    double value;
    int digits; /* behind the point */
};

struct bench {
    /* options */
    const char *petreld;  /* path of the server to start */
    const char *data_dir; /* of a running server to use instead; NULL: start one */
    uint32_t sessions;
    uint32_t senders;
    uint32_t users;
    uint32_t seconds;
    uint32_t payload_bytes;
    /* the server */
    pid_t pid;
    bool started;
    char dir[256];
    struct sockaddr_in session_address;
    struct sockaddr_in api_address;
    char admin_url[96];
    char admin_token[96];
    /* the app */
    char app[32];
    char api_key[128];
    struct token_key *token_key;
    /* result */
    size_t figures_count;
    struct bench_figure figures[BENCH_FIGURES_MAX];
};

struct bench_usage {
    uint64_t rss_bytes;
    double cpu_seconds; /* user and system */
};

uint64_t bench_now_us(void);
/* A message on stderr and exit code 1; never returns. Ends a server that it started. */
_Noreturn void bench_die(struct bench *bench, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bench_figure(struct bench *bench, const char *name, double value, int digits);
void bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* bench_server.c: start or find the server, make the app and the key; stop what was started. */
void bench_server_open(struct bench *bench);
void bench_server_close(struct bench *bench);
struct bench_usage bench_server_usage(struct bench *bench);
/* The value of a counter at /metrics. */
double bench_server_metric(struct bench *bench, const char *name);

/* bench_latency.c: a histogram of microseconds, 1/16 octave wide. */
#define BENCH_LATENCY_SLOTS 512
struct bench_latency {
    uint64_t count;
    uint64_t max_us;
    uint64_t slots[BENCH_LATENCY_SLOTS];
};
void bench_latency_add(struct bench_latency *latency, uint64_t us);
/* share: 0.5 for the median. An upper bound, at most 4.5% above. */
uint64_t bench_latency_at(const struct bench_latency *latency, double share);

int bench_hold(struct bench *bench);
int bench_send(struct bench *bench);

#endif
