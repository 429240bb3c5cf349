/* Live sessions of all nodes, for operators: list, look at one, kick.
 *
 * A session's id is its route in hexadecimal, node-incarnation-loop-slot-generation. Nodes are walked by their numbers, their loops
 * one after the other, each from slot 0; a cursor is "node-loop-slot", where the next page begins. A node that does not answer is
 * named and left out. */
#include "api/api_json.h"
#include "api/api_query.h"
#include "api/api_routes.h"
#include "base/err.h"
#include "wire/peer_record.h"

#include <inttypes.h>
#include <stdio.h>

#define SESSIONS_PAGE 100U
#define SESSIONS_PAGE_MAX 1000U
#define HOPS_MAX 64 /* calls to loops for one page: then the page ends, however short */

static void put_session(struct bytebuf *out, const struct peer_session *session)
{
    const struct route *route = &session->route;
    bytes_printf(out, "{\"id\":\"%x-%" PRIx64 "-%x-%x-%x\",\"app\":", route->node, route->incarnation, route->loop,
                 route->slot, route->generation);
    api_json_put_text(out, session->app);
    bytes_append_str(out, ",\"user\":");
    api_json_put_text(out, session->user);
    bytes_append_str(out, ",\"device\":");
    api_json_put_text(out, session->device);
    bytes_append_str(out, ",\"address\":");
    api_json_put_text(out, session->address);
    bytes_append_str(out, ",\"client\":");
    api_json_put_text(out, session->client);
    api_json_put_time(out, "since", session->since_ms);
    bytes_printf(out, ",\"at\":{\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 "},\"acked\":%" PRIu64 ",\"behind\":%s}",
                 session->at.epoch, session->at.seq, session->acked, session->behind ? "true" : "false");
}

/* ---- list ---- */

struct walk {
    struct api_query_text app;
    struct api_query_text user;
    struct api_query_text node; /* only of this one; empty: of all */
    struct api_query_page page;
    uint32_t number; /* of the node at hand */
    char name[DISCOVERY_NAME_MAX + 1];
    uint16_t loop;
    uint32_t slot;
    struct bytebuf unreachable; /* JSON texts, by commas */
    uint32_t count;             /* sessions in the answer so far */
    int hops;
};

static struct bytes filter(const struct api_query_text *text)
{
    return text->text[0] != '\0' ? bytes_str(text->text) : (struct bytes){NULL, 0};
}

static void put_listed(void *ctx, const struct peer_session *session)
{
    struct api_exchange *exchange = ctx;
    struct walk *walk = exchange->state;
    if (walk->count++ > 0)
        bytes_append_str(&exchange->body, ",");
    put_session(&exchange->body, session);
}

static void drop_walk(void *state)
{
    struct walk *walk = state;
    bytes_reset(&walk->unreachable);
}

static bool is_walked(const struct walk *walk, const struct discovery_node *node)
{
    return (node->roles & DISCOVERY_SESSION) != 0 &&
           (walk->node.text[0] == '\0' || strcmp(walk->node.text, node->name) == 0);
}

/* Go on to the first loop at or behind the one at hand that a node of the present view has. false: there is none. */
static bool seek(const struct api_role *role, struct walk *walk)
{
    struct discovery_view *view = role->discovery->ops->view(role->discovery);
    const struct discovery_node *next = NULL;
    for (size_t i = 0; i < view->count; i++) {
        const struct discovery_node *node = &view->nodes[i];
        const bool ahead = node->number > walk->number || (node->number == walk->number && walk->loop < node->loops);
        if (is_walked(walk, node) && ahead && (next == NULL || node->number < next->number))
            next = node;
    }
    if (next != NULL && next->number != walk->number) {
        walk->number = next->number;
        walk->loop = 0;
        walk->slot = 0;
    }
    if (next != NULL)
        (void)snprintf(walk->name, sizeof walk->name, "%s", next->name);
    discovery_view_unref(view);
    return next != NULL;
}

