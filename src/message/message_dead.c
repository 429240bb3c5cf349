#include "message/message_dead.h"

#include "base/err.h"
#include "base/object.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_DEAD_MAGIC OBJECT_MAGIC('M', 'S', 'G', 'D')

/* A node of the view: its newest process. */
struct process {
    uint32_t number;
    uint64_t incarnation;
};

struct burial {
    struct list node;
    struct message_dead *dead;
    struct store_request request;
    char app[ROUTE_APP_MAX + 1];
    char user[ROUTE_USER_MAX + 1];
    uint32_t count; /* of devices whose route was dead */
    uint32_t next;  /* of them, the one to unbind */
    struct {
        char device[ROUTE_DEVICE_MAX + 1];
        struct route route;
    } routes[ROUTE_DEVICES_MAX];
};

struct message_dead {
    uint32_t magic;
    struct message_dead_config config;
    bool closed;
    struct process *processes; /* by number */
    size_t processes_count;
    bool current;        /* the view is of a discovery that answers, */
    uint64_t current_ms; /* since then */
    struct list burials;
    uint32_t burials_count;
    uint32_t credit; /* in appends */
};

struct message_dead *message_dead_new(const struct message_dead_config *config)
{
    struct message_dead *dead = object_zalloc(sizeof *dead);
    dead->magic = MESSAGE_DEAD_MAGIC;
    dead->config = *config;
    dead->credit = MESSAGE_DEAD_SAVED * MESSAGE_DEAD_COST;
    list_init(&dead->burials);
    return dead;
}

void message_dead_free(struct message_dead *dead)
{
    if (dead == NULL)
        return;
    petrel_assert(message_dead_idle(dead));
    free(dead->processes);
    dead->magic = 0;
    free(dead);
}

void message_dead_close(struct message_dead *dead)
{
    object_check(dead, MESSAGE_DEAD_MAGIC);
    dead->closed = true;
}

bool message_dead_idle(const struct message_dead *dead)
{
    return dead->burials_count == 0;
}

/* ---- who is dead ---- */

static int by_number(const void *left, const void *right)
{
    const struct process *a = left, *b = right;
    return (a->number > b->number) - (a->number < b->number);
}

/* By number, then the newest first. */
static int by_number_and_age(const void *left, const void *right)
{
    const struct process *a = left, *b = right;
    const int order = by_number(a, b);
    return order != 0 ? order : (a->incarnation < b->incarnation) - (a->incarnation > b->incarnation);
}

void message_dead_view(struct message_dead *dead, const struct discovery_view *view)
{
    object_check(dead, MESSAGE_DEAD_MAGIC);
    struct process *processes = object_zalloc((view->count + 1) * sizeof *processes);
    size_t count = 0;
    for (size_t i = 0; i < view->count; i++)
        processes[i] = (struct process){view->nodes[i].number, view->nodes[i].incarnation};
    qsort(processes, view->count, sizeof *processes, by_number_and_age);
    for (size_t i = 0; i < view->count; i++) {
        if (count == 0 || processes[count - 1].number != processes[i].number)
            processes[count++] = processes[i];
    }
    free(dead->processes);
    dead->processes = processes;
    dead->processes_count = count;
    if (view->current && !dead->current)
        dead->current_ms = loop_now_ms(dead->config.loop);
    dead->current = view->current;
}

/* Whether who is not listed and has no link is not there. */
static bool is_settled(const struct message_dead *dead)
{
    return dead->current && loop_now_ms(dead->config.loop) - dead->current_ms >= dead->config.settle_ms;
}

bool message_dead_is(const struct message_dead *dead, const struct route *route)
{
    object_check(dead, MESSAGE_DEAD_MAGIC);
    if (link_outlived(dead->config.link, route))
        return true;
    const struct process like = {.number = route->node};
    const struct process *process = dead->processes_count > 0 ? bsearch(&like, dead->processes, dead->processes_count,
                                                                        sizeof *dead->processes, by_number)
                                                              : NULL;
    if (process != NULL)
        return process->incarnation > route->incarnation;
    return is_settled(dead) && !link_knows(dead->config.link, route);
}

