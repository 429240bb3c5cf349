/* Which session servers a device should try. */
#include "api/api_routes.h"

#define BACKOFF_MS 1000U /* a device whose servers all refuse waits so long, at random, before it looks up again */

/* Loops that answer lookups: each gives out its part of a server's slots. */
static uint32_t pacers(const struct api_role *role, const struct discovery_view *view)
{
    size_t count = 0;
    for (size_t i = 0; i < view->count; i++) {
        const struct discovery_node *node = &view->nodes[i];
        if ((node->roles & DISCOVERY_API) != 0)
            count += node->loops > 0 ? node->loops : role->config.loops;
    }
    return count > 0 ? (uint32_t)count : 1;
}

void api_lookup_get(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    struct api_role *role = exchange->role;
    struct discovery_view *view = role->discovery->ops->view(role->discovery);
    struct lookup_server servers[LOOKUP_MAX];
    const size_t count = lookup_rank(view, 0, loop_rng(role->loop), servers);
    if (count > 0) {
        const uint32_t wait_ms =
            lookup_pacer_take(role->pacer, servers[0].node, pacers(role, view), loop_now_ms(role->loop));
        lookup_answer_put(&exchange->body, servers, count, wait_ms, BACKOFF_MS, role->config.heartbeat_hint_s);
        discovery_view_unref(view);
        api_exchange_answer(exchange, 200);
        return;
    }
    discovery_view_unref(view);
    struct api_error error;
    (void)api_error_set(&error, API_ERROR_UNAVAILABLE, NULL, "no session server has room");
    api_exchange_fail(exchange, &error);
}
