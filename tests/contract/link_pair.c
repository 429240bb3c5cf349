#include "contract/link_pair.h"

#include "lib/until.h"

#include <stdio.h>

/* ---- TLS ---- */

/* Between link_pair_secure() and link_pair_plain(). */
static struct {
    struct tls_files files;
    struct link_pair_ends ends;
} all;

struct link_pair_ends link_pair_ends_in(const char *cert, const char *key, const char *ca_file)
{
    struct link_pair_ends ends;
    char why[TLS_WHY_SIZE];
    const struct tls_identity identity = {cert, key};
    const struct tls_server_config server = {.identities = &identity,
                                             .identities_count = 1,
                                             .min_version = TLS_VERSION_1_3,
                                             .client_ca_file = ca_file,
                                             .client_cert_required = true,
                                             .nodes = true,
                                             .compact = true};
    const struct tls_client_config client = {.ca_file = ca_file, .cert_file = cert, .key_file = key, .compact = true};
    int rc = tls_server_new(&ends.server, &server, why);
    petrel_assert(rc == 0);
    rc = tls_client_new(&ends.client, &client, why);
    petrel_assert(rc == 0);
    return ends;
}

struct link_pair_ends link_pair_ends_of(struct tls_files *ca, const char *names, const struct tls_files *trusted)
{
    struct tls_pair pair;
    tls_files_issue(ca, "node", names, false, &pair);
    return link_pair_ends_in(pair.cert, pair.key, trusted->ca);
}

static void free_ends(struct link_pair_ends *ends)
{
    tls_server_unref(ends->server);
    tls_client_unref(ends->client);
    *ends = (struct link_pair_ends){0};
}

int link_pair_secure(void **state)
{
    (void)state;
    tls_files_make(&all.files);
    all.ends = link_pair_ends_of(&all.files, "DNS:pair", &all.files);
    return 0;
}

int link_pair_plain(void **state)
{
    (void)state;
    free_ends(&all.ends);
    return tls_files_remove(&all.files), 0;
}

/* ---- roles ---- */

static void fill_page(struct peer_page *page, struct buf *message)
{
    *page = (struct peer_page){.epoch = 3, .upto = 12, .head = 12, .count = 2};
    page->entries[0] = (struct peer_entry){.seq = 11, .message = message, .expires_ms = 1};
    page->entries[1] = (struct peer_entry){.seq = 12, .message = message, .expires_ms = 2};
}

/* What the reply points to is gone when link_answer() has returned. */
static void answer(struct link_call *call)
{
    struct buf *message = buf_copy(bytes_str("hello"));
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = {3, 10}};
    struct peer_page page;
    fill_page(&page, message);
    bound.page = page;
    call->reply.status = 0;
    if (call->in.type == PEER_BIND)
        call->reply.bound = &bound;
    else if (call->in.type == PEER_FETCH)
        call->reply.fetched = &page;
    else if (call->in.type == PEER_SEND)
        call->reply.sent = (struct peer_sent){.position = {3, 13}, .id = call->in.send.id};
    else if (call->in.type == PEER_SESSIONS)
        call->reply.sessions = (struct peer_session_list){buf_copy(bytes_str("\x0a\x03one")), 1, 42};
    else
        call->reply.status = PETREL_E_UNREGISTERED;
    link_answer(call);
    buf_unref(message);
}

static void on_call(void *ctx, struct link_call *call)
{
    struct link_pair_role *role = ctx;
    struct bytes user = {0};
    if (call->in.type == PEER_SESSIONS)
        user = call->in.sessions.user;
    else if (link_role_of(call->in.type) == LINK_MESSAGE)
        user = call->in.bind.target.user;
    snprintf(role->user, sizeof role->user, "%.*s", (int)user.len, user.len > 0 ? (const char *)user.ptr : "");
    role->counts.calls++;
    if (call->in.type == PEER_SEND)
        role->counts.message_bytes += call->in.send.message->len;
    if (!role->hold) {
        answer(call);
        return;
    }
    petrel_assert(role->counts.held < LINK_PAIR_HELD);
    role->held[role->counts.held++] = call;
}

