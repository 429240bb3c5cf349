/* bench_target.h: whom the load is for: one petreld, started here or running, or a whole deploy/cluster.
 *
 * process   of the target: its kind is what the figures name (petreld, redis, session ...), its cost is read from /proc */
#ifndef PETREL_BENCH_BENCH_TARGET_H
#define PETREL_BENCH_BENCH_TARGET_H

#include "base/bytes.h"
#include "wire/token.h"

#include <netinet/in.h>
#include <sys/types.h>

#define BENCH_PROCESSES_MAX 40
#define BENCH_ADDRESSES_MAX 16
#define BENCH_KIND_MAX 16

struct bench;

struct bench_process {
    char kind[BENCH_KIND_MAX];
    pid_t pid;
};

struct bench_target {
    bool started; /* by us: processes[0], with its data in dir */
    char dir[256];
    size_t processes_count;
    struct bench_process processes[BENCH_PROCESSES_MAX];
    size_t sessions_count;
    struct sockaddr_in sessions[BENCH_ADDRESSES_MAX]; /* where devices connect */
    size_t apis_count;
    struct sockaddr_in apis[BENCH_ADDRESSES_MAX];
    char admin_url[96];
    char admin_token[96];
    char app[32];
    char api_key[128];
    struct token_key *token_key;
};

struct bench_usage {
    uint64_t rss_bytes;
    double cpu_seconds; /* user and system */
};

/* Find or start what the options name, make a fresh app and key on it. Dies when it can't. */
void bench_target_open(struct bench *bench);
/* Stop what was started. Harmless on what is not open. */
void bench_target_close(struct bench_target *target);
/* Of all processes of a kind; NULL: of all. */
struct bench_usage bench_target_usage(struct bench *bench, const char *kind);
/* CPU seconds of each kind since `before`, which was filled by bench_target_snapshot(), per million of count, as figures
 * "<kind>_cpu_s_per_million" (when there is more than one kind), and of all, "server_cpu_s_per_million". */
struct bench_snapshot {
    double cpu_seconds[BENCH_PROCESSES_MAX];
};
struct bench_snapshot bench_target_snapshot(struct bench *bench);
void bench_target_figures(struct bench *bench, const struct bench_snapshot *before, double count);
/* The value of a counter at the /metrics of the node with the admin address; 0 where there are none. */
double bench_target_metric(struct bench *bench, const char *name);

#endif
