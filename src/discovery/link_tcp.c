#include "discovery/link_tcp.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "discovery/link_tcp_directory.h"
#include "discovery/link_tcp_impl.h"
#include "discovery/link_tcp_peer.h"
#include "wire/peer_check.h"

#include <stdlib.h>

static struct link_tcp_loop *loop_of(struct link *link)
{
    struct link_tcp_loop *home = container_of(link, struct link_tcp_loop, link);
    object_check(home, LINK_TCP_MAGIC);
    return home;
}

static bool is_served(const struct link_tcp_loop *home, enum link_role role)
{
    return home->link.servers[role].on_call != NULL;
}

/* ---- what the inner link hands us: this process's roles, and what leads out of it ---- */

static void serve(struct link_tcp_loop *home, enum link_role role, struct link_call *call)
{
    const struct link_server *server = &home->link.servers[role];
    if (server->on_call != NULL) {
        server->on_call(server->ctx, call);
        return;
    }
    call->reply.status = PETREL_E_UNAVAILABLE;
    link_answer(call);
}

static void on_message_call(void *ctx, struct link_call *call)
{
    serve(ctx, LINK_MESSAGE, call);
}

static void on_session_call(void *ctx, struct link_call *call)
{
    serve(ctx, LINK_SESSION, call);
}

static void on_session_tell(void *ctx, const struct peer_msg *msg)
{
    struct link_tcp_loop *home = ctx;
    const struct link_server *server = &home->link.servers[LINK_SESSION];
    if (server->on_tell != NULL)
        server->on_tell(server->ctx, msg);
}

static void on_session_dirty(void *ctx)
{
    struct link_tcp_loop *home = ctx;
    const struct link_server *server = &home->link.servers[LINK_SESSION];
    if (server->on_dirty != NULL)
        server->on_dirty(server->ctx);
}

static void on_far_call(void *ctx, struct link_call *call)
{
    struct link_tcp_loop *home = ctx;
    struct link_tcp_conn *conn = NULL;
    if (link_role_of(call->in.type) == LINK_SESSION) {
        const struct link_tcp_entry *entry = link_tcp_directory_find(home, call->far_node, call->far_loop);
        conn = entry != NULL ? entry->conn : NULL;
    } else {
        conn = link_tcp_peer_find(home, call->far_node);
    }
    if (conn != NULL) {
        link_tcp_calls_ask(conn, call);
        return;
    }
    call->reply.status = PETREL_E_UNAVAILABLE;
    link_answer(call);
}

/* Kept for those who come later. Every loop is told by every loop that publishes, so most of it is known. */
static void publish_apps(struct link_tcp_loop *home, const struct peer_msg *msg)
{
    struct list *node;
    struct list *next;
    if (home->apps != NULL && msg->apps.version <= home->apps_version)
        return;
    buf_unref(home->apps);
    home->apps = buf_ref(msg->apps.records);
    home->apps_version = msg->apps.version;
    LIST_FOREACH(node, next, &home->conns)
    {
        struct link_tcp_conn *conn = container_of(node, struct link_tcp_conn, node);
        if (conn->registered && link_tcp_conn_tell(conn, msg) != 0)
            log_at(LOG_ERROR, "link", "the list of apps is too long to be told", LOG_NUM("bytes", home->apps->len));
    }
}

/* Whose sessions the message is for: the loop that the route names, of that start of the process. NULL: it is not connected. */
static const struct link_tcp_entry *find_told(const struct link_tcp_loop *home, const struct route *route)
{
    const struct link_tcp_entry *entry = link_tcp_directory_find(home, route->node, route->loop);
    return entry != NULL && entry->incarnation == route->incarnation ? entry : NULL;
}

/* To those loops of the node whose connections are this loop's. */
static int tell_connected(struct link_tcp_loop *home, const struct peer_msg *msg)
{
    struct list *node;
    struct list *next;
    int first_error = 0;
    LIST_FOREACH(node, next, &home->conns)
    {
        struct link_tcp_conn *conn = container_of(node, struct link_tcp_conn, node);
        if (!conn->registered || conn->other != msg->topic_deliver.node)
            continue;
        const int err = link_tcp_conn_tell(conn, msg);
        if (first_error == 0)
            first_error = err;
    }
    return first_error;
}

static void on_far_tell(void *ctx, const struct peer_msg *msg)
{
    struct link_tcp_loop *home = ctx;
    if (msg->type == PEER_APPS) {
        publish_apps(home, msg);
        return;
    }
    if (msg->type == PEER_TOPIC_DELIVER) {
        (void)tell_connected(home, msg);
        return;
    }
    const struct link_tcp_entry *entry = find_told(home, peer_route_of(msg));
    /* It has gone meanwhile, which the next hello makes good. */
    if (entry != NULL && entry->conn != NULL)
        (void)link_tcp_conn_tell(entry->conn, msg);
}

