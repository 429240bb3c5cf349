#include "sim/sim_cluster.h"

#include "message/message_role.h"
#include "sim/loop/sim_loop.h"
#include "wire/peer_record.h"
#include "wire/token.h"

#include <stdio.h>
#include <stdlib.h>

#define SECRET "a secret of thirty-two bytes, yes"
#define GOAWAY_MS 2000
#define TURNS_MAX 100000
#define VIEW_LATE_MAX_US (3 * SIM_S)

struct node {
    struct sim_cluster *cluster;
    uint32_t number;
    bool serves;
    bool gone;         /* the role has closed */
    bool empties;      /* no session is let in */
    struct loop *loop; /* NULL: down */
    struct link *link;
    struct session_role *session;
    struct message_role *message;
    struct sim_event act; /* a drained node: its close, then its end */
};

struct sim_cluster {
    struct sim *sim;
    struct sim_cluster_config config;
    struct sim_links *links;
    struct sim_store *store;
    struct sim_sender *sender;
    struct sim_topics *topics;
    struct sim_publisher *publisher;
    struct sim_book *book;
    struct buf *apps;
    struct sim_event view; /* the next */
    struct link operator;  /* whose calls are answered at once */
    uint64_t incarnations;
    uint32_t nodes_count;
    struct node nodes[SIM_NODES_MAX];
};

static struct bytes secret(void)
{
    return bytes_of(SECRET, 32);
}

char *sim_cluster_token(const struct sim *sim, uint32_t user, uint32_t device)
{
    struct token_key *key = token_key_new((struct bytes){NULL, 0}, secret());
    struct token_claims claims = {.app = "app"};
    struct bytebuf text = {0};
    sim_store_user(user, claims.user);
    sim_store_device(device, claims.device);
    claims.issued_s = clock_wall_ms(&sim->clock.clock) / 1000;
    claims.expires_s = claims.issued_s + 1000000;
    int rc = token_mint(key, &claims, &text);
    petrel_assert(rc == 0);
    char *out = object_strndup((const char *)text.ptr, text.len);
    bytes_reset(&text);
    token_key_free(&key);
    return out;
}

static struct buf *pack_apps(void)
{
    struct peer_app app = {.name = sim_store_app(), .keys_count = 1};
    app.keys[0].secret = secret();
    return peer_record_pack_apps(&app, 1);
}

/* ---- who there is ---- */

static uint16_t port_of(uint32_t node)
{
    return (uint16_t)(SIM_FIRST_PORT + node - 1);
}

static void describe(const struct node *node, struct discovery_node *out)
{
    *out = (struct discovery_node){
        .number = node->number,
        .roles = DISCOVERY_SESSION,
        .state = node->empties || node->act.place != 0 ? DISCOVERY_DRAINING : DISCOVERY_UP,
        .max_sessions = 1000,
        .connects_per_second = node->cluster->config.session.connects_per_second,
        .loops = 1,
    };
    (void)snprintf(out->session_address, sizeof out->session_address, "sim:%u", (unsigned)port_of(node->number));
}

static void on_view(struct sim_event *event)
{
    struct sim_cluster *cluster = container_of(event, struct sim_cluster, view);
    struct discovery_view *view = object_zalloc(sizeof *view + SIM_NODES_MAX * sizeof view->nodes[0]);
    atomic_init(&view->refs, 1);
    for (uint32_t i = 0; i < cluster->nodes_count; i++) {
        if (cluster->nodes[i].session != NULL)
            describe(&cluster->nodes[i], &view->nodes[view->count++]);
    }
    for (uint32_t i = 0; i < cluster->nodes_count; i++) {
        if (cluster->nodes[i].session != NULL)
            session_role_view(cluster->nodes[i].session, view);
    }
    discovery_view_unref(view);
}

static void change_view(struct sim_cluster *cluster)
{
    if (cluster->view.place == 0)
        sim_at(cluster->sim, &cluster->view, sim_between(cluster->sim, 0, VIEW_LATE_MAX_US), on_view);
}

static void on_draining(void *ctx, bool draining)
{
    struct node *node = ctx;
    node->empties = draining;
    change_view(node->cluster);
}

/* ---- starting ---- */

static void start_session(struct node *node, uint64_t incarnation)
{
    struct session_config config = node->cluster->config.session;
    uint16_t port;
    config.port = port_of(node->number);
    config.on_draining = on_draining;
    config.ctx = node;
    config.node = node->number;
    config.incarnation = incarnation;
    int rc = session_role_new(&node->session, node->loop, node->link, &config, NULL);
    petrel_assert(rc == 0);
    struct peer_msg apps = {.type = PEER_APPS};
    apps.apps = (struct peer_apps){.version = 1, .records = node->cluster->apps};
    const struct link_server *server = &node->link->servers[LINK_SESSION];
    server->on_tell(server->ctx, &apps);
    rc = session_role_listen(node->session, &port);
    petrel_assert(rc == 0);
}