/* The rest of the node at hand is left out. */
static void give_up_node(struct walk *walk)
{
    if (walk->unreachable.len > 0)
        bytes_append_str(&walk->unreachable, ",");
    api_json_put_text(&walk->unreachable, bytes_str(walk->name));
    walk->loop = UINT16_MAX;
    walk->slot = 0;
}

static void end_page(struct api_exchange *exchange, bool over)
{
    const struct walk *walk = exchange->state;
    struct bytebuf *out = &exchange->body;
    bytes_append_str(out, "]");
    if (!over)
        bytes_printf(out, ",\"cursor\":\"%u-%u-%u\"", walk->number, walk->loop, walk->slot);
    if (walk->unreachable.len > 0)
        bytes_printf(out, ",\"unreachable\":[%.*s]", (int)walk->unreachable.len, (const char *)walk->unreachable.ptr);
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

static void on_page(struct link_call *call);

/* Ask the loop at hand, or end the page. */
static void step(struct api_exchange *exchange)
{
    struct walk *walk = exchange->state;
    while (seek(exchange->role, walk)) {
        if (walk->count >= walk->page.limit || walk->hops++ >= HOPS_MAX) {
            end_page(exchange, false);
            return;
        }
        exchange->call.in.type = PEER_SESSIONS;
        exchange->call.in.sessions = (struct peer_sessions){
            .app = filter(&walk->app),
            .user = filter(&walk->user),
            .slot = walk->slot,
            .limit = walk->page.limit - walk->count,
        };
        if (link_ask_at(exchange->role->link, walk->number, walk->loop, &exchange->call, on_page) == 0)
            return;
        give_up_node(walk);
    }
    end_page(exchange, true);
}

static void on_page(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    struct walk *walk = exchange->state;
    int rc = call->reply.status;
    if (rc == 0) {
        rc = peer_record_each_session(buf_bytes(call->reply.sessions.records), put_listed, exchange);
        buf_unref(call->reply.sessions.records);
        walk->slot = call->reply.sessions.next_slot;
        if (walk->slot == 0)
            walk->loop++;
    }
    if (rc != 0)
        give_up_node(walk);
    step(exchange);
}

static int check_node(const struct api_role *role, const struct walk *walk, struct api_error *error)
{
    if (walk->node.text[0] == '\0')
        return 0;
    struct discovery_view *view = role->discovery->ops->view(role->discovery);
    bool found = false;
    for (size_t i = 0; i < view->count; i++)
        found = found || strcmp(view->nodes[i].name, walk->node.text) == 0;
    discovery_view_unref(view);
    return found ? 0 : api_error_set(error, API_ERROR_NOT_FOUND, "node", "there is no node of that name");
}

static int read_walk(const struct http_request *http, struct walk *walk, struct api_error *error)
{
    int rc = api_query_page(http, SESSIONS_PAGE, SESSIONS_PAGE_MAX, &walk->page, error);
    if (rc == 0)
        rc = api_query_text(http, "app", &walk->app, error);
    if (rc == 0)
        rc = api_query_text(http, "user", &walk->user, error);
    if (rc == 0)
        rc = api_query_text(http, "node", &walk->node, error);
    if (rc != 0 || walk->page.cursor.text[0] == '\0')
        return rc;
    int end = -1;
    if (sscanf(walk->page.cursor.text, "%10" SCNu32 "-%5" SCNu16 "-%10" SCNu32 "%n", &walk->number, &walk->loop,
               &walk->slot, &end) != 3 ||
        walk->page.cursor.text[end] != '\0')
        return api_error_set(error, API_ERROR_INVALID, "cursor", "is none that this server gave");
    return 0;
}

void api_admin_sessions_list(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct walk *walk = api_exchange_state(exchange, sizeof *walk, drop_walk);
    if (read_walk(request->http, walk, &error) != 0 || check_node(exchange->role, walk, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    bytes_append_str(&exchange->body, "{\"sessions\":[");
    step(exchange);
}

/* ---- one ---- */

struct one {
    struct route route;
    bool found;
    bool kick;
};

static int read_route(struct bytes id, struct route *route)
{
    char text[64];
    int end = -1;
    if (id.len >= sizeof text)
        return PETREL_E_INVALID;
    memcpy(text, id.ptr, id.len);
    text[id.len] = '\0';
    *route = (struct route){0};
    const int count = sscanf(text, "%8" SCNx32 "-%16" SCNx64 "-%4" SCNx16 "-%8" SCNx32 "-%8" SCNx32 "%n", &route->node,
                             &route->incarnation, &route->loop, &route->slot, &route->generation, &end);
    return count == 5 && end >= 0 && (size_t)end == id.len ? 0 : PETREL_E_INVALID;
}

static void put_found(void *ctx, const struct peer_session *session)
{
    struct api_exchange *exchange = ctx;
    struct one *one = exchange->state;
    if (one->found || !route_equal(&session->route, &one->route))
        return;
    one->found = true;
    if (!one->kick)
        put_session(&exchange->body, session);
}

static void kick(struct api_exchange *exchange, const struct one *one)
{
    const struct peer_msg msg = {.type = PEER_EVICT, .evict = {.route = one->route, .code = SESSION_CODE_KICKED}};
    int rc = link_tell(exchange->role->link, one->route.node, one->route.loop, &msg);
    if (rc != 0) {
        api_exchange_fail_err(exchange, rc, false, "id");
        return;
    }
    log_at(LOG_INFO, "api", "session kicked", LOG_NUM("loop", one->route.loop), LOG_NUM("slot", one->route.slot));
    bytes_append_str(&exchange->body, "{\"kicked\":true}");
    api_exchange_answer(exchange, 200);
}

static void on_found(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    const struct one *one = exchange->state;
    int rc = call->reply.status;
    if (rc == 0) {
        rc = peer_record_each_session(buf_bytes(call->reply.sessions.records), put_found, exchange);
        buf_unref(call->reply.sessions.records);
    }
    if (rc == 0 && !one->found)
        rc = PETREL_E_NOT_FOUND;
    if (rc != 0)
        api_exchange_fail_err(exchange, rc, false, "id");
    else if (one->kick)
        kick(exchange, one);
    else
        api_exchange_answer(exchange, 200);
}

/* Whether a session can be there: of a process that the present view names, on a loop that it has. */
static bool is_possible(const struct api_role *role, const struct route *route)
{
    struct discovery_view *view = role->discovery->ops->view(role->discovery);
    bool found = false;
    for (size_t i = 0; i < view->count; i++) {
        const struct discovery_node *node = &view->nodes[i];
        found = found ||
                (node->number == route->node && node->incarnation == route->incarnation && route->loop < node->loops);
    }
    discovery_view_unref(view);
    return found;
}

static void find(struct api_exchange *exchange, struct bytes id, bool kick_it)
{
    struct one *one = api_exchange_state(exchange, sizeof *one, NULL);
    one->kick = kick_it;
    if (read_route(id, &one->route) != 0 || !is_possible(exchange->role, &one->route)) {
        api_exchange_refuse(exchange, API_ERROR_NOT_FOUND, "id");
        return;
    }
    exchange->call.in.type = PEER_SESSIONS;
    exchange->call.in.sessions = (struct peer_sessions){.slot = one->route.slot, .limit = 1};
    int rc = link_ask_at(exchange->role->link, one->route.node, one->route.loop, &exchange->call, on_found);
    if (rc != 0)
        api_exchange_fail_err(exchange, rc, false, "id");
}

void api_admin_sessions_show(struct api_exchange *exchange, const struct api_request *request)
{
    find(exchange, request->id, false);
}

void api_admin_sessions_kick(struct api_exchange *exchange, const struct api_request *request)
{
    find(exchange, request->id, true);
}
