#include "bench_device.h"

#include "bench_others.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_US 2000000
#define LEAVE_SECONDS 30
#define CONNECT_SECONDS 600
#define HANDSHAKES_PER_SECOND 500 /* with both ends on one slow machine */
#define MS_NS 1000000L
#define LITTLE 64 /* events of one epoll_wait() */

static void *shared_memory(struct bench *bench, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        bench_die(bench, "memory is out: %s", strerror(errno));
    return memory;
}

static size_t seen_bytes(const struct bench_fleet *fleet)
{
    return fleet->config.numbers + 1;
}

static size_t heard_bytes(const struct bench_fleet *fleet)
{
    return (size_t)fleet->config.devices * fleet->heard_words * sizeof *fleet->heard;
}

static size_t spread_bytes(const struct bench_fleet *fleet)
{
    return ((size_t)fleet->config.broadcasts + 1) * BENCH_WORKERS_MAX * sizeof *fleet->spread_us;
}

/* Descriptors for a worker's share of the devices; it may be more workers that are needed instead. */
static uint32_t devices_per_worker(struct bench *bench)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        bench_die(bench, "the limit of descriptors can't be read: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    uint64_t room = limit.rlim_max > 128 ? limit.rlim_max - 64 : 64;
    return room < BENCH_DEVICES_PER_WORKER ? (uint32_t)room : BENCH_DEVICES_PER_WORKER;
}

static void start_worker(struct bench_fleet *fleet, uint32_t worker, uint32_t first, uint32_t count)
{
    pid_t parent = getpid();
    int pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        if (fleet->bench->server == BENCH_OTHER)
            bench_others_device_run(fleet, worker, first, count);
        bench_device_run(fleet, worker, first, count);
    }
    if (pid < 0)
        bench_die(fleet->bench, "fork: %s", strerror(errno));
    fleet->pids[worker] = pid;
}

static void start_workers(struct bench_fleet *fleet, uint32_t first, uint32_t end)
{
    const uint32_t each = devices_per_worker(fleet->bench), count = end - first;
    uint32_t workers = (count + each - 1) / each;
    /* With TLS a device's part of a connect is about as much work as the server's: all cores are for it. */
    const uint32_t cores = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (fleet->bench->options.tls && workers < cores && count >= cores)
        workers = cores;
    if (fleet->workers_count + workers > BENCH_WORKERS_MAX)
        bench_die(fleet->bench, "%" PRIu32 " devices are more than %d processes of %" PRIu32 " can hold", end,
                  BENCH_WORKERS_MAX, each);
    for (uint32_t i = 0; i < workers; i++) {
        const uint32_t from = first + (uint32_t)((uint64_t)count * i / workers);
        const uint32_t to = first + (uint32_t)((uint64_t)count * (i + 1) / workers);
        start_worker(fleet, fleet->workers_count, from, to - from);
        fleet->workers_count++;
    }
}

void bench_fleet_open(struct bench *bench, const struct bench_fleet_config *config)
{
    struct bench_fleet *fleet = calloc(1, sizeof *fleet);
    if (fleet == NULL)
        bench_die(bench, "memory is out");
    bench->fleet = fleet;
    fleet->bench = bench;
    fleet->parent = getpid();
    fleet->config = *config;
    fleet->heard_words = config->broadcasts / 64 + 1;
    fleet->shared = shared_memory(bench, sizeof *fleet->shared);
    fleet->seen = shared_memory(bench, seen_bytes(fleet));
    fleet->heard = shared_memory(bench, heard_bytes(fleet));
    fleet->spread_us = shared_memory(bench, spread_bytes(fleet));
    atomic_store(&fleet->shared->beat_us, BENCH_HEARTBEAT_S * UINT64_C(1000000));
    start_workers(fleet, 0, config->devices - config->apart);
    const uint32_t others = fleet->workers_count;
    start_workers(fleet, config->devices - config->apart, config->devices);
    fleet->workers_apart = fleet->workers_count - others;
}

void bench_fleet_order(struct bench_fleet *fleet, enum bench_order order)
{
    atomic_store(&fleet->shared->order, order);
    atomic_fetch_add(&fleet->shared->order_serial, 1);
}

bool bench_fleet_is_done(const struct bench_fleet *fleet)
{
    const uint32_t serial = atomic_load(&fleet->shared->order_serial);
    for (uint32_t i = 0; i < fleet->workers_count; i++)
        if (atomic_load(&fleet->shared->workers[i].order_done) != serial)
            return false;
    return true;
}

bool bench_fleet_await(struct bench_fleet *fleet, uint32_t seconds)
{
    const uint64_t began = bench_now_us();
    for (uint64_t shown = began; !bench_fleet_is_done(fleet); usleep(5000)) {
        uint64_t now = bench_now_us();
        if (now - began > seconds * 1000000ULL)
            return false;
        if (now - shown < PROGRESS_US)
            continue;
        shown = now;
        struct bench_fleet_sums sums = bench_fleet_sum(fleet);
        bench_progress("%3" PRIu64 " s: %" PRIu64 " of %" PRIu32 " sessions up, %" PRIu64 " failed%s%s",
                       (now - began) / 1000000, sums.connected, fleet->config.devices, sums.failed,
                       sums.why != NULL ? ", last: " : "", sums.why != NULL ? sums.why : "");
    }
    return true;
}