/* Some were dropped on the way from another loop to this one, for whom is not known. */
static void on_far_dirty(void *ctx)
{
    struct link_tcp_loop *home = ctx;
    struct list *node;
    struct list *next;
    LIST_FOREACH(node, next, &home->conns)
    {
        struct link_tcp_conn *conn = container_of(node, struct link_tcp_conn, node);
        if (conn->registered)
            link_tcp_conn_mark_dirty(conn);
    }
}

/* ---- the port ---- */

/* Whose node serves it: the user's, and of several the first one's. */
static uint32_t bucket_of(struct peer_msg *in)
{
    struct bytes *texts[PEER_CODEC_TEXTS_MAX];
    if (in->type == PEER_CHECK) {
        struct bytes rest = in->check.entries;
        struct peer_check first;
        const int rc = peer_check_take(&in->check, &rest, &first);
        petrel_assert(rc == 0);
        return hash_bucket(first.target.app, first.target.user);
    }
    const size_t count = peer_codec_texts(in, texts);
    petrel_assert(count >= 2);
    return hash_bucket(*texts[0], *texts[1]);
}

static int tcp_call(struct link *link, struct link_call *call)
{
    struct link_tcp_loop *home = loop_of(link);
    petrel_assert(link_role_of(call->in.type) == LINK_MESSAGE);
    if (home->closed)
        return PETREL_E_CLOSING;
    if (is_served(home, LINK_MESSAGE))
        return link_ask(home->inner, call, call->done);
    struct link_tcp_conn *conn = link_tcp_peer_choose(home, bucket_of(&call->in));
    if (conn != NULL && !link_tcp_calls_room(conn))
        return PETREL_E_BUSY;
    call->far_node = conn != NULL ? conn->other : home->set->config.node; /* nobody, which is UNAVAILABLE */
    link_local_pass(home->inner, home->index, call);
    return 0;
}

static int tcp_call_at(struct link *link, uint32_t node, uint16_t loop, struct link_call *call)
{
    struct link_tcp_loop *home = loop_of(link);
    if (home->closed)
        return PETREL_E_CLOSING;
    const struct link_tcp_entry *entry = link_tcp_directory_find(home, node, loop);
    if (node == home->set->config.node || entry == NULL)
        return link_ask_at(home->inner, node, loop, call, call->done);
    call->far_node = node;
    call->far_loop = loop;
    link_local_pass(home->inner, entry->owner, call);
    return 0;
}

static int tcp_tell(struct link *link, uint32_t node, uint16_t loop, const struct peer_msg *msg)
{
    struct link_tcp_loop *home = loop_of(link);
    petrel_assert(peer_route_of(msg)->node == node && peer_route_of(msg)->loop == loop);
    if (home->closed)
        return PETREL_E_CLOSING;
    if (node == home->set->config.node)
        return link_tell(home->inner, node, loop, msg);
    const struct link_tcp_entry *entry = find_told(home, peer_route_of(msg));
    if (entry == NULL)
        return PETREL_E_UNAVAILABLE;
    if (entry->conn != NULL)
        return link_tcp_conn_tell(entry->conn, msg);
    return link_local_carry(home->inner, entry->owner, msg);
}

/* Whether a loop of that node has its connection with this loop of ours. */
static bool holds_node(const struct link_tcp_loop *home, uint32_t node, size_t owner)
{
    for (struct map_node *at = map_next(&home->directory, NULL); at != NULL; at = map_next(&home->directory, at)) {
        const struct link_tcp_entry *entry = container_of(at, struct link_tcp_entry, node);
        if (entry->key >> 16 == node && entry->owner == owner)
            return true;
    }
    return false;
}

/* What leaves this loop for another goes there once, however many loops of the node are connected to it. */
static int tcp_tell_node(struct link *link, uint32_t node, const struct peer_msg *msg)
{
    struct link_tcp_loop *home = loop_of(link);
    petrel_assert(msg->type == PEER_TOPIC_DELIVER && msg->topic_deliver.node == node);
    if (home->closed)
        return PETREL_E_CLOSING;
    if (node == home->set->config.node)
        return link_tell_node(home->inner, node, msg);
    int first_error = tell_connected(home, msg);
    for (size_t i = 0; i < home->set->count; i++) {
        if (i == home->index || !holds_node(home, node, i))
            continue;
        const int err = link_local_carry(home->inner, i, msg);
        if (first_error == 0)
            first_error = err;
    }
    return first_error;
}

