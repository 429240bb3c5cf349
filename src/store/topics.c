#include "store/topics.h"

#include "base/err.h"

#define DAY_MS (24ULL * 3600 * 1000)

struct topics_limits topics_limits_default(void)
{
    return (struct topics_limits){
        .cap_entries = 1000,
        .cap_bytes = 1 << 20,
        .per_device = TOPICS_PER_DEVICE_MAX,
        .recent_ids = 65536,
        .recent_ms = 30000,
        .keep_ms = 60 * DAY_MS,
        .lapse_ms = 30 * DAY_MS,
    };
}

static int check_topic(struct bytes app, struct bytes name)
{
    /* Topic names follow the rules of device names, and are no longer. */
    return route_valid_app(app) && name.len <= TOPICS_NAME_MAX && route_valid_device(name) ? 0 : PETREL_E_INVALID;
}

static int check_device(const struct peer_target *device)
{
    return peer_target_is_device(device) ? 0 : PETREL_E_INVALID;
}

static int check_append(const struct topics_append *append, const struct topics_limits *limits)
{
    int err = check_topic(append->app, append->topic);
    if (err != 0)
        return err;
    bool fits = append->condition.len <= TOPICS_CONDITION_MAX &&
                append->message->len + append->condition.len <= limits->cap_bytes;
    return fits ? 0 : PETREL_E_TOO_LARGE;
}

int topics_check(const struct topics_request *request, const struct topics_limits *limits)
{
    const struct topics_subscription *unsubscribe = &request->in.unsubscribe;
    int err;
    switch (request->op) {
    case TOPICS_APPEND:
        return check_append(&request->in.append, limits);
    case TOPICS_FETCH:
        return check_topic(request->in.fetch.app, request->in.fetch.topic);
    case TOPICS_INTEREST:
        return check_topic(request->in.interest.app, request->in.interest.topic);
    case TOPICS_SUBSCRIBE:
        err = check_device(&request->in.subscribe.device);
        return err == 0 ? check_topic(request->in.subscribe.device.app, request->in.subscribe.topic) : err;
    case TOPICS_UNSUBSCRIBE:
        err = check_device(&unsubscribe->device);
        return err == 0 && unsubscribe->topic.ptr != NULL ? check_topic(unsubscribe->device.app, unsubscribe->topic)
                                                          : err;
    case TOPICS_SUBSCRIPTIONS:
        return check_device(&request->in.subscriptions);
    case TOPICS_CHECK:
        return request->in.check.count > 0 && request->in.check.count <= PEER_CHECKS_MAX ? 0 : PETREL_E_INVALID;
    }
    return PETREL_E_INVALID;
}
