/* bench_senders.h: what a backend's workers do: keep-alive connections to the send API, one request under way on each. Every 2xx is a
 * message that is durable. */
#ifndef PETREL_BENCH_BENCH_SENDERS_H
#define PETREL_BENCH_BENCH_SENDERS_H

#include "bench.h"
#include "bench_latency.h"

#define BENCH_SENDERS_BYTES_MAX 8192

struct bench_senders;

struct bench_senders_sums {
    uint64_t accepted;
    uint64_t refused; /* answered, but not with a 2xx */
    unsigned last_refusal;
    uint32_t under_way;
    struct bench_latency latency; /* of all answers */
};

/* options.senders of them, for messages with numbers below `numbers`. Dies when they can't be had. */
struct bench_senders *bench_senders_open(struct bench *bench, uint64_t numbers);
void bench_senders_close(struct bench_senders **senders);
bool bench_senders_are_idle(const struct bench_senders *senders); /* at least one */
/* One of those that are idle sends it, in turn. to: the JSON of the target. bytes: of the data, at most BENCH_SENDERS_BYTES_MAX. */
void bench_senders_send(struct bench_senders *senders, uint64_t number, const char *to, uint32_t bytes);
/* Take the answers that come within so long. */
void bench_senders_serve(struct bench_senders *senders, int timeout_ms);
/* Whether the number was answered 2xx. */
bool bench_senders_took(const struct bench_senders *senders, uint64_t number);
const struct bench_senders_sums *bench_senders_sum(const struct bench_senders *senders);

#endif
