#include "driver/zookeeper.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define THREADED
#include <zookeeper/zookeeper.h>

#define ZOOKEEPER_MAGIC OBJECT_MAGIC('Z', 'O', 'O', 'K')

struct zookeeper {
    uint32_t magic;
    struct zookeeper_config config;
    zhandle_t *handle;
    /* Written by ZooKeeper's thread, from what it tells: the handle's own state is read without a lock by the library. */
    atomic_int state;
    _Atomic int64_t session;
    sem_t changed;
};

static int err_of(int rc)
{
    switch (rc) {
    case ZOK:
        return 0;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZINVALIDSTATE:
    case ZSESSIONEXPIRED:
    case ZSESSIONMOVED:
    case ZCLOSING:
    case ZTHROTTLEDOP:
        return PETREL_E_UNAVAILABLE;
    case ZNONODE:
        return PETREL_E_NOT_FOUND;
    case ZNODEEXISTS:
        return PETREL_E_EXISTS;
    case ZBADVERSION:
        return PETREL_E_STALE;
    case ZNOAUTH:
    case ZAUTHFAILED:
    case ZINVALIDACL:
        return PETREL_E_FORBIDDEN;
    case ZBADARGUMENTS:
        return PETREL_E_INVALID;
    default:
        return PETREL_E_IO;
    }
}

/* The library's own lines, without its time stamp: a line or more per attempt to connect, so for debugging only. */
static void on_log(const char *message)
{
    const char *text = strchr(message, '@');
    log_at(LOG_DEBUG, "zookeeper", "the client library says", LOG_STR("text", text != NULL ? text + 1 : message));
}

static enum zookeeper_state state_of(int state)
{
    if (state == ZOO_CONNECTED_STATE)
        return ZOOKEEPER_CONNECTED;
    if (state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE)
        return ZOOKEEPER_ENDED;
    return ZOOKEEPER_CONNECTING;
}

static void on_watch(zhandle_t *handle, int type, int state, const char *path, void *ctx)
{
    struct zookeeper *zk = ctx;
    object_check(zk, ZOOKEEPER_MAGIC);
    const bool session = type == ZOO_SESSION_EVENT;
    if (session) {
        if (state == ZOO_CONNECTED_STATE)
            atomic_store(&zk->session, zoo_client_id(handle)->client_id);
        atomic_store(&zk->state, (int)state_of(state));
        sem_post(&zk->changed);
    }
    zk->config.on_event(zk->config.ctx, (enum zookeeper_state)atomic_load(&zk->state), session ? NULL : path);
}

int zookeeper_connect(struct zookeeper **out, const struct zookeeper_config *config)
{
    struct zookeeper *zk = object_zalloc(sizeof *zk);
    zk->magic = ZOOKEEPER_MAGIC;
    zk->config = *config;
    zk->config.servers = NULL; /* the library keeps a copy */
    atomic_init(&zk->state, ZOOKEEPER_CONNECTING);
    atomic_init(&zk->session, 0);
    sem_init(&zk->changed, 0, 0);
    /* Events come before the handle is known here: on_watch() uses the one it is given. */
    zk->handle = zookeeper_init2(config->servers, on_watch, (int)config->session_timeout_ms, NULL, zk,
                                 ZOO_NO_LOG_CLIENTENV, on_log);
    if (zk->handle != NULL) {
        *out = zk;
        return 0;
    }
    const int err = errno == EINVAL ? PETREL_E_INVALID : PETREL_E_UNAVAILABLE;
    zookeeper_disconnect(&zk);
    return err;
}

void zookeeper_disconnect(struct zookeeper **inside)
{
    struct zookeeper *zk = *inside;
    if (zk == NULL)
        return;
    object_check(zk, ZOOKEEPER_MAGIC);
    if (zk->handle != NULL)
        (void)zookeeper_close(zk->handle);
    sem_destroy(&zk->changed);
    zk->magic = 0;
    free(zk);
    *inside = NULL;
}

enum zookeeper_state zookeeper_state(const struct zookeeper *zk)
{
    return (enum zookeeper_state)atomic_load(&zk->state);
}

