#include "client/servers.h"

#include <stdio.h>

#define MS_PER_S 1000

void servers_goaway(struct servers *servers, const struct bytes *targets, size_t count)
{
    char host[HOSTPORT_HOST_MAX + 1];
    servers->targets_count = 0;
    for (size_t i = 0; i < count && servers->targets_count < SERVERS_TARGETS_MAX; i++) {
        const char *text = (const char *)targets[i].ptr;
        if (targets[i].len > HOSTPORT_MAX || hostport_split(text, targets[i].len, host) == 0)
            continue;
        char *target = servers->targets[servers->targets_count++];
        snprintf(target, HOSTPORT_MAX + 1, "%.*s", (int)targets[i].len, text);
    }
}

/* The server that was left goes behind the others. */
static void settle(struct servers *servers)
{
    struct servers_answer *answer = &servers->answer;
    servers->settled = true;
    for (size_t i = 0; i + 1 < answer->count; i++) {
        if (strcmp(answer->servers[i], servers->left) == 0) {
            memmove(answer->servers[i], answer->servers[i + 1], (answer->count - i - 1) * sizeof answer->servers[0]);
            memcpy(answer->servers[answer->count - 1], servers->left, sizeof servers->left);
            return;
        }
    }
}

static bool is_fresh(const struct servers *servers, uint64_t now_ms)
{
    return servers->answer.count > 0 && !servers->distrusted && now_ms < servers->stale_at_ms;
}

static uint32_t doubled(uint32_t least, uint32_t times, uint32_t most)
{
    while (times-- > 0 && least < most)
        least *= 2;
    return least < most ? least : most;
}

/* A server may hang with its kernel still accepting for it: with others to go to it gets little time. More in each further round: if
 * it is the network or all servers that are slow, to leave them early only adds to it. */
static uint32_t patience(const struct servers *servers)
{
    size_t candidates = servers->targets_count + (servers->lookup ? servers->answer.count : 1);
    return candidates > 1 ? doubled(SERVERS_PATIENCE_OTHERS_MS, servers->failed_rounds, SERVERS_PATIENCE_MS)
                          : SERVERS_PATIENCE_MS;
}

static enum servers_step name(struct servers *servers, const char *address, const char **out)
{
    servers->named++;
    servers->unheard = true;
    snprintf(servers->current, sizeof servers->current, "%s", address);
    *out = servers->current;
    return SERVERS_ADDRESS;
}

enum servers_step servers_next(struct servers *servers, uint64_t now_ms, const char **address, uint32_t *patience_ms)
{
    *address = NULL;
    *patience_ms = patience(servers);
    if (servers->named < servers->targets_count)
        return name(servers, servers->targets[servers->named], address);
    if (!servers->lookup) {
        name(servers, "", address);
        *address = NULL;
        return SERVERS_USUAL;
    }
    if (!servers->settled && is_fresh(servers, now_ms))
        settle(servers);
    size_t place = servers->named - servers->targets_count;
    if (servers->settled && place < servers->answer.count)
        return name(servers, servers->answer.servers[place], address);
    servers->unheard = false;
    *patience_ms = doubled(SERVERS_PATIENCE_LOOKUP_MS, servers->failed_rounds, SERVERS_PATIENCE_LOOKUP_MAX_MS);
    return SERVERS_LOOKUP;
}

int64_t servers_answered(struct servers *servers, uint64_t now_ms, const char *json, size_t len)
{
    struct servers_answer answer;
    if (servers_answer_read(json, len, &answer) != 0)
        return -1;
    servers->answer = answer;
    servers->stale_at_ms = now_ms + (uint64_t)answer.ttl_s * MS_PER_S;
    servers->distrusted = false;
    settle(servers);
    return answer.wait_ms;
}

int servers_unanswered(struct servers *servers)
{
    settle(servers);
    return servers->answer.count > 0 ? 0 : -1;
}

bool servers_another(struct servers *servers)
{
    bool unheard = servers->unheard;
    servers->unheard = false;
    if (!unheard)
        return false;
    if (servers->named < servers->targets_count)
        return true;
    size_t place = servers->named - servers->targets_count;
    if (!servers->lookup)
        return place == 0;
    return !servers->settled || place < servers->answer.count;
}

void servers_live(struct servers *servers)
{
    servers->targets_count = 0;
    servers->failed_rounds = 0;
    servers->left[0] = '\0';
}

void servers_restart(struct servers *servers, enum servers_why why)
{
    if (why == SERVERS_SESSION_ENDED)
        memcpy(servers->left, servers->current, sizeof servers->left);
    if (why == SERVERS_ROUND_FAILED) {
        servers->targets_count = 0;
        servers->distrusted = true;
        servers->failed_rounds++;
    }
    servers->named = 0;
    servers->settled = false;
    servers->unheard = false;
}