static int tcp_tell_sessions(struct link *link, const struct peer_msg *msg)
{
    struct link_tcp_loop *home = loop_of(link);
    return home->closed ? PETREL_E_CLOSING : link_tell_sessions(home->inner, msg);
}

static void tcp_lost(struct link *link)
{
    struct link_tcp_loop *home = loop_of(link);
    if (!home->closed)
        link_lost(home->inner);
}

static bool tcp_knows(struct link *link, const struct route *route)
{
    const struct link_tcp_loop *home = loop_of(link);
    const struct link_tcp_entry *entry = link_tcp_directory_find(home, route->node, route->loop);
    return (entry != NULL && entry->incarnation == route->incarnation) || link_knows(home->inner, route);
}

static bool tcp_outlived(struct link *link, const struct route *route)
{
    const struct link_tcp_loop *home = loop_of(link);
    const struct link_tcp_entry *entry = link_tcp_directory_find(home, route->node, route->loop);
    return (entry != NULL && entry->incarnation > route->incarnation) || link_outlived(home->inner, route);
}

static void tcp_close(struct link *link)
{
    struct link_tcp_loop *home = loop_of(link);
    struct list *node;
    struct list *next;
    if (home->closed)
        return;
    home->closed = true;
    home->inner->ops->close(home->inner);
    listener_close(&home->listener);
    LIST_FOREACH(node, next, &home->conns)
    link_tcp_conn_leave(container_of(node, struct link_tcp_conn, node));
    link_tcp_peer_close(home);
}

static const struct link_ops link_tcp_ops = {
    .name = "tcp",
    .call = tcp_call,
    .call_at = tcp_call_at,
    .tell = tcp_tell,
    .tell_node = tcp_tell_node,
    .tell_sessions = tcp_tell_sessions,
    .lost = tcp_lost,
    .answer = link_tcp_calls_answer,
    .knows = tcp_knows,
    .outlived = tcp_outlived,
    .close = tcp_close,
};

/* ---- life ---- */

struct link_tcp_config link_tcp_defaults(void)
{
    return (struct link_tcp_config){.call_timeout_ms = 12000,
                                    .heartbeat_ms = 1000,
                                    .silence_ms = 5000,
                                    .backoff_ms = 100,
                                    .backoff_max_ms = 5000,
                                    .window = 1024,
                                    .outbox_bytes = 8U << 20,
                                    .max_connections = 4096,
                                    .max_strangers = 256};
}

static bool is_valid(const struct link_tcp_config *config)
{
    return config->secret.len >= LINK_TCP_SECRET_MIN && config->name != NULL &&
           strlen(config->name) <= PEER_CODEC_NAME_MAX && config->incarnation > 0 && config->call_timeout_ms > 0 &&
           config->heartbeat_ms > 0 && config->silence_ms > config->heartbeat_ms && config->backoff_ms > 0 &&
           config->backoff_max_ms >= config->backoff_ms && config->window > 0 &&
           config->window <= PEER_CODEC_WINDOW_MAX && config->outbox_bytes > 0 && config->max_connections > 0 &&
           config->max_strangers > 0 && (config->tls_name == NULL || strlen(config->tls_name) <= PEER_CODEC_NAME_MAX);
}

static struct link_tcp_loop *loop_link_new(struct link_tcp *set, struct loop *loop, size_t index)
{
    struct link_tcp_loop *home = object_zalloc(sizeof *home);
    home->link.ops = &link_tcp_ops;
    home->link.loop = loop;
    home->magic = LINK_TCP_MAGIC;
    home->set = set;
    home->inner = link_local_at(set->local, index);
    home->loop = loop;
    home->index = index;
    home->codec = peer_codec_new();
    list_init(&home->conns);
    list_init(&home->peers);
    link_tcp_directory_init(home);
    link_serve(home->inner, LINK_MESSAGE, (struct link_server){.ctx = home, .on_call = on_message_call});
    link_serve(home->inner, LINK_SESSION,
               (struct link_server){
                   .ctx = home, .on_call = on_session_call, .on_tell = on_session_tell, .on_dirty = on_session_dirty});
    link_serve(
        home->inner, LINK_FAR,
        (struct link_server){.ctx = home, .on_call = on_far_call, .on_tell = on_far_tell, .on_dirty = on_far_dirty});
    return home;
}

