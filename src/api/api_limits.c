#include "api/api_limits.h"

#define SECOND_MS 1000U

static struct rate_limit limit_of(const struct api_role *role, uint32_t own, uint32_t configured)
{
    struct rate_limit limit = {.per_second = own != 0 ? own : configured};
    const uint64_t burst = (uint64_t)limit.per_second * role->config.rate_burst_ms / SECOND_MS;
    limit.burst = burst < 1 ? 1 : burst > UINT32_MAX ? UINT32_MAX : (uint32_t)burst;
    return limit;
}

struct rate_limit api_limits_of_app(const struct api_role *role, const struct snapshot_app *app)
{
    return limit_of(role, app->limits.per_second, role->config.app_rate);
}

struct rate_limit api_limits_of_key(const struct api_role *role, const struct snapshot_app *app)
{
    return limit_of(role, app->limits.key_per_second, role->config.key_rate);
}

static int refuse(struct api_role *role, const char *whose, const struct rate_limit *limit, uint64_t wait_ms,
                  struct api_error *error)
{
    metrics_add(role->shard, METRIC_API_RATE_REFUSED, 1);
    const int rc = api_error_set(error, API_ERROR_TOO_MANY_REQUESTS, NULL, "the %s makes over %u requests a second",
                                 whose, limit->per_second);
    error->retry_after_s = (uint32_t)((wait_ms + SECOND_MS - 1) / SECOND_MS);
    return rc;
}

int api_limits_take(struct api_role *role, const struct snapshot *snapshot, const struct snapshot_app *app,
                    const struct snapshot_key *key, struct api_error *error)
{
    if (key == NULL)
        return 0;
    const uint64_t now_ms = loop_now_ms(role->loop);
    const struct rate_limit of_key = api_limits_of_key(role, app);
    struct rate_meter *key_meter = snapshot_key_meter(snapshot, key);
    uint64_t wait_ms = rate_meter_take(key_meter, &of_key, now_ms);
    if (wait_ms != 0)
        return refuse(role, "key", &of_key, wait_ms, error);
    const struct rate_limit of_app = api_limits_of_app(role, app);
    wait_ms = rate_meter_take(snapshot_app_meter(snapshot, app), &of_app, now_ms);
    if (wait_ms == 0)
        return 0;
    rate_meter_give(key_meter, &of_key);
    return refuse(role, "app", &of_app, wait_ms, error);
}
