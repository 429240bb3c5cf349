#include "base/err.h"
#include "discovery/discovery_zookeeper.h"
#include "discovery/discovery_zookeeper_node.h"
#include "driver/zookeeper.h"

#include <stdlib.h>

#define SESSION_TIMEOUT_MS 10000

static void ignore_event(void *ctx, enum zookeeper_state state, const char *path)
{
    (void)ctx, (void)state, (void)path;
}

/* The number that stands at path; an empty value is 0. */
static int read_number(struct zookeeper *zk, const char *path, uint32_t *number, int32_t *version)
{
    struct bytebuf value = {0};
    struct zookeeper_stat stat = {0};
    int err = zookeeper_get(zk, path, false, &value, &stat);
    bytes_put_u8(&value, 0);
    if (err == 0) {
        char *end;
        const unsigned long parsed = strtoul((const char *)value.ptr, &end, 10);
        *version = stat.version;
        *number = (uint32_t)parsed;
        err = *end == '\0' && parsed <= UINT32_MAX ? 0 : PETREL_E_INVALID;
    }
    bytes_reset(&value);
    return err;
}

static int give_number(struct zookeeper *zk, const char *names, int32_t version, const char *own, uint32_t number)
{
    struct bytebuf text = {0};
    bytes_printf(&text, "%lu", (unsigned long)number);
    const int err = zookeeper_set_and_create(zk, names, bytes_view(&text), version, own, bytes_view(&text));
    bytes_reset(&text);
    return err;
}

static int claim(struct zookeeper *zk, const char *names, const char *own, uint32_t *number)
{
    for (;;) {
        uint32_t last = 0;
        int32_t version;
        int err = read_number(zk, own, number, &version);
        if (err != PETREL_E_NOT_FOUND)
            return err == 0 && *number == 0 ? PETREL_E_INVALID : err;
        err = read_number(zk, names, &last, &version);
        if (err == 0 && last == UINT32_MAX)
            return PETREL_E_FULL;
        if (err == 0)
            err = give_number(zk, names, version, own, last + 1);
        else if (err == PETREL_E_NOT_FOUND)
            err = zookeeper_create_all(zk, names);
        /* Another node was faster: what it did is read in the next round, as is what we did. */
        if (err != 0 && err != PETREL_E_STALE && err != PETREL_E_EXISTS && err != PETREL_E_NOT_FOUND)
            return err;
    }
}

int discovery_zookeeper_claim(const struct discovery_zookeeper_config *config, const char *name, uint32_t wait_ms,
                              uint32_t *number)
{
    if (name[0] == '\0' || strlen(name) > DISCOVERY_NAME_MAX || strlen(config->root) > DISCOVERY_ZOOKEEPER_ROOT_MAX)
        return PETREL_E_INVALID;
    char names[DISCOVERY_ZOOKEEPER_PATH_MAX];
    char own[DISCOVERY_ZOOKEEPER_PATH_MAX];
    discovery_zookeeper_node_path(config->root, "names", NULL, names);
    discovery_zookeeper_node_path(config->root, "names", name, own);
    const struct zookeeper_config session = {
        .servers = config->servers,
        .session_timeout_ms = config->session_timeout_ms != 0 ? config->session_timeout_ms : SESSION_TIMEOUT_MS,
        .on_event = ignore_event,
    };
    const uint64_t deadline = clock_mono_ms(clock_system()) + wait_ms;
    struct zookeeper *zk = NULL;
    int err = zookeeper_connect(&zk, &session);
    while (err == 0) {
        const uint64_t now = clock_mono_ms(clock_system());
        const enum zookeeper_state state = zookeeper_await(zk, now < deadline ? (uint32_t)(deadline - now) : 0);
        err = state == ZOOKEEPER_CONNECTED ? claim(zk, names, own, number) : PETREL_E_UNAVAILABLE;
        if (err == 0 || state != ZOOKEEPER_CONNECTED || now >= deadline)
            break;
        if (err == PETREL_E_UNAVAILABLE) /* whether it was done, the next round reads */
            err = 0;
    }
    zookeeper_disconnect(&zk);
    return err;
}