static void on_tell(void *ctx, const struct peer_msg *msg)
{
    struct link_pair_role *role = ctx;
    struct link_pair_counts *counts = &role->counts;
    if (msg->type == PEER_EVICT) {
        counts->evicts++;
    } else if (msg->type == PEER_APPS) {
        counts->apps = msg->apps.version;
    } else if (msg->type == PEER_TOPIC_DELIVER) {
        counts->topics += msg->topic_deliver.record->len;
    } else {
        const struct route *route = &msg->deliver.route;
        counts->misrouted += route->node != role->node->number || route->incarnation != role->node->incarnation ||
                             route->loop != loop_index(role->link->loop);
        counts->disordered += msg->deliver.position.seq <= counts->last_seq;
        counts->last_seq = msg->deliver.position.seq;
        counts->message_bytes += msg->deliver.message != NULL ? msg->deliver.message->len : 0;
        counts->delivers++;
    }
}

static void on_dirty(void *ctx)
{
    struct link_pair_role *role = ctx;
    role->counts.dirty++;
}

/* ---- nodes ---- */

struct link_tcp_config link_pair_config(uint32_t number, uint64_t incarnation, uint32_t roles)
{
    struct link_tcp_config config = link_tcp_defaults();
    config.node = number;
    config.incarnation = incarnation;
    config.name = "pair";
    config.roles = roles;
    config.secret = bytes_str(LINK_PAIR_SECRET);
    config.tls = all.ends.server != NULL ? DISCOVERY_TLS_REQUIRED : DISCOVERY_TLS_OFF;
    config.heartbeat_ms = 100;
    config.silence_ms = 10000;
    config.call_timeout_ms = 30000;
    config.backoff_ms = 10;
    config.backoff_max_ms = 50;
    return config;
}

static void serve(struct link_pair_role *role)
{
    const struct link_server server = {.ctx = role, .on_call = on_call, .on_tell = on_tell, .on_dirty = on_dirty};
    if ((role->node->roles & DISCOVERY_MESSAGE) != 0)
        link_serve(role->link, LINK_MESSAGE, server);
    if ((role->node->roles & DISCOVERY_SESSION) != 0)
        link_serve(role->link, LINK_SESSION, server);
}

static void listen_on(void *ctx)
{
    struct link_pair_role *role = ctx;
    const int rc = link_tcp_listen(role->link, "127.0.0.1", role->node->port, &role->node->port);
    petrel_assert(rc == 0);
}

struct securing {
    struct link *link;
    const struct link_pair_ends *ends;
};

static void secure(void *ctx)
{
    const struct securing *securing = ctx;
    link_tcp_secure(securing->link, securing->ends->server, securing->ends->client);
}

static void show_ends(struct link_pair_node *node, const struct link_pair_ends *ends)
{
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        struct securing securing = {node->at[i].link, ends};
        loops_run_on(&node->loops, i, secure, &securing);
    }
}

void link_pair_change(struct link_pair_node *node, struct link_pair_ends ends)
{
    free_ends(&node->ends);
    node->ends = ends;
    show_ends(node, &node->ends);
}

static void open_node(struct link_pair_node *node, const struct link_tcp_config *config, uint16_t port,
                      const struct link_pair_ends *ends)
{
    memset(node, 0, sizeof *node);
    node->number = config->node;
    node->incarnation = config->incarnation;
    node->roles = config->roles;
    node->port = port;
    node->tls = config->tls;
    snprintf(node->name, sizeof node->name, "%s", config->name);
    loops_open(&node->loops, LINK_PAIR_LOOPS);
    petrel_assert(link_tcp_new(&node->set, config, node->loops.loops, LINK_PAIR_LOOPS) == 0);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        node->at[i].node = node;
        node->at[i].link = link_tcp_at(node->set, i);
        serve(&node->at[i]);
    }
    loops_start(&node->loops);
    if (config->tls != DISCOVERY_TLS_OFF)
        show_ends(node, ends);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        loops_run_on(&node->loops, i, listen_on, &node->at[i]);
}

void link_pair_open(struct link_pair_node *node, const struct link_tcp_config *config, uint16_t port)
{
    open_node(node, config, port, &all.ends);
}

void link_pair_open_with(struct link_pair_node *node, const struct link_tcp_config *config, struct link_pair_ends ends)
{
    open_node(node, config, 0, &ends);
    node->ends = ends;
}