int link_tcp_new(struct link_tcp **out, const struct link_tcp_config *config, struct loop *const *loops, size_t count)
{
    if (!is_valid(config))
        return PETREL_E_INVALID;
    struct link_tcp *set = object_zalloc(sizeof *set + count * sizeof set->loops[0]);
    set->config = *config;
    memcpy(set->name, config->name, strlen(config->name));
    bytes_append(&set->secret, config->secret.ptr, config->secret.len);
    set->config.name = set->name;
    if (config->tls_name != NULL) {
        memcpy(set->tls_name, config->tls_name, strlen(config->tls_name));
        set->config.tls_name = set->tls_name;
    }
    set->config.secret = bytes_view(&set->secret);
    set->local = link_local_new(config->node, config->incarnation, loops, count);
    set->count = count;
    for (size_t i = 0; i < count; i++)
        set->loops[i] = loop_link_new(set, loops[i], i);
    *out = set;
    return 0;
}

struct link *link_tcp_at(struct link_tcp *set, size_t index)
{
    petrel_assert(index < set->count);
    return &set->loops[index]->link;
}

static void on_accept(void *ctx, struct stream *stream)
{
    link_tcp_conn_take(ctx, stream);
}

void link_tcp_secure(struct link *link, struct tls_server *server, struct tls_client *client)
{
    struct link_tcp_loop *home = loop_of(link);
    petrel_assert(home->set->config.tls != DISCOVERY_TLS_OFF);
    tls_server_unref(home->tls_server);
    tls_client_unref(home->tls_client);
    home->tls_server = tls_server_ref(server);
    home->tls_client = tls_client_ref(client);
}

/* Nothing is said in the clear because somebody forgot a call. */
static void check_secured(const struct link_tcp_loop *home)
{
    petrel_assert(home->set->config.tls == DISCOVERY_TLS_OFF || home->tls_server != NULL);
}

int link_tcp_listen(struct link *link, const char *host, uint16_t port, uint16_t *actual)
{
    struct link_tcp_loop *home = loop_of(link);
    petrel_assert(home->listener == NULL && !home->closed);
    check_secured(home);
    const struct listener_config config = {.host = host, .port = port};
    const int rc = listener_open(&home->listener, home->loop, &config, on_accept, home);
    if (rc == 0)
        *actual = listener_port(home->listener);
    return rc;
}

void link_tcp_view(void *link, struct discovery_view *view)
{
    struct link_tcp_loop *home = loop_of(link);
    struct discovery_view *last = home->view;
    check_secured(home);
    home->view = discovery_view_ref(view);
    if (last != NULL)
        discovery_view_unref(last);
    link_tcp_peer_view(home, view);
}

bool link_tcp_reaches(struct link *link, uint32_t node, uint64_t incarnation)
{
    const struct link_tcp_loop *home = loop_of(link);
    const struct link_tcp_conn *conn = link_tcp_peer_find(loop_of(link), node);
    return (conn != NULL && conn->incarnation == incarnation) || link_tcp_directory_has(home, node, incarnation);
}

void link_tcp_stats(struct link *link, struct link_tcp_stats *out)
{
    const struct link_tcp_loop *home = loop_of(link);
    struct list *node;
    struct list *next;
    *out = (struct link_tcp_stats){.peers = link_tcp_peer_count(home, false),
                                   .peers_up = link_tcp_peer_count(home, true),
                                   .known = (uint32_t)home->directory.count,
                                   .dropped = home->dropped,
                                   .refused = home->refused};
    for (struct map_node *at = map_next(&home->directory, NULL); at != NULL; at = map_next(&home->directory, at))
        *(container_of(at, struct link_tcp_entry, node)->secure ? &out->secure : &out->plain) += 1;
    LIST_FOREACH(node, next, &home->conns)
    {
        const struct link_tcp_conn *conn = container_of(node, struct link_tcp_conn, node);
        out->called_by += conn->registered;
        if (conn->peer != NULL && conn->state == LINK_TCP_UP)
            *(stream_is_secure(conn->stream) ? &out->secure : &out->plain) += 1;
        out->calls += (uint32_t)conn->calls.count - conn->abandoned;
    }
}

static void loop_link_free(struct link_tcp_loop *home)
{
    petrel_assert(list_empty(&home->conns) && list_empty(&home->peers) && home->served == 0);
    link_tcp_directory_reset(home);
    peer_codec_free(&home->codec);
    bytes_reset(&home->out);
    buf_unref(home->apps);
    tls_server_unref(home->tls_server);
    tls_client_unref(home->tls_client);
    if (home->view != NULL)
        discovery_view_unref(home->view);
    home->magic = 0;
    free(home);
}

void link_tcp_free(struct link_tcp **set)
{
    struct link_tcp *gone = *set;
    if (gone == NULL)
        return;
    *set = NULL;
    link_local_free(&gone->local);
    for (size_t i = 0; i < gone->count; i++)
        loop_link_free(gone->loops[i]);
    bytes_reset(&gone->secret);
    free(gone);
}