uint32_t bench_fleet_connect_seconds(const struct bench_fleet *fleet)
{
    return CONNECT_SECONDS + (fleet->bench->options.tls ? fleet->config.devices / HANDSHAKES_PER_SECOND : 0);
}

void bench_fleet_connect(struct bench_fleet *fleet)
{
    bench_fleet_order(fleet, BENCH_CONNECT);
    const bool all = bench_fleet_await(fleet, bench_fleet_connect_seconds(fleet));
    const struct bench_fleet_sums sums = bench_fleet_sum(fleet);
    if (!all || sums.gone > 0)
        bench_die(fleet->bench, "not all sessions could be connected: %s", sums.why != NULL ? sums.why : "too slow");
    bench_fleet_order(fleet, BENCH_WAIT);
    (void)bench_fleet_await(fleet, CONNECT_SECONDS);
}

static void add_worker(struct bench_fleet_sums *sums, const struct bench_worker *worker, bool apart)
{
    sums->connected += atomic_load(&worker->connected);
    sums->connects += atomic_load(&worker->connects);
    sums->refused += atomic_load(&worker->refused);
    sums->failed += atomic_load(&worker->failed);
    sums->gone += atomic_load(&worker->gone);
    sums->churned += atomic_load(&worker->churned);
    sums->pushes += atomic_load(&worker->pushes);
    sums->backwards += atomic_load(&worker->backwards);
    sums->gaps += atomic_load(&worker->gaps);
    sums->beats += atomic_load(&worker->beats);
    sums->pongs += atomic_load(&worker->pongs);
    sums->broadcasts += atomic_load(&worker->broadcasts);
    bench_latency_merge(&sums->connect, &worker->connect);
    bench_latency_merge(apart ? &sums->push_apart : &sums->push, &worker->push);
    bench_latency_merge(&sums->pong, &worker->pong);
    bench_latency_merge(&sums->broadcast, &worker->broadcast);
    if (worker->why[0] != '\0')
        sums->why = worker->why;
}

struct bench_fleet_sums bench_fleet_sum(const struct bench_fleet *fleet)
{
    struct bench_fleet_sums sums = {0};
    for (uint32_t i = 0; i < fleet->workers_count; i++)
        add_worker(&sums, &fleet->shared->workers[i], i >= fleet->workers_count - fleet->workers_apart);
    return sums;
}

uint32_t bench_fleet_missing(const struct bench_fleet *fleet, uint32_t broadcast)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < fleet->config.devices; i++) {
        const uint64_t word = fleet->heard[(size_t)i * fleet->heard_words + broadcast / 64];
        missing += (word >> broadcast % 64 & 1) == 0;
    }
    return missing;
}

uint32_t bench_fleet_spread_us(const struct bench_fleet *fleet, uint32_t broadcast)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < fleet->workers_count; i++) {
        const uint32_t us = atomic_load(&fleet->spread_us[(size_t)broadcast * BENCH_WORKERS_MAX + i]);
        most = us > most ? us : most;
    }
    return most;
}

bool bench_fleet_is_parent(const struct bench_fleet *fleet)
{
    return getpid() == fleet->parent;
}

/* Workers that do not leave are ended: they have nothing to lose. */
static void end_worker(int pid)
{
    for (int i = 0; i < LEAVE_SECONDS * 100; i++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        usleep(10000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

void bench_fleet_close(struct bench_fleet **fleet)
{
    struct bench_fleet *old = *fleet;
    if (old == NULL)
        return;
    *fleet = NULL;
    bench_fleet_order(old, BENCH_LEAVE);
    for (uint32_t i = 0; i < old->workers_count; i++)
        end_worker(old->pids[i]);
    munmap(old->shared, sizeof *old->shared);
    munmap((void *)old->seen, seen_bytes(old));
    munmap(old->heard, heard_bytes(old));
    munmap((void *)old->spread_us, spread_bytes(old));
    free(old);
}

void bench_stamp_write(char *text, uint64_t number, uint64_t sent_us)
{
    snprintf(text, BENCH_STAMP_BYTES, "%016" PRIx64 "%016" PRIx64, number, sent_us);
}

bool bench_stamp_read(const char *text, size_t len, uint64_t *number, uint64_t *sent_us)
{
    uint64_t values[2] = {0, 0};
    if (len < BENCH_STAMP_BYTES - 1)
        return false;
    for (size_t i = 0; i < BENCH_STAMP_BYTES - 1; i++) {
        const char c = text[i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        values[i / 16] = values[i / 16] * 16 + (uint64_t)digit;
    }
    *number = values[0];
    *sent_us = values[1];
    return true;
}

int bench_fleet_poll(const struct bench_fleet *fleet, int epoll_fd, struct epoll_event *events, int max, int timeout_ms,
                     int before)
{
    const long workers = fleet->config.devices / BENCH_DEVICES_PER_WORKER;
    if (before < LITTLE)
        nanosleep(&(struct timespec){.tv_nsec = (workers / 10 + 1) * MS_NS}, NULL);
    return epoll_wait(epoll_fd, events, max, timeout_ms);
}
