#include "discovery/link_tcp_peer.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define PEERS_MAX 1024

struct link_tcp_peer {
    struct list node;
    struct link_tcp_loop *home;
    uint32_t number;
    uint64_t incarnation; /* as discovery has it */
    bool serves;          /* has the message role: calls go to it, Delivers come from it */
    bool draining;
    bool listed; /* in the last view */
    bool was_up; /* since the sessions last compared their positions for its sake */
    bool told;   /* that it can't be reached: once, until it can */
    char name[DISCOVERY_NAME_MAX + 1];
    char host[DISCOVERY_ADDRESS_MAX + 1];
    uint16_t port;
    enum discovery_tls tls;
    struct link_tcp_conn *conn;
    struct timer retry;
    uint32_t backoff_ms;
};

/* What a peer told may have been lost: the sessions of this loop look for themselves. */
static void compare_positions(struct link_tcp_loop *home)
{
    const struct link_server *server = &home->link.servers[LINK_SESSION];
    if (!home->closed && server->on_dirty != NULL)
        server->on_dirty(server->ctx);
}

static void on_retry(struct timer *timer);

static void wait_and_call(struct link_tcp_peer *peer)
{
    const struct link_tcp_config *config = &peer->home->set->config;
    const uint32_t wait_ms = peer->backoff_ms + (uint32_t)rng_below(loop_rng(peer->home->loop), peer->backoff_ms + 1);
    peer->backoff_ms = peer->backoff_ms > config->backoff_max_ms / 2 ? config->backoff_max_ms : peer->backoff_ms * 2;
    timer_start(peer->home->loop, &peer->retry, wait_ms, on_retry);
}

static void call(struct link_tcp_peer *peer)
{
    petrel_assert(peer->conn == NULL);
    timer_stop(&peer->retry);
    if (link_tcp_conn_call(peer->home, peer) != 0)
        wait_and_call(peer);
}

static void on_retry(struct timer *timer)
{
    call(container_of(timer, struct link_tcp_peer, retry));
}

static void forget(struct link_tcp_peer *peer)
{
    struct link_tcp_loop *home = peer->home;
    const bool lost = peer->was_up && peer->serves && !home->closed;
    timer_stop(&peer->retry);
    list_remove(&peer->node);
    home->peers_count--;
    if (lost)
        log_at(LOG_WARN, "link", "a message node is lost", LOG_NUM("node", peer->number));
    free(peer);
    if (lost)
        compare_positions(home);
}

/* "127.0.0.1:7470" or "[::1]:7470". Whether it is such a one. */
static bool parse_address(const char *text, char host[DISCOVERY_ADDRESS_MAX + 1], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    if (colon == NULL || colon == text || strlen(text) > DISCOVERY_ADDRESS_MAX)
        return false;
    const unsigned long number = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || number == 0 || number > UINT16_MAX)
        return false;
    const bool bracketed = text[0] == '[' && colon[-1] == ']';
    const size_t len = (size_t)(colon - text) - (bracketed ? 2 : 0);
    memcpy(host, text + (bracketed ? 1 : 0), len);
    host[len] = '\0';
    *port = (uint16_t)number;
    return true;
}

static struct link_tcp_peer *find(const struct link_tcp_loop *home, uint32_t number)
{
    struct list *node;
    struct list *next;
    LIST_FOREACH(node, next, &home->peers)
    {
        struct link_tcp_peer *peer = container_of(node, struct link_tcp_peer, node);
        if (peer->number == number)
            return peer;
    }
    return NULL;
}

static struct link_tcp_peer *find_or_add(struct link_tcp_loop *home, uint32_t number)
{
    struct link_tcp_peer *peer = find(home, number);
    if (peer != NULL || home->peers_count >= PEERS_MAX)
        return peer;
    peer = object_zalloc(sizeof *peer);
    peer->home = home;
    peer->number = number;
    peer->backoff_ms = home->set->config.backoff_ms;
    list_push_back(&home->peers, &peer->node);
    home->peers_count++;
    return peer;
}

/* Message roles are called to be told of the sessions' messages, and by who has none of its own; roles of the API alone so that they
 * reach the sessions. */
static bool is_needed(const struct link_tcp_config *config, const struct discovery_node *node)
{
    const bool sessions = (config->roles & DISCOVERY_SESSION) != 0;
    const bool asks = sessions || (config->roles & DISCOVERY_MESSAGE) == 0;
    return node->number != config->node &&
           (((node->roles & DISCOVERY_MESSAGE) != 0 && asks) || ((node->roles & DISCOVERY_API) != 0 && sessions));
}

