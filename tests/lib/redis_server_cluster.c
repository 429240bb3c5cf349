/* Clusters of real redis-servers: made by hand, which takes two seconds less than redis-cli does. */
#include "lib/redis_server.h"
#include "lib/until.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 30000
#define SLOTS 16384

static bool is_ok(const struct redis_server *server, size_t members)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    if (!redis_server_command(server, reply, "CLUSTER INFO"))
        return false;
    const char *known = strstr(reply, "cluster_known_nodes:");
    /* One that has just joined may be well and not know yet who has which slots. */
    return strstr(reply, "cluster_state:ok") != NULL && strstr(reply, "cluster_slots_assigned:16384") != NULL &&
           known != NULL && strtoul(known + strlen("cluster_known_nodes:"), NULL, 10) >= members;
}

static bool all_ok(void *ctx)
{
    const struct redis_server_cluster *cluster = ctx;
    size_t running = 0;
    for (size_t i = 0; i < cluster->count; i++)
        running += cluster->nodes[i].pid != 0;
    for (size_t i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].pid != 0 && !is_ok(&cluster->nodes[i], running))
            return false;
    }
    return true;
}

bool redis_server_cluster_wait_ok(struct redis_server_cluster *cluster)
{
    return until(all_ok, cluster, WAIT_MS);
}

static bool meet(const struct redis_server *first, const struct redis_server *node)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    return redis_server_command(first, reply, "CLUSTER MEET 127.0.0.1 %u %u", node->port, node->bus_port);
}

bool redis_server_cluster_replicate(struct redis_server *replica, const struct redis_server *master)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    return redis_server_command(replica, reply, "CLUSTER REPLICATE %s", master->id) &&
           redis_server_wait_synced(replica);
}

static bool give_slots(const struct redis_server *node, size_t index, size_t masters)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    size_t first = SLOTS * index / masters, last = SLOTS * (index + 1) / masters - 1;
    return redis_server_command(node, reply, "CLUSTER SET-CONFIG-EPOCH %zu", index + 1) &&
           redis_server_command(node, reply, "CLUSTER ADDSLOTSRANGE %zu %zu", first, last);
}

bool redis_server_cluster_start(struct redis_server_cluster *cluster, size_t masters, const char *const *args)
{
    *cluster = (struct redis_server_cluster){0};
    bool good = 2 * masters <= REDIS_SERVER_NODES_MAX;
    for (size_t i = 0; good && i < 2 * masters; i++) {
        good = redis_server_start(&cluster->nodes[i], true, args);
        cluster->count = i + 1;
        if (good && i < masters)
            good = give_slots(&cluster->nodes[i], i, masters);
    }
    for (size_t i = 1; good && i < cluster->count; i++)
        good = meet(&cluster->nodes[0], &cluster->nodes[i]);
    good = good && redis_server_cluster_wait_ok(cluster);
    for (size_t i = masters; good && i < cluster->count; i++)
        good = redis_server_cluster_replicate(&cluster->nodes[i], &cluster->nodes[i - masters]);
    if (good && redis_server_cluster_wait_ok(cluster))
        return true;
    redis_server_cluster_free(cluster);
    return false;
}

void redis_server_cluster_free(struct redis_server_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++)
        redis_server_free(&cluster->nodes[i]);
    cluster->count = 0;
}

struct redis_server *redis_server_cluster_owner(struct redis_server_cluster *cluster, uint32_t slot)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    for (size_t i = 0; i < cluster->count; i++) {
        struct redis_server *node = &cluster->nodes[i];
        if (node->pid == 0 || !redis_server_is_master(node) || !redis_server_command(node, reply, "CLUSTER NODES"))
            continue;
        /* "<id> <address> myself,master - 0 0 1 connected 0-5460 [1->-...]" */
        char *line = strstr(reply, "myself");
        if (line == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        char *words = strstr(line, "connected");
        for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
            char *end;
            unsigned long first = strtoul(word, &end, 10);
            unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
            if (end != word && *end == '\0' && first <= slot && slot <= last)
                return node;
        }
    }
    return NULL;
}

struct redis_server *redis_server_cluster_add(struct redis_server_cluster *cluster, const char *const *args)
{
    if (cluster->count == REDIS_SERVER_NODES_MAX)
        return NULL;
    const struct redis_server *first = redis_server_cluster_owner(cluster, 0);
    struct redis_server *node = &cluster->nodes[cluster->count];
    bool good = first != NULL && redis_server_start(node, true, args);
    cluster->count++;
    return good && meet(first, node) && redis_server_cluster_wait_ok(cluster) ? node : NULL;
}

