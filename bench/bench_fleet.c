#include "bench_fleet.h"

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
#include <unistd.h>

#define PROGRESS_US 2000000
#define LEAVE_SECONDS 30

static void *shared_memory(struct bench *bench, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        bench_die(bench, "memory is out: %s", strerror(errno));
    return memory;
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

void bench_fleet_open(struct bench *bench, uint32_t devices, uint64_t numbers)
{
    struct bench_fleet *fleet = calloc(1, sizeof *fleet);
    if (fleet == NULL)
        bench_die(bench, "memory is out");
    bench->fleet = fleet;
    fleet->bench = bench;
    fleet->parent = getpid();
    fleet->devices = devices;
    fleet->numbers = numbers;
    fleet->shared = shared_memory(bench, sizeof *fleet->shared);
    fleet->seen = shared_memory(bench, numbers > 0 ? numbers : 1);
    const uint32_t each = devices_per_worker(bench);
    const uint32_t workers = (devices + each - 1) / each;
    if (workers > BENCH_WORKERS_MAX)
        bench_die(bench, "%" PRIu32 " devices are more than %d processes of %" PRIu32 " can hold", devices,
                  BENCH_WORKERS_MAX, each);
    for (uint32_t i = 0; i < workers; i++) {
        uint32_t first = (uint32_t)((uint64_t)devices * i / workers);
        uint32_t end = (uint32_t)((uint64_t)devices * (i + 1) / workers);
        start_worker(fleet, i, first, end - first);
        fleet->workers_count = i + 1;
    }
}

void bench_fleet_order(struct bench_fleet *fleet, enum bench_order order)
{
    atomic_store(&fleet->shared->order, order);
    atomic_fetch_add(&fleet->shared->order_serial, 1);
}

static bool is_done(const struct bench_fleet *fleet)
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
    for (uint64_t shown = began; !is_done(fleet); usleep(5000)) {
        uint64_t now = bench_now_us();
        if (now - began > seconds * 1000000ULL)
            return false;
        if (now - shown < PROGRESS_US)
            continue;
        shown = now;
        struct bench_fleet_sums sums = bench_fleet_sum(fleet);
        bench_progress("%3" PRIu64 " s: %" PRIu64 " of %" PRIu32 " sessions up, %" PRIu64 " failed%s%s",
                       (now - began) / 1000000, sums.connected, fleet->devices, sums.failed,
                       sums.why != NULL ? ", last: " : "", sums.why != NULL ? sums.why : "");
    }
    return true;
}

struct bench_fleet_sums bench_fleet_sum(const struct bench_fleet *fleet)
{
    struct bench_fleet_sums sums = {0};
    for (uint32_t i = 0; i < fleet->workers_count; i++) {
        const struct bench_worker *worker = &fleet->shared->workers[i];
        sums.connected += atomic_load(&worker->connected);
        sums.connects += atomic_load(&worker->connects);
        sums.failed += atomic_load(&worker->failed);
        sums.pushes += atomic_load(&worker->pushes);
        sums.backwards += atomic_load(&worker->backwards);
        sums.gaps += atomic_load(&worker->gaps);
        sums.pongs += atomic_load(&worker->pongs);
        sums.broadcasts += atomic_load(&worker->broadcasts);
        bench_latency_merge(&sums.connect, &worker->connect);
        bench_latency_merge(&sums.push, &worker->push);
        bench_latency_merge(&sums.pong, &worker->pong);
        bench_latency_merge(&sums.broadcast, &worker->broadcast);
        if (worker->why[0] != '\0')
            sums.why = worker->why;
    }
    return sums;
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
    munmap((void *)old->seen, old->numbers > 0 ? old->numbers : 1);
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
