#include "bench_device.h"

#include <sys/epoll.h>

#define AWAY_MS 3000    /* at most */
#define SLOW_MS 15000   /* how long a slow reader reads, and how long it does not */
#define PER_TURN_MAX 64 /* so that what comes is taken meanwhile */

/* Half of those that leave say so, half just vanish. */
static void leave(struct work *work, struct device *device)
{
    const bool polite = rng_below(&work->rng, 2) == 0;
    atomic_fetch_add(&work->out->churned, 1);
    if (polite) {
        work->frame.len = 0;
        session_encode_disconnect(&work->frame, 0);
        bench_device_link_write(work, device, "DISCONNECT can't be written");
    }
    if (device->state == DEVICE_UP)
        bench_device_link_cut(work, device, !polite, AWAY_MS);
}

static void come_and_go(struct work *work)
{
    const struct bench_fleet_config *config = &work->fleet->config;
    const double rate =
        (double)atomic_load(&work->fleet->shared->churn) * work->count / (double)(config->devices - config->apart);
    const double passed_s = (double)(bench_now_us() - work->began_us) / 1e6;
    const uint64_t due = (uint64_t)(rate * passed_s);
    for (int i = 0; i < PER_TURN_MAX && work->churned < due; i++) {
        work->churned++;
        struct device *device = &work->devices[rng_below(&work->rng, work->count)];
        if (device->state == DEVICE_UP)
            leave(work, device);
    }
}

/* Half of them read while the others do not, and the other way round. */
static void read_by_turns(struct work *work)
{
    const bool others = (bench_now_us() - work->began_us) / 1000 / SLOW_MS % 2 == 1;
    if (others == work->others_read)
        return;
    work->others_read = others;
    for (uint32_t i = 0; i < work->count; i++)
        if (work->devices[i].state == DEVICE_UP)
            bench_device_link_watch(work, &work->devices[i], (i % 2 == 1) == others ? EPOLLIN : 0);
}

void bench_device_churn_begin(struct work *work)
{
    work->churned = 0;
    work->others_read = true; /* the first turn changes it */
}

void bench_device_churn_turn(struct work *work)
{
    if (work->apart)
        read_by_turns(work);
    else
        come_and_go(work);
}

void bench_device_churn_end(struct work *work)
{
    for (uint32_t i = 0; i < work->count; i++)
        if (work->devices[i].state == DEVICE_UP)
            bench_device_link_watch(work, &work->devices[i], EPOLLIN);
}