static void start(struct node *node)
{
    struct sim_cluster *cluster = node->cluster;
    struct loop_config config = {.clock = &cluster->sim->clock.clock};
    int rc = loop_new(&node->loop, &config);
    petrel_assert(rc == 0);
    uint64_t incarnation = clock_wall_ms(&cluster->sim->clock.clock) + ++cluster->incarnations;
    node->gone = false;
    node->empties = false;
    change_view(cluster);
    node->link = sim_links_up(cluster->links, node->number, incarnation, node->loop, node->serves);
    if (node->number == SIM_SENDER) {
        node->gone = true;
    } else if (node->serves) {
        const struct message_config message = {.topics = sim_topics_port(cluster->topics)};
        rc = message_role_new(&node->message, node->loop, node->link, sim_store_port(cluster->store), &message, NULL);
        petrel_assert(rc == 0);
    } else {
        start_session(node, incarnation);
    }
}

/* ---- ending ---- */

static void on_role_closed(void *ctx)
{
    struct node *node = ctx;
    node->gone = true;
}

static void close_role(struct node *node)
{
    if (node->session != NULL)
        session_role_close(&node->session, on_role_closed, node);
    if (node->message != NULL)
        message_role_close(&node->message, on_role_closed, node);
}

/* What the process held is tidied up in a world of its own, in no time. */
static void end(struct node *node, bool kept)
{
    struct sim_cluster *cluster = node->cluster;
    sim_cancel(cluster->sim, &node->act);
    change_view(cluster);
    sim_loop_ghost(node->loop);
    sim_links_down(cluster->links, node->number);
    sim_store_hang_up(cluster->store, node->loop, kept);
    sim_topics_hang_up(cluster->topics, node->loop, kept);
    close_role(node);
    for (int turns = 0; !node->gone || !sim_loop_idle(node->loop); turns++) {
        petrel_assert(turns < TURNS_MAX && "a role closes when its calls have come back");
        sim_loop_haunt(node->loop);
    }
    node->link = NULL;
    loop_free(&node->loop);
}

static void on_drained(struct sim_event *event)
{
    struct node *node = container_of(event, struct node, act);
    if (node->gone)
        end(node, true);
    else
        sim_at(node->cluster->sim, event, 10 * SIM_MS, on_drained);
}

static void on_close(struct sim_event *event)
{
    struct node *node = container_of(event, struct node, act);
    close_role(node);
    sim_at(node->cluster->sim, event, 10 * SIM_MS, on_drained);
}

void sim_cluster_kill(struct sim_cluster *cluster, uint32_t number)
{
    struct node *node = &cluster->nodes[number];
    if (node->loop == NULL)
        return;
    sim_trace(cluster->sim, "node %u: killed", number);
    end(node, !cluster->config.strict && sim_chance(cluster->sim, 2));
}

void sim_cluster_start(struct sim_cluster *cluster, uint32_t number)
{
    struct node *node = &cluster->nodes[number];
    if (node->loop != NULL)
        return;
    sim_trace(cluster->sim, "node %u: starts", number);
    start(node);
}

void sim_cluster_drain(struct sim_cluster *cluster, uint32_t number)
{
    struct node *node = &cluster->nodes[number];
    if (node->loop == NULL || node->act.place != 0 || node->gone)
        return;
    sim_trace(cluster->sim, "node %u: drains", number);
    if (node->session != NULL)
        session_role_drain(node->session, SESSION_CODE_SHUTDOWN, GOAWAY_MS, GOAWAY_MS);
    sim_at(cluster->sim, &node->act, (GOAWAY_MS + 500) * SIM_MS, on_close);
}

/* ---- as an operator ---- */

static void answer_operator(struct link *link, struct link_call *call)
{
    (void)link;
    (void)call;
}

static const struct link_ops operator_ops = {.name = "operator", .answer = answer_operator};

static void ask_drain(struct sim_cluster *cluster, uint32_t number, struct peer_drain asked)
{
    struct node *node = &cluster->nodes[number];
    if (node->session == NULL)
        return;
    struct link_call call = {.in = {.type = PEER_DRAIN, .drain = asked}, .to = &cluster->operator};
    const struct link_server *server = &node->link->servers[LINK_SESSION];
    server->on_call(server->ctx, &call);
    const struct peer_drained *far = &call.reply.drained;
    sim_trace(cluster->sim, "node %u: drain %d is %d; %u sessions, %u to tell, %u told, %llu left", number,
              (int)asked.verb, call.reply.status, far->sessions, far->to_tell, far->told,
              (unsigned long long)far->left);
}

