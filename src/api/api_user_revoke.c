/* Revoking a user: every device that registered or connected, one after the other.
 *
 * The registry's devices and the log's are gathered first. Each is then revoked as a device is: in the registry, so that it shows as
 * revoked, and in the log, which refuses its tokens and has its session closed wherever it is. Done twice, nothing changes. */
#include "api/api_json.h"
#include "api/api_routes.h"
#include "base/err.h"

#include <stdlib.h>

#define SECOND_MS 1000U

struct victim {
    char device[ROUTE_DEVICE_MAX + 1];
    bool registered;
};

struct revocation {
    struct api_exchange *exchange;
    struct victim *victims;
    size_t count;
    size_t at; /* the one that is being revoked */
    char after[ROUTE_DEVICE_MAX + 1];
    uint64_t revoked_ms;
    struct timer timer;
};

static void drop_revocation(void *state)
{
    struct revocation *revocation = state;
    timer_stop(&revocation->timer);
    free(revocation->victims);
}

static void add(struct revocation *revocation, const char *device, bool registered)
{
    for (size_t i = 0; i < revocation->count; i++) {
        if (strcmp(revocation->victims[i].device, device) == 0)
            return;
    }
    revocation->victims = object_realloc(revocation->victims, (revocation->count + 1) * sizeof(struct victim));
    struct victim *victim = &revocation->victims[revocation->count++];
    *victim = (struct victim){.registered = registered};
    memcpy(victim->device, device, strlen(device) + 1);
}

/* ---- the end ---- */

static void answer(struct timer *timer)
{
    struct revocation *revocation = container_of(timer, struct revocation, timer);
    struct api_exchange *exchange = revocation->exchange;
    struct bytebuf *out = &exchange->body;
    exchange->target.device[0] = '\0';
    bytes_append_str(out, "{\"user\":");
    api_json_put_text(out, bytes_str(exchange->target.user));
    bytes_append_str(out, ",\"devices\":[");
    for (size_t i = 0; i < revocation->count; i++) {
        if (i > 0)
            bytes_append_str(out, ",");
        api_json_put_text(out, bytes_str(revocation->victims[i].device));
    }
    bytes_append_str(out, "]");
    api_json_put_time(out, "revoked_at", revocation->revoked_ms);
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

/* Tokens tell only the second they were made in: the answer waits until that of the revocation is over, as for one device. */
static void finish(struct revocation *revocation)
{
    struct loop *loop = revocation->exchange->role->loop;
    const uint64_t over_ms = (revocation->revoked_ms / SECOND_MS + 1) * SECOND_MS;
    const uint64_t now_ms = loop_wall_ms(loop);
    uint64_t wait_ms = over_ms > now_ms ? over_ms - now_ms : 0;
    if (wait_ms > SECOND_MS) /* the wall clock was set back */
        wait_ms = SECOND_MS;
    timer_start(loop, &revocation->timer, wait_ms, answer);
}

/* ---- one device after the other ---- */

static void revoke_next(struct revocation *revocation);

static void fail(struct api_exchange *exchange, int status, bool wrote)
{
    struct api_error error;
    api_error_from(&error, status, wrote, "user");
    api_role_refine(exchange->role, &error);
    api_exchange_fail(exchange, &error);
}

static void on_removed(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    struct revocation *revocation = exchange->state;
    if (call->reply.status != 0) {
        fail(exchange, call->reply.status, true);
        return;
    }
    revocation->at++;
    revoke_next(revocation);
}

static void remove_device(struct api_exchange *exchange)
{
    struct revocation *revocation = exchange->state;
    revocation->revoked_ms = loop_wall_ms(exchange->role->loop);
    exchange->call.in.type = PEER_REMOVE;
    exchange->call.in.remove = (struct peer_remove){
        .target = api_address_peer_target(&exchange->target),
        .revoked_ms = revocation->revoked_ms,
    };
    api_exchange_ask(exchange, on_removed);
}

static void on_unregistered(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    if (request->status == 0)
        remove_device(exchange);
    else
        fail(exchange, request->status, request->in_doubt);
}

static void revoke_next(struct revocation *revocation)
{
    struct api_exchange *exchange = revocation->exchange;
    if (revocation->at == revocation->count) {
        finish(revocation);
        return;
    }
    const struct victim *victim = &revocation->victims[revocation->at];
    memcpy(exchange->target.device, victim->device, sizeof exchange->target.device);
    if (!victim->registered) {
        remove_device(exchange);
        return;
    }
    exchange->registry.in.device = bytes_str(exchange->target.device);
    api_exchange_registry(exchange, exchange->role->registry->ops->device_revoke, on_unregistered);
}

/* ---- who they are ---- */

static void on_user(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    struct revocation *revocation = exchange->state;
    const int status = call->reply.status;
    if (status != 0 && status != PETREL_E_NOT_FOUND) {
        fail(exchange, status, false);
        return;
    }
    for (uint32_t i = 0; status == 0 && i < call->reply.user->count; i++)
        add(revocation, call->reply.user->devices[i].device, false);
    if (revocation->count == 0)
        api_exchange_refuse(exchange, API_ERROR_NOT_FOUND, "user");
    else
        revoke_next(revocation);
}

static void list_next(struct api_exchange *exchange);

static void on_listed(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    struct revocation *revocation = exchange->state;
    if (request->status != 0) {
        fail(exchange, request->status, false);
        return;
    }
    for (uint32_t i = 0; i < request->out.count; i++) {
        const struct registry_device *device = &request->out.devices[i];
        if (device->revoked_ms == 0)
            add(revocation, device->device, true);
        memcpy(revocation->after, device->device, sizeof revocation->after);
    }
    if (request->out.more) {
        list_next(exchange);
        return;
    }
    exchange->call.in.type = PEER_USER;
    exchange->call.in.user = api_address_peer_target(&exchange->target);
    api_exchange_ask(exchange, on_user);
}

static void list_next(struct api_exchange *exchange)
{
    const struct revocation *revocation = exchange->state;
    exchange->registry.in.app = bytes_str(exchange->target.app);
    exchange->registry.in.user = bytes_str(exchange->target.user);
    exchange->registry.in.limit = REGISTRY_PAGE_MAX;
    if (revocation->after[0] != '\0')
        exchange->registry.in.after = bytes_str(revocation->after);
    api_exchange_registry(exchange, exchange->role->registry->ops->device_list, on_listed);
}

void api_user_revoke(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    struct revocation *revocation = api_exchange_state(exchange, sizeof *revocation, drop_revocation);
    revocation->exchange = exchange;
    list_next(exchange);
}
