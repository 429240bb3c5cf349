#include "session/session_penalty.h"

#include "base/log.h"
#include "base/netaddr.h"
#include "base/object.h"
#include "session/session_impl.h"

#include <stdlib.h>

struct penalty {
    struct map_node node;
    struct list by_age;
    uint64_t owner; /* of the address */
    uint32_t bad;
    uint64_t last_ms;
    uint64_t until_ms;
};

static struct bytes owner_of(const struct map_node *node)
{
    const struct penalty *penalty = container_of(node, const struct penalty, node);
    return bytes_of(&penalty->owner, sizeof penalty->owner);
}

static struct penalty *find(const struct session_role *role, const uint8_t address[16])
{
    const uint64_t owner = netaddr_owner(address);
    struct map_node *node = map_find(&role->penalties.by_address, bytes_of(&owner, sizeof owner));
    return node != NULL ? container_of(node, struct penalty, node) : NULL;
}

static void forget(struct session_role *role, struct penalty *penalty)
{
    map_remove(&role->penalties.by_address, &penalty->node);
    list_remove(&penalty->by_age);
    free(penalty);
}

static struct penalty *oldest(const struct session_role *role)
{
    const struct list *ages = &role->penalties.by_age;
    return list_empty(ages) ? NULL : container_of(ages->next, struct penalty, by_age);
}

void session_penalty_init(struct session_role *role)
{
    map_init(&role->penalties.by_address, owner_of, rng_u64(loop_rng(role->loop)));
    list_init(&role->penalties.by_age);
}

void session_penalty_reset(struct session_role *role)
{
    for (struct penalty *penalty; (penalty = oldest(role)) != NULL;)
        forget(role, penalty);
    map_reset(&role->penalties.by_address);
}

uint32_t session_penalty_wait_ms(struct session_role *role, const uint8_t address[16])
{
    const struct penalty *penalty = find(role, address);
    const uint64_t now_ms = loop_now_ms(role->loop);
    return penalty == NULL || penalty->until_ms <= now_ms ? 0 : (uint32_t)(penalty->until_ms - now_ms);
}

/* Those whose time is over, and one more where it is full. */
static void make_room(struct session_role *role, uint64_t now_ms)
{
    for (struct penalty *penalty; (penalty = oldest(role)) != NULL;) {
        const bool full = role->penalties.by_address.count >= SESSION_PENALTY_ADDRESSES_MAX;
        if (!full && penalty->last_ms + SESSION_PENALTY_FORGET_MS > now_ms)
            return;
        forget(role, penalty);
    }
}

static struct penalty *take(struct session_role *role, const uint8_t address[16], uint64_t now_ms)
{
    struct penalty *penalty = find(role, address);
    if (penalty != NULL && penalty->last_ms + SESSION_PENALTY_FORGET_MS > now_ms) {
        list_remove(&penalty->by_age);
    } else {
        make_room(role, now_ms);
        penalty = object_zalloc(sizeof *penalty);
        penalty->owner = netaddr_owner(address);
        map_insert(&role->penalties.by_address, &penalty->node);
    }
    list_push_back(&role->penalties.by_age, &penalty->by_age);
    return penalty;
}

void session_penalty_bad(struct session_role *role, const uint8_t address[16])
{
    const uint32_t allowed = role->config.bad_tokens_per_address;
    const uint64_t now_ms = loop_now_ms(role->loop);
    if (allowed == 0)
        return;
    struct penalty *penalty = take(role, address, now_ms);
    penalty->last_ms = now_ms;
    penalty->bad++;
    if (penalty->bad <= allowed)
        return;
    const uint32_t over = penalty->bad - allowed - 1;
    uint64_t wait_ms = over < 16 ? (uint64_t)SESSION_PENALTY_FIRST_MS << over : SESSION_PENALTY_MOST_MS;
    if (wait_ms > SESSION_PENALTY_MOST_MS)
        wait_ms = SESSION_PENALTY_MOST_MS;
    penalty->until_ms = now_ms + wait_ms;
    log_at(LOG_INFO, "session", "an address shows bad tokens, and is to wait", LOG_NUM("tokens", penalty->bad),
           LOG_NUM("wait_ms", wait_ms));
}

void session_penalty_good(struct session_role *role, const uint8_t address[16])
{
    struct penalty *penalty = find(role, address);
    if (penalty != NULL && --penalty->bad == 0)
        forget(role, penalty);
}