void sim_cluster_empty(struct sim_cluster *cluster, uint32_t node, uint32_t per_second)
{
    ask_drain(cluster, node, (struct peer_drain){.verb = PEER_DRAIN_BEGIN, .per_second = per_second});
}

void sim_cluster_fill(struct sim_cluster *cluster, uint32_t node)
{
    ask_drain(cluster, node, (struct peer_drain){.verb = PEER_DRAIN_END});
}

void sim_cluster_move(struct sim_cluster *cluster, uint32_t node, uint32_t count, uint32_t per_second)
{
    ask_drain(cluster, node, (struct peer_drain){.verb = PEER_DRAIN_MOVE, .count = count, .per_second = per_second});
}

void sim_cluster_pause(struct sim_cluster *cluster, uint32_t number, uint64_t us, bool noticed)
{
    struct node *node = &cluster->nodes[number];
    if (node->loop == NULL)
        return;
    sim_trace(cluster->sim, "node %u: stands still for %llu ms%s", number, (unsigned long long)(us / SIM_MS),
              noticed ? ", and will notice" : "");
    sim_loop_pause(node->loop, us, noticed);
}

void sim_cluster_calm(struct sim_cluster *cluster)
{
    for (uint32_t a = 0; a < cluster->nodes_count; a++) {
        if (cluster->nodes[a].act.place == 0)
            sim_cluster_start(cluster, a);
        if (cluster->nodes[a].empties)
            sim_cluster_fill(cluster, a);
        for (uint32_t b = a + 1; b < cluster->nodes_count; b++)
            sim_links_heal(cluster->links, a, b);
    }
}

/* ---- all of it ---- */

/* Nobody is there to tell the device's session what became of it; so nothing is promised of its subscriptions until it is back. */
static void on_late(void *ctx, struct peer_msg *msg)
{
    struct sim_cluster *cluster = ctx;
    if (msg->type == PEER_SUBSCRIBE || msg->type == PEER_UNSUBSCRIBE)
        cluster->book->news.unsure[sim_topics_device(&msg->subscribe.target)] = true;
    for (uint32_t i = 0; i < SIM_DEVICES_MAX && msg->type == PEER_RESUBSCRIBED; i++)
        cluster->book->news.unsure[i] = true; /* a route does not say whose it is */
}

struct sim_cluster *sim_cluster_new(struct sim *sim, struct sim_book *book, const struct sim_cluster_config *config,
                                    uint32_t users)
{
    struct sim_cluster *cluster = object_zalloc(sizeof *cluster);
    cluster->sim = sim;
    cluster->config = *config;
    cluster->links = sim_links_new(sim, &config->link);
    cluster->store = sim_store_new(sim, book, &config->store, users);
    cluster->topics = sim_topics_new(sim, book, &config->topics);
    cluster->book = book;
    sim_links_watch(cluster->links, on_late, cluster);
    cluster->apps = pack_apps();
    cluster->operator.ops = & operator_ops;
    cluster->nodes_count = 1 + config->sessions + config->messages;
    petrel_assert(cluster->nodes_count <= SIM_NODES_MAX);
    for (uint32_t i = 0; i < cluster->nodes_count; i++) {
        cluster->nodes[i] = (struct node){.cluster = cluster, .number = i, .serves = i > config->sessions};
        start(&cluster->nodes[i]);
    }
    cluster->sender = sim_sender_new(sim, book, cluster->nodes[SIM_SENDER].link);
    cluster->publisher = sim_publisher_new(sim, book, cluster->nodes[SIM_SENDER].link);
    return cluster;
}

void sim_cluster_free(struct sim_cluster **inside)
{
    struct sim_cluster *cluster = *inside;
    sim_sender_stop(cluster->sender);
    sim_publisher_stop(cluster->publisher);
    for (uint32_t i = 0; i < cluster->nodes_count; i++) {
        if (cluster->nodes[i].loop != NULL)
            end(&cluster->nodes[i], false);
    }
    sim_cancel(cluster->sim, &cluster->view);
    sim_sender_free(&cluster->sender);
    sim_publisher_free(&cluster->publisher);
    sim_links_free(&cluster->links);
    sim_store_free(&cluster->store);
    sim_topics_free(&cluster->topics);
    buf_unref(cluster->apps);
    free(cluster);
    *inside = NULL;
}

struct sim_links *sim_cluster_links(struct sim_cluster *cluster)
{
    return cluster->links;
}

struct sim_store *sim_cluster_store(struct sim_cluster *cluster)
{
    return cluster->store;
}

struct sim_sender *sim_cluster_sender(struct sim_cluster *cluster)
{
    return cluster->sender;
}

struct sim_topics *sim_cluster_topics(struct sim_cluster *cluster)
{
    return cluster->topics;
}

struct sim_publisher *sim_cluster_publisher(struct sim_cluster *cluster)
{
    return cluster->publisher;
}