int64_t zookeeper_session(const struct zookeeper *zk)
{
    return atomic_load(&zk->session);
}

enum zookeeper_state zookeeper_await(struct zookeeper *zk, uint32_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (zookeeper_state(zk) == ZOOKEEPER_CONNECTING) {
        if (sem_clockwait(&zk->changed, CLOCK_MONOTONIC, &until) != 0 && errno == ETIMEDOUT)
            break;
    }
    return zookeeper_state(zk);
}

static const char *text_of(struct bytes value)
{
    return value.len > 0 ? (const char *)value.ptr : "";
}

int zookeeper_create(struct zookeeper *zk, const char *path, struct bytes value, enum zookeeper_life life)
{
    petrel_assert(value.len <= ZOOKEEPER_VALUE_MAX);
    return err_of(zoo_create(zk->handle, path, text_of(value), (int)value.len, &ZOO_OPEN_ACL_UNSAFE,
                             life == ZOOKEEPER_EPHEMERAL ? ZOO_EPHEMERAL : ZOO_PERSISTENT, NULL, 0));
}

int zookeeper_create_all(struct zookeeper *zk, const char *path)
{
    char part[ZOOKEEPER_PATH_MAX];
    const size_t len = strlen(path);
    petrel_assert(len < sizeof part);
    int err = 0;
    for (size_t i = 1; i <= len && err == 0; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        err = zookeeper_create(zk, part, bytes_str(""), ZOOKEEPER_KEPT);
        if (err == PETREL_E_EXISTS)
            err = 0;
    }
    return err;
}

int zookeeper_set(struct zookeeper *zk, const char *path, struct bytes value, int32_t version)
{
    petrel_assert(value.len <= ZOOKEEPER_VALUE_MAX);
    return err_of(zoo_set(zk->handle, path, text_of(value), (int)value.len, version));
}

int zookeeper_remove(struct zookeeper *zk, const char *path, int32_t version)
{
    return err_of(zoo_delete(zk->handle, path, version));
}

int zookeeper_set_and_create(struct zookeeper *zk, const char *counter, struct bytes count, int32_t version,
                             const char *path, struct bytes value)
{
    petrel_assert(count.len <= ZOOKEEPER_VALUE_MAX && value.len <= ZOOKEEPER_VALUE_MAX);
    zoo_op_t ops[2];
    zoo_op_result_t results[2] = {{0}};
    zoo_set_op_init(&ops[0], counter, text_of(count), (int)count.len, version, NULL);
    zoo_create_op_init(&ops[1], path, text_of(value), (int)value.len, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, NULL, 0);
    return err_of(zoo_multi(zk->handle, 2, ops, results));
}

int zookeeper_get(struct zookeeper *zk, const char *path, bool watch, struct bytebuf *out, struct zookeeper_stat *stat)
{
    struct Stat found = {0};
    int len = ZOOKEEPER_VALUE_MAX;
    char *room = (char *)bytes_reserve(out, ZOOKEEPER_VALUE_MAX);
    const int err = err_of(zoo_get(zk->handle, path, watch, room, &len, &found));
    if (err != 0)
        return err;
    *stat = (struct zookeeper_stat){.version = found.version, .owner = found.ephemeralOwner};
    if (found.dataLength > ZOOKEEPER_VALUE_MAX)
        return PETREL_E_TOO_LARGE;
    out->len += len > 0 ? (size_t)len : 0; /* -1: no value at all */
    return 0;
}

int zookeeper_children(struct zookeeper *zk, const char *path, bool watch, struct zookeeper_names *out)
{
    struct String_vector found = {0};
    const int err = err_of(zoo_get_children(zk->handle, path, watch, &found));
    if (err != 0)
        return err;
    out->count = (size_t)found.count;
    out->names = object_zalloc((out->count + 1) * sizeof(char *));
    for (size_t i = 0; i < out->count; i++)
        out->names[i] = object_strdup(found.data[i]);
    deallocate_String_vector(&found);
    return 0;
}

void zookeeper_names_reset(struct zookeeper_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct zookeeper_names){0};
}
