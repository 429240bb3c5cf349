#include "api/api_refresh.h"

#include "api/api_exchange.h"

static void set_unavailable(struct api_error *error)
{
    (void)api_error_set(error, API_ERROR_UNAVAILABLE, NULL,
                        "the key is not known here, and the registry does not answer");
}

/* Those whom the look was for, or all. */
static void release(struct api_role *role, bool all, const struct api_error *error)
{
    struct list ready, *node, *tmp;
    list_init(&ready);
    LIST_FOREACH(node, tmp, &role->refresh.waiting)
    {
        if (!all && !container_of(node, struct api_conn, wait_node)->wait_covered)
            continue;
        list_remove(node);
        list_push_back(&ready, node);
    }
    while ((node = list_pop_front(&ready)) != NULL)
        api_conn_go_on(container_of(node, struct api_conn, wait_node), error);
}

static void on_done(struct registry_request *request);
static void on_late(struct timer *timer);

/* Ask for a look, which is for all who wait now. */
static int look(struct api_role *role)
{
    struct api_refresh *refresh = &role->refresh;
    struct list *node, *tmp;
    refresh->request.home = role->loop;
    refresh->request.done = on_done;
    const int rc = role->registry->ops->refresh(role->registry, &refresh->request);
    if (rc != 0)
        return rc;
    refresh->under_way = true;
    timer_start(role->loop, &refresh->timer, API_REFRESH_WAIT_MS, on_late);
    LIST_FOREACH(node, tmp, &refresh->waiting)
    container_of(node, struct api_conn, wait_node)->wait_covered = true;
    return 0;
}

static void on_done(struct registry_request *request)
{
    struct api_refresh *refresh = container_of(request, struct api_refresh, request);
    struct api_role *role = container_of(refresh, struct api_role, refresh);
    struct api_error error;
    object_check(role, API_ROLE_MAGIC);
    refresh->under_way = false;
    timer_stop(&refresh->timer);
    set_unavailable(&error);
    release(role, false, request->status == 0 ? NULL : &error);
    /* What was read may be older than what those ask for who came meanwhile. */
    if (!list_empty(&refresh->waiting) && !refresh->under_way && look(role) != 0)
        release(role, true, &error);
    api_role_settle(role);
}

/* The registry's worker may hang for longer, and answers some time; they don't wait for it. */
static void on_late(struct timer *timer)
{
    struct api_refresh *refresh = container_of(timer, struct api_refresh, timer);
    struct api_error error;
    set_unavailable(&error);
    release(container_of(refresh, struct api_role, refresh), true, &error);
}

void api_refresh_init(struct api_role *role)
{
    list_init(&role->refresh.waiting);
}

bool api_refresh_wait(struct api_conn *conn, struct api_exchange *exchange, struct api_error *error)
{
    struct api_refresh *refresh = &conn->role->refresh;
    if (conn->wait_covered)
        return false;
    const bool is_first = !refresh->under_way;
    const int rc = is_first ? look(conn->role) : 0;
    if (rc != 0) {
        api_error_from(error, rc, false, NULL);
        return false;
    }
    conn->waiting = exchange;
    conn->wait_covered = is_first;
    list_push_back(&refresh->waiting, &conn->wait_node);
    return true;
}

void api_refresh_forget(struct api_conn *conn)
{
    struct api_exchange *exchange = conn->waiting;
    if (exchange == NULL)
        return;
    conn->waiting = NULL;
    list_remove(&conn->wait_node);
    api_exchange_refuse(exchange, API_ERROR_UNAVAILABLE, NULL); /* goes nowhere */
}