struct link_pair_node link_pair_behind(const struct link_pair_node *node, uint16_t port)
{
    struct link_pair_node far = {
        .number = node->number, .roles = node->roles, .incarnation = node->incarnation, .tls = node->tls, .port = port};
    snprintf(far.name, sizeof far.name, "%s", node->name);
    return far;
}

struct showing {
    struct link *link;
    struct discovery_view *view;
};

static void show(void *ctx)
{
    const struct showing *showing = ctx;
    link_tcp_view(showing->link, showing->view);
}

void link_pair_view(struct link_pair_node *node, struct link_pair_node *const *others, size_t count)
{
    struct discovery_view *view = object_zalloc(sizeof *view + count * sizeof view->nodes[0]);
    atomic_init(&view->refs, 1);
    view->count = count;
    for (size_t i = 0; i < count; i++) {
        view->nodes[i] = (struct discovery_node){.number = others[i]->number,
                                                 .roles = others[i]->roles,
                                                 .incarnation = others[i]->incarnation,
                                                 .peer_tls = others[i]->tls};
        snprintf(view->nodes[i].name, sizeof view->nodes[i].name, "%s", others[i]->name);
        snprintf(view->nodes[i].peer_address, sizeof view->nodes[i].peer_address, "127.0.0.1:%u", others[i]->port);
    }
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        struct showing showing = {node->at[i].link, view};
        loops_run_on(&node->loops, i, show, &showing);
    }
    discovery_view_unref(view);
}

static void close_link(void *ctx)
{
    struct link *link = ctx;
    link->ops->close(link);
}

void link_pair_close_links(struct link_pair_node *node)
{
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        loops_run_on(&node->loops, i, close_link, node->at[i].link);
}

void link_pair_close(struct link_pair_node *node)
{
    link_pair_close_links(node);
    loops_stop(&node->loops);
    loops_free(&node->loops);
    link_tcp_free(&node->set);
    free_ends(&node->ends);
}

/* ---- holding ---- */

static void do_hold(void *ctx)
{
    struct link_pair_role *role = ctx;
    role->hold = true;
}

void link_pair_hold(struct link_pair_node *node, size_t loop)
{
    loops_run_on(&node->loops, loop, do_hold, &node->at[loop]);
}

static void do_release(void *ctx)
{
    struct link_pair_role *role = ctx;
    role->hold = false;
    while (role->counts.held > 0)
        answer(role->held[--role->counts.held]);
}

void link_pair_release(struct link_pair_node *node, size_t loop)
{
    loops_run_on(&node->loops, loop, do_release, &node->at[loop]);
}

/* ---- looking ---- */

struct looking {
    struct link_pair_role *role;
    struct link_pair_counts counts;
};

static void look(void *ctx)
{
    struct looking *looking = ctx;
    struct link_tcp_stats stats;
    link_tcp_stats(looking->role->link, &stats);
    looking->counts = looking->role->counts;
    looking->counts.peers = stats.peers;
    looking->counts.peers_up = stats.peers_up;
    looking->counts.called_by = stats.called_by;
    looking->counts.known = stats.known;
    looking->counts.under_way = stats.calls;
    looking->counts.dropped = stats.dropped;
    looking->counts.refused = stats.refused;
    looking->counts.secure = stats.secure;
    looking->counts.plain = stats.plain;
}

struct link_pair_counts link_pair_look(struct link_pair_node *node, size_t loop)
{
    struct looking looking = {.role = &node->at[loop]};
    loops_run_on(&node->loops, loop, look, &looking);
    return looking.counts;
}

struct awaited {
    struct link_pair_node *node;
    size_t loop;
    size_t field;
    uint64_t value;
    bool exactly;
};

static bool holds(void *ctx)
{
    const struct awaited *awaited = ctx;
    const struct link_pair_counts counts = link_pair_look(awaited->node, awaited->loop);
    uint64_t now;
    memcpy(&now, (const char *)&counts + awaited->field, sizeof now);
    return awaited->exactly ? now == awaited->value : now >= awaited->value;
}

bool link_pair_wait(struct link_pair_node *node, size_t loop, size_t field, uint64_t value, bool exactly)
{
    struct awaited awaited = {node, loop, field, value, exactly};
    return until(holds, &awaited, LINK_PAIR_WAIT_MS);
}

uint64_t link_pair_calls(struct link_pair_node *node)
{
    uint64_t calls = 0;
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        calls += link_pair_look(node, i).calls;
    return calls;
}
