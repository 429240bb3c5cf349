#include "session/session_door.h"

#include "base/log.h"
#include "base/object.h"
#include "session/session_conn.h"
#include "session/session_impl.h"
#include "wire/proxy.h"

#include <stdlib.h>

#define LOG_EVERY_MS 10000U

struct session_address {
    struct map_node node;
    uint32_t sockets;
    uint64_t owner;
};

static struct bytes address_key(const struct map_node *node)
{
    const struct session_address *address = container_of(node, const struct session_address, node);
    return bytes_of(&address->owner, sizeof address->owner);
}

static struct session_address *find(const struct session_role *role, const uint8_t key[16])
{
    const uint64_t owner = netaddr_owner(key);
    struct map_node *node = map_find(&role->gate.addresses, bytes_of(&owner, sizeof owner));
    return node != NULL ? container_of(node, struct session_address, node) : NULL;
}

void session_door_init(struct session_role *role)
{
    list_init(&role->gate.doors);
    map_init(&role->gate.addresses, address_key, rng_u64(loop_rng(role->loop)));
    if (role->config.address_connects_per_second != 0)
        role->gate.connects = rate_table_new(rng_u64(loop_rng(role->loop)));
}

void session_door_reset(struct session_role *role)
{
    petrel_assert(role->gate.unauthenticated == 0 && role->gate.addresses.count == 0);
    map_reset(&role->gate.addresses);
    rate_table_free(&role->gate.connects);
}

static bool has_room(const struct session_role *role, const uint8_t key[16])
{
    const struct session_address *address = find(role, key);
    return address == NULL || address->sockets < role->config.max_unauthenticated_per_address;
}

bool session_door_admits(struct session_role *role, const uint8_t *key)
{
    return role->gate.unauthenticated < role->config.max_unauthenticated && (key == NULL || has_room(role, key));
}

static void on_deadline(struct timer *timer);

/* The deadline from now on; those that have the latest are the last among the doors. */
static void renew(struct session_door *door)
{
    struct session_role *role = session_role_of(door->session);
    list_remove(&door->node);
    list_push_back(&role->gate.doors, &door->node);
    timer_start(role->loop, &door->timer, role->config.connect_timeout_ms, on_deadline);
}

/* Who stands in line for a TLS handshake could not have said more: the line has a bound of its own. */
static void knock(struct session_door *door)
{
    object_check(door->session, SESSION_MAGIC);
    if (stream_waits(door->session->stream))
        renew(door);
    else
        session_conn_fail(door->session, SESSION_CODE_CONNECT_TIMEOUT, NULL);
}

static void on_deadline(struct timer *timer)
{
    knock(container_of(timer, struct session_door, timer));
}

void session_door_turn(struct session *session)
{
    if (session->busy != NULL && session->busy->door != NULL && session->busy->door->counted)
        renew(session->busy->door);
}

/* ---- pressed ---- */

static uint64_t pressed_due_ms(const struct session_role *role, const struct session_door *door)
{
    return door->timer.due_ms - role->config.connect_timeout_ms / 4 * 3;
}

static struct session_door *oldest(struct session_role *role)
{
    struct list *doors = &role->gate.doors;
    return list_empty(doors) ? NULL : container_of(doors->next, struct session_door, node);
}

static void on_press(struct timer *timer);

static void arm(struct session_role *role)
{
    const struct session_door *door = oldest(role);
    const uint64_t now_ms = loop_now_ms(role->loop);
    if (!role->gate.pressed || door == NULL || timer_running(&role->gate.press))
        return;
    const uint64_t due_ms = pressed_due_ms(role, door);
    timer_start(role->loop, &role->gate.press, due_ms > now_ms ? due_ms - now_ms : 0, on_press);
}

/* Each that is closed may end the pressing. */
static void on_press(struct timer *timer)
{
    struct session_role *role = container_of(timer, struct session_role, gate.press);
    object_check(role, SESSION_ROLE_MAGIC);
    const uint64_t now_ms = loop_now_ms(role->loop);
    for (struct session_door *door = oldest(role);
         door != NULL && role->gate.pressed && pressed_due_ms(role, door) <= now_ms; door = oldest(role))
        knock(door);
    arm(role);
}

