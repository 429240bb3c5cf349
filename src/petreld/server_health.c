/* server_health.c: how well this node can do its job, from the gauges that its parts set. */
#include "petreld/server_impl.h"

#include <time.h>

static struct link_tcp_stats links_of(const struct server *server)
{
    struct link_tcp_stats stats = {0};
    if (server->peers != NULL)
        link_tcp_stats(server->loops[0].link, &stats);
    return stats;
}

void server_health_measure(struct server *server)
{
    struct discovery *discovery = server->backends.discovery;
    struct metrics_shard *shard = metrics_shard(server->metrics, 0);
    const struct link_tcp_stats links = links_of(server);
    metrics_set(shard, METRIC_DISCOVERY_DOWN, !discovery->ops->healthy(discovery));
    metrics_set(shard, METRIC_LINK_PEERS, links.peers);
    metrics_set(shard, METRIC_LINK_PEERS_UP, links.peers_up);
    metrics_set(shard, METRIC_LINK_CALLERS, links.known);
    metrics_set(shard, METRIC_LINK_PLAIN, links.plain);
}

/* "2026-01-31T12:34:56Z" */
static void put_time(char out[32], uint64_t wall_ms)
{
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void judge_store(const struct server *server, struct api_health *out)
{
    const int64_t down = metrics_get(server->metrics, METRIC_STORE_DOWN);
    const int64_t unsafe = metrics_get(server->metrics, METRIC_REDIS_UNSAFE);
    if (server->backends.store == NULL)
        return;
    out->store = "up";
    if (metrics_get(server->metrics, METRIC_STORE_FULL) > 0) {
        out->store = "full";
        api_health_refuse(out, "the store is full: sends are refused, sessions go on");
    } else if (down >= (int64_t)server->loops_count) {
        out->store = "down";
        api_health_refuse(out, "no server of the store answers");
    } else if (down > 0) {
        out->store = "partly";
        api_health_warn(out, "store", "%lld of %zu loops reach no server of the store", (long long)down,
                        server->loops_count);
    }
    if (unsafe > 0)
        api_health_warn(out, "store",
                        "a Redis server may forget what it took: it has no append-only file, or evicts keys");
}

static void judge_registry(const struct server *server, struct api_health *out)
{
    if (server->backends.registry == NULL)
        return;
    const bool down = metrics_get(server->metrics, METRIC_REGISTRY_DOWN) > 0;
    out->registry = down ? "down" : "up";
    if (down)
        api_health_warn(out, "registry",
                        "its database does not answer: what was read last is served, apps, keys and "
                        "devices can't be changed");
}

static void judge_discovery(const struct server *server, struct api_health *out)
{
    struct discovery *discovery = server->backends.discovery;
    const bool away = !discovery->ops->healthy(discovery);
    out->discovery = away ? "away" : "up";
    if (!away)
        return;
    char since[32];
    struct discovery_view *view = discovery->ops->view(discovery);
    put_time(since, view->as_of_ms);
    discovery_view_unref(view);
    api_health_warn(out, "discovery", "ZooKeeper is away since %s; the last answer is served", since);
}

static void judge_links(const struct server *server, struct api_health *out)
{
    out->links = (uint32_t)metrics_get(server->metrics, METRIC_LINK_PEERS);
    out->links_up = (uint32_t)metrics_get(server->metrics, METRIC_LINK_PEERS_UP);
    out->callers = (uint32_t)metrics_get(server->metrics, METRIC_LINK_CALLERS);
    if ((server->roles & DISCOVERY_MESSAGE) == 0 && out->links_up == 0)
        api_health_refuse(out, "no node with the role message is connected");
    else if (out->links_up < out->links)
        api_health_warn(out, "links", "%u of %u nodes with the role message are connected", out->links_up, out->links);
}

static void judge_memory(const struct server *server, struct api_health *out)
{
    if (server_memory_is_short(server))
        api_health_warn(out, "memory", "it is above memory.high_water: who connects is refused, sessions go on");
}

void server_health(void *ctx, struct api_health *out)
{
    const struct server *server = ctx;
    const int phase = atomic_load(&server->phase);
    const bool draining = server_announce_is_draining(server);
    out->ready = true;
    out->roles = server->roles;
    out->state = phase < SERVER_SERVE ? "starting" : phase > SERVER_SERVE ? "stopping" : draining ? "draining" : "up";
    if (phase != SERVER_SERVE)
        api_health_refuse(out, "%s", phase < SERVER_SERVE ? "starting" : "shutting down");
    else if (draining)
        api_health_refuse(out, "draining");
    judge_memory(server, out);
    judge_store(server, out);
    judge_registry(server, out);
    judge_discovery(server, out);
    judge_links(server, out);
}