static void update(struct link_tcp_loop *home, const struct discovery_node *node)
{
    char host[DISCOVERY_ADDRESS_MAX + 1];
    uint16_t port;
    if (!is_needed(&home->set->config, node) || !parse_address(node->peer_address, host, &port))
        return;
    struct link_tcp_peer *peer = find_or_add(home, node->number);
    if (peer == NULL)
        return;
    const bool moved = peer->port != port || strcmp(peer->host, host) != 0 || peer->incarnation != node->incarnation ||
                       peer->tls != node->peer_tls || strcmp(peer->name, node->name) != 0;
    peer->listed = true;
    peer->serves = (node->roles & DISCOVERY_MESSAGE) != 0;
    peer->draining = node->state == DISCOVERY_DRAINING;
    peer->incarnation = node->incarnation;
    peer->port = port;
    peer->tls = node->peer_tls;
    memcpy(peer->name, node->name, sizeof peer->name);
    memcpy(peer->host, host, sizeof host);
    /* The machine of the one before it may have died without a word. */
    if (peer->conn != NULL && peer->conn->state == LINK_TCP_UP && peer->conn->incarnation < node->incarnation)
        link_tcp_conn_drop(peer->conn, "discovery names a newer process of the node");
    if (moved && peer->conn == NULL) {
        peer->backoff_ms = home->set->config.backoff_ms;
        call(peer);
    }
}

void link_tcp_peer_view(struct link_tcp_loop *home, const struct discovery_view *view)
{
    struct list *node;
    struct list *next;
    if (home->closed)
        return;
    LIST_FOREACH(node, next, &home->peers)
    container_of(node, struct link_tcp_peer, node)->listed = false;
    for (size_t i = 0; i < view->count; i++)
        update(home, &view->nodes[i]);
    LIST_FOREACH(node, next, &home->peers)
    {
        struct link_tcp_peer *peer = container_of(node, struct link_tcp_peer, node);
        if (!peer->listed && peer->conn == NULL)
            forget(peer);
    }
}

uint32_t link_tcp_peer_number(const struct link_tcp_peer *peer)
{
    return peer->number;
}

const char *link_tcp_peer_name(const struct link_tcp_peer *peer)
{
    return peer->name;
}

enum discovery_tls link_tcp_peer_tls(const struct link_tcp_peer *peer)
{
    return peer->tls;
}

const char *link_tcp_peer_host(const struct link_tcp_peer *peer, uint16_t *port)
{
    *port = peer->port;
    return peer->host;
}

void link_tcp_peer_address(const struct link_tcp_peer *peer, char out[LINK_TCP_PEER_ADDRESS_SIZE])
{
    const char *form = strchr(peer->host, ':') != NULL ? "[%s]:%u" : "%s:%u";
    snprintf(out, LINK_TCP_PEER_ADDRESS_SIZE, form, peer->host, (unsigned)peer->port);
}

static bool is_up(const struct link_tcp_peer *peer)
{
    return peer->conn != NULL && peer->conn->state == LINK_TCP_UP && !peer->conn->leaving;
}

/* Rendezvous hashing: each bucket ranks the nodes its own way, so one that goes moves its own buckets only. */
struct link_tcp_conn *link_tcp_peer_choose(struct link_tcp_loop *home, uint32_t bucket)
{
    const struct link_tcp_peer *best = NULL;
    uint64_t best_score = 0;
    struct list *node;
    struct list *next;
    LIST_FOREACH(node, next, &home->peers)
    {
        const struct link_tcp_peer *peer = container_of(node, struct link_tcp_peer, node);
        if (!peer->serves || !is_up(peer))
            continue;
        const uint32_t key[2] = {bucket, peer->number};
        const uint64_t score = hash_bytes(bytes_of(key, sizeof key), 0);
        const bool wins = best == NULL || (best->draining && !peer->draining) ||
                          (best->draining == peer->draining && score > best_score);
        if (wins) {
            best = peer;
            best_score = score;
        }
    }
    return best != NULL ? best->conn : NULL;
}

struct link_tcp_conn *link_tcp_peer_find(struct link_tcp_loop *home, uint32_t number)
{
    const struct link_tcp_peer *peer = find(home, number);
    return peer != NULL && is_up(peer) ? peer->conn : NULL;
}

void link_tcp_peer_attach(struct link_tcp_peer *peer, struct link_tcp_conn *conn)
{
    peer->conn = conn;
}

void link_tcp_peer_up(struct link_tcp_peer *peer)
{
    peer->backoff_ms = peer->home->set->config.backoff_ms;
    peer->was_up = true;
    peer->told = false;
    if (peer->serves)
        compare_positions(peer->home);
}

bool link_tcp_peer_tell_once(struct link_tcp_peer *peer)
{
    const bool first = !peer->told;
    peer->told = true;
    return first;
}

void link_tcp_peer_down(struct link_tcp_peer *peer)
{
    peer->conn = NULL;
    if (peer->home->closed || !peer->listed)
        forget(peer);
    else
        wait_and_call(peer);
}

uint32_t link_tcp_peer_count(const struct link_tcp_loop *home, bool up)
{
    uint32_t count = 0;
    struct list *node;
    struct list *next;
    LIST_FOREACH(node, next, &home->peers)
    {
        const struct link_tcp_peer *peer = container_of(node, struct link_tcp_peer, node);
        count += peer->serves && (!up || is_up(peer));
    }
    return count;
}

void link_tcp_peer_close(struct link_tcp_loop *home)
{
    struct list *node;
    struct list *next;
    petrel_assert(home->closed);
    LIST_FOREACH(node, next, &home->peers)
    {
        struct link_tcp_peer *peer = container_of(node, struct link_tcp_peer, node);
        timer_stop(&peer->retry);
        if (peer->conn == NULL)
            forget(peer);
    }
}