/* ---- burials ---- */

static void end_burial(struct burial *burial)
{
    struct message_dead *dead = burial->dead;
    list_remove(&burial->node);
    dead->burials_count--;
    free(burial);
    if (message_dead_idle(dead))
        dead->config.on_idle(dead->config.ctx);
}

static struct peer_target target_of(const struct burial *burial, const char *device)
{
    return (struct peer_target){
        .app = bytes_str(burial->app), .user = bytes_str(burial->user), .device = bytes_str(device)};
}

static void on_unbound(struct store_request *request);

/* Whether one more unbind is under way. */
static bool unbind_next(struct burial *burial)
{
    struct message_dead *dead = burial->dead;
    if (dead->closed || burial->next == burial->count)
        return false;
    burial->request = (struct store_request){0};
    burial->request.in.unbind = (struct peer_unbind){.target = target_of(burial, burial->routes[burial->next].device),
                                                     .route = burial->routes[burial->next].route};
    burial->next++;
    return store_submit(dead->config.store, STORE_UNBIND, &burial->request, dead->config.loop, on_unbound) == 0;
}

static void on_unbound(struct store_request *request)
{
    struct burial *burial = container_of(request, struct burial, request);
    object_check(burial->dead, MESSAGE_DEAD_MAGIC);
    if (request->status == 0)
        metrics_add(burial->dead->config.metrics, METRIC_ROUTES_DEAD, 1);
    if (!unbind_next(burial))
        end_burial(burial);
}

static void on_user(struct store_request *request)
{
    struct burial *burial = container_of(request, struct burial, request);
    struct message_dead *dead = burial->dead;
    object_check(dead, MESSAGE_DEAD_MAGIC);
    const struct peer_user *user = request->status == 0 ? request->out.user : NULL;
    for (uint32_t i = 0; user != NULL && i < user->count; i++) {
        const struct peer_device *device = &user->devices[i];
        if (device->route.generation == 0 || !message_dead_is(dead, &device->route))
            continue;
        memcpy(burial->routes[burial->count].device, device->device, sizeof device->device);
        burial->routes[burial->count].route = device->route;
        burial->count++;
    }
    if (!unbind_next(burial))
        end_burial(burial);
}

static bool is_being_buried(const struct message_dead *dead, const struct peer_target *target)
{
    struct list *node, *next;
    LIST_FOREACH(node, next, &dead->burials)
    {
        const struct burial *burial = container_of(node, struct burial, node);
        if (bytes_equal_str(target->user, burial->user) && bytes_equal_str(target->app, burial->app))
            return true;
    }
    return false;
}

static void begin_burial(struct message_dead *dead, const struct peer_target *target)
{
    struct burial *burial = object_zalloc(sizeof *burial);
    burial->dead = dead;
    memcpy(burial->app, target->app.ptr, target->app.len);
    memcpy(burial->user, target->user.ptr, target->user.len);
    list_push_back(&dead->burials, &burial->node);
    dead->burials_count++;
    burial->request.in.user = (struct peer_target){.app = bytes_str(burial->app), .user = bytes_str(burial->user)};
    if (store_submit(dead->config.store, STORE_USER, &burial->request, dead->config.loop, on_user) == 0)
        return;
    list_remove(&burial->node);
    dead->burials_count--;
    free(burial);
}

void message_dead_appended(struct message_dead *dead)
{
    object_check(dead, MESSAGE_DEAD_MAGIC);
    if (dead->credit < MESSAGE_DEAD_SAVED * MESSAGE_DEAD_COST)
        dead->credit++;
}

void message_dead_met(struct message_dead *dead, const struct peer_target *target)
{
    object_check(dead, MESSAGE_DEAD_MAGIC);
    if (dead->closed || dead->credit < MESSAGE_DEAD_COST || dead->burials_count == MESSAGE_DEAD_BURIALS ||
        is_being_buried(dead, target))
        return;
    dead->credit -= MESSAGE_DEAD_COST;
    begin_burial(dead, target);
}
