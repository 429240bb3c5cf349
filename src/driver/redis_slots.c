#include "driver/redis_slots.h"

#include "base/err.h"
#include "base/object.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* CRC-16/XMODEM. */
static uint16_t crc16(struct bytes in)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < in.len; i++) {
        crc ^= (uint32_t)in.ptr[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

uint32_t redis_slots_of(struct bytes key)
{
    const uint8_t *open = key.len > 0 ? memchr(key.ptr, '{', key.len) : NULL;
    if (open != NULL) {
        size_t rest = key.len - (size_t)(open + 1 - key.ptr);
        const uint8_t *close = memchr(open + 1, '}', rest);
        if (close != NULL && close > open + 1)
            key = bytes_of(open + 1, (size_t)(close - open - 1));
    }
    return crc16(key) % REDIS_SLOTS;
}

int redis_slots_address(struct bytes host, uint32_t port, struct redis_address *out)
{
    struct in6_addr ignored;
    *out = (struct redis_address){.port = (uint16_t)port};
    if (host.len == 0 || host.len >= sizeof out->host || port == 0 || port > UINT16_MAX)
        return PETREL_E_INVALID;
    memcpy(out->host, host.ptr, host.len);
    bool numeric = inet_pton(AF_INET, out->host, &ignored) == 1 || inet_pton(AF_INET6, out->host, &ignored) == 1;
    return numeric ? 0 : PETREL_E_INVALID;
}

/* The value of a name in a list of names and values. */
static const struct redis_value *member(const struct redis_value *list, const char *name)
{
    for (size_t i = 0; list->type == REDIS_ARRAY && i + 1 < list->count; i += 2) {
        if (bytes_equal_str(list->items[i].text, name))
            return &list->items[i + 1];
    }
    return NULL;
}

static struct bytes text_of(const struct redis_value *list, const char *name)
{
    const struct redis_value *value = member(list, name);
    return value != NULL ? value->text : (struct bytes){NULL, 0};
}

/* The endpoint may be a name; the ip is empty where a node does not know its own. */
static int read_address(const struct redis_value *node, const char *asked, bool tls, struct redis_address *out)
{
    const struct redis_value *port = member(node, tls ? "tls-port" : "port");
    if (port == NULL || port->type != REDIS_INTEGER || port->integer <= 0 || port->integer > UINT16_MAX)
        return PETREL_E_INVALID;
    struct bytes ip = text_of(node, "ip");
    if (redis_slots_address(text_of(node, "endpoint"), (uint32_t)port->integer, out) == 0)
        return 0;
    return redis_slots_address(ip.len > 0 ? ip : bytes_str(asked), (uint32_t)port->integer, out);
}

static int read_nodes(const struct redis_value *nodes, const char *asked, bool tls, uint16_t shard,
                      struct redis_view *view)
{
    struct redis_view_node *master = NULL;
    bool master_online = false;
    if (nodes == NULL || nodes->type != REDIS_ARRAY || nodes->count > REDIS_NODES_MAX - view->nodes_count)
        return PETREL_E_INVALID;
    for (size_t i = 0; i < nodes->count; i++) {
        const struct redis_value *item = &nodes->items[i];
        struct redis_view_node node = {.shard = shard};
        bool online = bytes_equal_str(text_of(item, "health"), "online");
        bool is_master = bytes_equal_str(text_of(item, "role"), "master");
        view->replicas[shard] += !is_master;
        if (read_address(item, asked, tls, &node.address) != 0)
            continue; /* a node without such a port, or known by a name only, is no node to us */
        view->nodes[view->nodes_count] = node;
        /* For a moment after a failover a shard may show two masters. */
        if (is_master && (master == NULL || (online && !master_online))) {
            master = &view->nodes[view->nodes_count];
            master_online = online;
        }
        view->nodes_count++;
    }
    if (master != NULL)
        master->master = true;
    return 0;
}

static int read_ranges(const struct redis_value *slots, uint16_t shard, struct redis_view *view)
{
    if (slots == NULL || slots->type != REDIS_ARRAY || slots->count / 2 > REDIS_SLOTS - view->ranges_count)
        return PETREL_E_INVALID;
    for (size_t i = 0; i + 1 < slots->count; i += 2) {
        const struct redis_value *first = &slots->items[i];
        const struct redis_value *last = &slots->items[i + 1];
        if (first->type != REDIS_INTEGER || last->type != REDIS_INTEGER || first->integer < 0 ||
            first->integer > last->integer || last->integer >= REDIS_SLOTS)
            return PETREL_E_INVALID;
        view->ranges[view->ranges_count++] =
            (struct redis_view_range){(uint16_t)first->integer, (uint16_t)last->integer, shard};
    }
    return 0;
}

int redis_slots_read(const struct redis_value *reply, const char *asked, bool tls, struct redis_view **out)
{
    if (reply->type != REDIS_ARRAY || reply->count > REDIS_NODES_MAX)
        return PETREL_E_INVALID;
    struct redis_view *view = object_zalloc(sizeof *view);
    int err = 0;
    for (size_t i = 0; i < reply->count && err == 0; i++) {
        const struct redis_value *shard = &reply->items[i];
        err = read_nodes(member(shard, "nodes"), asked, tls, (uint16_t)i, view);
        if (err == 0)
            err = read_ranges(member(shard, "slots"), (uint16_t)i, view);
    }
    if (err == 0 && view->ranges_count == 0)
        err = PETREL_E_INVALID;
    if (err != 0) {
        free(view);
        return err;
    }
    *out = view;
    return 0;
}