void redis_server_cluster_forget(struct redis_server_cluster *cluster, const struct redis_server *gone)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    for (size_t i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].pid != 0)
            redis_server_command(&cluster->nodes[i], reply, "CLUSTER FORGET %s", gone->id);
    }
}

static bool is_master(void *ctx)
{
    return redis_server_is_master(ctx);
}

bool redis_server_cluster_take_over(struct redis_server *replica)
{
    /* An attempt fails after five seconds when the other masters had not heard of the replica yet. */
    char reply[REDIS_SERVER_REPLY_MAX];
    for (int tries = 0; tries < 5; tries++) {
        if (redis_server_command(replica, reply, "CLUSTER FAILOVER") && until(is_master, replica, WAIT_MS / 5))
            return true;
    }
    return false;
}

bool redis_server_cluster_move(struct redis_server_cluster *cluster, uint32_t slot, struct redis_server *to)
{
    char reply[REDIS_SERVER_REPLY_MAX], done[REDIS_SERVER_REPLY_MAX];
    struct redis_server *from = redis_server_cluster_owner(cluster, slot);
    bool good = from != NULL && redis_server_command(to, reply, "CLUSTER SETSLOT %u IMPORTING %s", slot, from->id) &&
                redis_server_command(from, reply, "CLUSTER SETSLOT %u MIGRATING %s", slot, to->id);
    while (good && redis_server_command(from, reply, "CLUSTER GETKEYSINSLOT %u 16", slot) && reply[0] != '\0') {
        for (char *key = strtok(reply, "\n"); key != NULL; key = strtok(NULL, "\n"))
            good = redis_server_command(from, done, "MIGRATE 127.0.0.1 %u %s 0 5000", to->port, key) && good;
    }
    good = good && redis_server_command(to, reply, "CLUSTER SETSLOT %u NODE %s", slot, to->id);
    return good && redis_server_command(from, reply, "CLUSTER SETSLOT %u NODE %s", slot, to->id);
}

/* The other one of a shard of two. */
static struct redis_server *partner_of(struct redis_server_cluster *cluster, const struct redis_server *node)
{
    const size_t index = (size_t)(node - cluster->nodes);
    return &cluster->nodes[(index + cluster->count / 2) % cluster->count];
}

struct succession {
    const struct redis_server_cluster *cluster;
    const struct redis_server *deposed;
    const struct redis_server *heir;
};

/* "<id> <address> [myself,]master ..." */
static bool knows_as_master(const struct redis_server *node, const struct redis_server *master)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    char *line = redis_server_command(node, reply, "CLUSTER NODES") ? strstr(reply, master->id) : NULL;
    while (line != NULL && line != reply && line[-1] != '\n')
        line = strstr(line + 1, master->id); /* its replica's line names it, too */
    if (line == NULL)
        return false;
    line[strcspn(line, "\n")] = '\0';
    return strstr(line, "master") != NULL && strchr(strstr(line, "connected"), '-') != NULL;
}

static bool all_others_know(void *ctx)
{
    const struct succession *succession = ctx;
    for (size_t i = 0; i < succession->cluster->count; i++) {
        const struct redis_server *node = &succession->cluster->nodes[i];
        if (node != succession->deposed && node->pid != 0 && !knows_as_master(node, succession->heir))
            return false;
    }
    return true;
}

bool redis_server_cluster_depose(struct redis_server_cluster *cluster, struct redis_server *master)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    const struct succession succession = {cluster, master, partner_of(cluster, master)};
    bool good = redis_server_command(master, reply, "CONFIG SET cluster-require-full-coverage no");
    /* Who knows nobody believes nobody: what others tell it is a stranger's. */
    for (size_t i = 0; i < cluster->count; i++)
        good = good && (&cluster->nodes[i] == master ||
                        redis_server_command(master, reply, "CLUSTER FORGET %s", cluster->nodes[i].id));
    good = good && redis_server_command(succession.heir, reply, "CLUSTER FAILOVER TAKEOVER");
    return good && until(all_others_know, (void *)(uintptr_t)&succession, WAIT_MS);
}

static bool is_replica(void *ctx)
{
    return !redis_server_is_master(ctx);
}

bool redis_server_cluster_rejoin(struct redis_server_cluster *cluster, struct redis_server *deposed)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    bool good = true;
    for (size_t i = 0; i < cluster->count; i++)
        good = good && (&cluster->nodes[i] == deposed || meet(deposed, &cluster->nodes[i]));
    return good && until(is_replica, deposed, WAIT_MS) && redis_server_wait_synced(deposed) &&
           redis_server_command(deposed, reply, "CONFIG SET cluster-require-full-coverage yes") &&
           redis_server_cluster_wait_ok(cluster);
}