void session_door_press(struct session_role *role, bool pressed)
{
    role->gate.pressed = pressed;
    if (pressed)
        arm(role);
    else
        timer_stop(&role->gate.press);
}

/* ---- one socket ---- */

static struct session_address *count_in(struct session_role *role, const uint8_t key[16])
{
    struct session_address *address = find(role, key);
    if (address == NULL) {
        address = object_zalloc(sizeof *address);
        address->owner = netaddr_owner(key);
        map_insert(&role->gate.addresses, &address->node);
    }
    address->sockets++;
    return address;
}

/* The door's address is known. */
static void name(struct session_role *role, struct session_door *door, const uint8_t key[16])
{
    const uint32_t rate = role->config.address_connects_per_second;
    const struct rate_limit limit = {.per_second = rate, .burst = rate};
    door->address = count_in(role, key);
    if (rate == 0)
        return;
    door->wait_ms = (uint32_t)rate_table_take(role->gate.connects, netaddr_owner(key), &limit, loop_now_ms(role->loop));
    if (door->wait_ms == 0)
        return;
    metrics_add(role->metrics, METRIC_ADDRESS_REFUSED, 1);
    session_door_note_refusal(role, "an address has as many connects a second as it may");
}

static void count_out(struct session_role *role, struct session_address *address)
{
    if (--address->sockets > 0)
        return;
    map_remove(&role->gate.addresses, &address->node);
    free(address);
}

void session_door_open(struct session *session, const uint8_t *key)
{
    struct session_role *role = session_role_of(session);
    struct session_door *door = slab_take(&role->doors);
    door->session = session;
    if (key != NULL)
        name(role, door, key);
    door->counted = true;
    role->gate.unauthenticated++;
    list_push_back(&role->gate.doors, &door->node);
    session_busy(session)->door = door;
    timer_start(role->loop, &door->timer, role->config.connect_timeout_ms, on_deadline);
    arm(role);
}

void session_door_peer(const struct session *session, uint8_t key[16])
{
    const struct session_door *door = session->busy->door;
    if (door->has_peer)
        memcpy(key, door->peer.ip, sizeof door->peer.ip);
    else
        stream_peer_key(session->stream, key);
}

bool session_door_name(struct session *session, const struct proxy_header *header)
{
    struct session_role *role = session_role_of(session);
    struct session_door *door = session->busy->door;
    uint8_t key[16];
    petrel_assert(door->counted && door->address == NULL);
    door->has_peer = header->known;
    door->peer = header->peer;
    session_door_peer(session, key);
    if (!has_room(role, key))
        return false;
    name(role, door, key);
    return true;
}

void session_door_pass(struct session *session)
{
    struct session_role *role = session_role_of(session);
    struct session_door *door = session->busy->door;
    timer_stop(&door->timer);
    if (door->address != NULL)
        count_out(role, door->address);
    door->address = NULL;
    if (!door->counted)
        return;
    door->counted = false;
    list_remove(&door->node);
    role->gate.unauthenticated--;
}

void session_door_close(struct session *session)
{
    if (session->busy == NULL || session->busy->door == NULL)
        return;
    session_door_pass(session);
    slab_give(session->busy->door);
    session->busy->door = NULL;
}

void session_door_note_refusal(struct session_role *role, const char *why)
{
    struct session_gate *gate = &role->gate;
    uint64_t now_ms = loop_now_ms(role->loop);
    gate->refused++;
    if (gate->logged_ms != 0 && now_ms - gate->logged_ms < LOG_EVERY_MS)
        return;
    log_at(LOG_WARN, "session", "connections refused", LOG_STR("why", why), LOG_NUM("count", gate->refused),
           LOG_NUM("unauthenticated", gate->unauthenticated), LOG_NUM("sessions", role->sessions));
    gate->logged_ms = now_ms;
    gate->refused = 0;
}
