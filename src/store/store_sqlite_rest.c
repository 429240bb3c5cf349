#include "store/store_sqlite_rest.h"

#include "base/object.h"
#include "store/inbox_pack.h"

#include <stdlib.h>

size_t store_sqlite_rest_put_key(uint8_t key[STORE_SQLITE_KEY_MAX], const struct peer_target *target)
{
    const struct bytes app = target->app, user = target->user;
    if (app.len > ROUTE_APP_MAX || user.len > ROUTE_USER_MAX)
        return 0;
    memcpy(key, app.ptr, app.len);
    key[app.len] = 0;
    memcpy(key + app.len + 1, user.ptr, user.len);
    return app.len + 1 + user.len;
}

struct bytes store_sqlite_rest_key(const void *form)
{
    const struct store_form *user = form;
    if (user->is_awake)
        return ((const struct store_user *)form)->inbox.key;
    return bytes_of(((const struct store_rest *)form)->data, user->key_len);
}

bool store_sqlite_rest_possible(const struct store_user *user)
{
    return user->inbox.entries_count == 0 && !user->inbox.unsaved && !user->is_touched;
}

static bool has_route(const struct inbox *inbox)
{
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        if (inbox->devices[i].route.generation != 0)
            return true;
    }
    return false;
}

/* Device by device, in their order; a generation of 0 is no route. */
static void put_routes(struct bytebuf *out, const struct inbox *inbox)
{
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        const struct route *route = &inbox->devices[i].route;
        bytes_put_varint(out, route->generation);
        if (route->generation == 0)
            continue;
        bytes_put_varint(out, route->incarnation);
        bytes_put_varint(out, route->node);
        bytes_put_varint(out, route->loop);
        bytes_put_varint(out, route->slot);
    }
}

static uint64_t take(struct bytes *in)
{
    uint64_t value;
    int err = bytes_get_varint(in, &value);
    petrel_assert(err == 0);
    return value;
}

static void get_route(struct bytes *in, struct route *route)
{
    *route = (struct route){.generation = (uint32_t)take(in)};
    if (route->generation == 0)
        return;
    route->incarnation = take(in);
    route->node = (uint32_t)take(in);
    route->loop = (uint16_t)take(in);
    route->slot = (uint32_t)take(in);
}

static void get_routes(struct bytes in, struct inbox *inbox)
{
    for (uint32_t i = 0; i < inbox->devices_count; i++)
        get_route(&in, &inbox->devices[i].route);
}

/* Whole seconds, rounded up. */
static uint32_t in_seconds(uint64_t ms)
{
    return ms / 1000 < UINT32_MAX ? (uint32_t)(ms / 1000) + 1 : UINT32_MAX;
}

struct store_rest *store_sqlite_rest_make(const struct store_user *user, uint64_t look_ms, struct bytebuf *scratch)
{
    const struct inbox *inbox = &user->inbox;
    const bool forgets = inbox->recent_count > 0 || inbox->fates_count > 0;
    struct store_rest head = {.form = {.forgets = forgets, .key_len = user->form.key_len},
                              .look_s = in_seconds(look_ms)};
    petrel_assert(store_sqlite_rest_possible(user));
    scratch->len = 0;
    bytes_append(scratch, user->key, user->form.key_len);
    if (inbox_state_exists(inbox))
        inbox_pack(scratch, inbox);
    size_t routes = scratch->len;
    if (has_route(inbox))
        put_routes(scratch, inbox);
    head.routes_len = (uint16_t)(scratch->len - routes);
    head.len = (uint32_t)scratch->len;
    struct store_rest *rest = object_alloc(sizeof head + head.len);
    *rest = head;
    memcpy(rest->data, scratch->ptr, head.len);
    return rest;
}

static struct bytes record_of(const struct store_rest *rest)
{
    return bytes_of(rest->data + rest->form.key_len, rest->len - rest->form.key_len - rest->routes_len);
}

static struct bytes routes_of(const struct store_rest *rest)
{
    return bytes_of(rest->data + rest->len - rest->routes_len, rest->routes_len);
}

bool store_sqlite_rest_record(const void *form, struct bytes *record, uint64_t *due_ms)
{
    const struct store_rest *rest = form;
    if (rest->form.is_awake || rest->form.forgets)
        return false;
    *record = record_of(rest);
    if (record->len == 0)
        *record = (struct bytes){NULL, 0};
    *due_ms = rest->look_s < UINT32_MAX ? rest->look_s * UINT64_C(1000) : UINT64_MAX;
    return true;
}

struct store_user *store_sqlite_rest_wake(const struct store_rest *rest)
{
    struct store_user *user = store_sqlite_rest_user(bytes_of(rest->data, rest->form.key_len));
    struct bytes record = record_of(rest);
    if (record.len > 0) {
        int err = inbox_pack_read(&user->inbox, record);
        petrel_assert(err == 0);
    }
    if (rest->routes_len > 0)
        get_routes(routes_of(rest), &user->inbox);
    return user;
}

struct inbox_standing store_sqlite_rest_stand(const void *form, struct bytes device)
{
    if (((const struct store_form *)form)->is_awake)
        return inbox_stand(&((const struct store_user *)form)->inbox, device);
    const struct store_rest *rest = form;
    struct inbox_standing standing = {.is_enrolled = false};
    struct bytes record = record_of(rest), routes = routes_of(rest);
    uint32_t number;
    if (record.len == 0)
        return standing;
    int err = inbox_pack_stand(record, device, &standing, &number);
    petrel_assert(err == 0);
    if (!standing.is_enrolled || routes.len == 0)
        return standing;
    for (uint32_t i = 0; i <= number; i++)
        get_route(&routes, &standing.route);
    return standing;
}

struct store_user *store_sqlite_rest_user(struct bytes key)
{
    petrel_assert(key.len <= STORE_SQLITE_KEY_MAX);
    struct store_user *user = object_zalloc(sizeof *user + key.len);
    user->form = (struct store_form){.is_awake = true, .key_len = (uint8_t)key.len};
    memcpy(user->key, key.ptr, key.len);
    user->inbox.key = bytes_of(user->key, key.len);
    return user;
}

size_t store_sqlite_rest_bytes(const struct store_rest *rest)
{
    return sizeof *rest + rest->len;
}
