#include "contract/zookeeper_rig.h"

#include "lib/until.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* libzookeeper writes addresses, for its log, into one static buffer of the process with sprintf(), whichever handle they are of: a race
 * of its own that ThreadSanitizer sees as soon as two handles connect. A petreld has one. We have snprintf(), another name. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race_top:vsprintf\n";
}

struct rig_folder zookeeper_rig_folder(unsigned number)
{
    struct rig_folder folder;
    snprintf(folder.root, sizeof folder.root, "/test-%u/petrel", number);
    return folder;
}

struct discovery_node zookeeper_rig_node(uint32_t number)
{
    struct discovery_node node = {
        .number = number,
        .roles = DISCOVERY_SESSION | DISCOVERY_API,
        .incarnation = 1700000000000 + number,
        .max_sessions = 1000,
        .connects_per_second = 50,
        .loops = 2,
    };
    snprintf(node.name, sizeof node.name, "node-%u", (unsigned)number);
    snprintf(node.session_address, sizeof node.session_address, "node-%u.example:7400", (unsigned)number);
    return node;
}

static bool link_is_up(void *ctx, const struct discovery_node *node)
{
    struct rig_peer *peer = ctx;
    return node->number < RIG_NODES && atomic_load(&peer->links[node->number]);
}

void zookeeper_rig_peer_open_on(struct rig_peer *peer, const struct rig_folder *folder, uint32_t number,
                                const char *servers, uint32_t timeout_ms, const char *copy_path)
{
    memset(peer, 0, sizeof *peer);
    peer->self = zookeeper_rig_node(number);
    loops_open(&peer->main, 1);
    const struct discovery_zookeeper_config config = {
        .servers = servers,
        .root = folder->root,
        .session_timeout_ms = timeout_ms,
        .load_interval_ms = RIG_INTERVAL_MS,
        .reread_ms = RIG_LONG_MS,
        .copy_ms = RIG_INTERVAL_MS,
        .copy_path = copy_path,
        .clock = clock_system(),
        .loop = peer->main.loops[0],
        .is_link_up = link_is_up,
        .ctx = peer,
    };
    assert_int_equal(discovery_zookeeper_open(&peer->discovery, &config), 0);
    loops_start(&peer->main);
}

void zookeeper_rig_peer_open(struct rig_peer *peer, const struct rig_folder *folder, uint32_t number,
                             const char *servers, uint32_t timeout_ms)
{
    zookeeper_rig_peer_open_on(peer, folder, number, servers, timeout_ms, NULL);
}

void zookeeper_rig_peer_close(struct rig_peer *peer)
{
    loops_stop(&peer->main);
    peer->discovery->ops->close(peer->discovery);
    loops_free(&peer->main);
}

static void do_publish(void *ctx)
{
    struct rig_peer *peer = ctx;
    peer->result = peer->discovery->ops->publish(peer->discovery, &peer->self);
}

void zookeeper_rig_publish(struct rig_peer *peer)
{
    loops_run_on(&peer->main, 0, do_publish, peer);
    assert_int_equal(peer->result, 0);
}

bool zookeeper_rig_is_healthy(void *ctx)
{
    struct rig_peer *peer = ctx;
    return peer->discovery->ops->healthy(peer->discovery);
}

bool zookeeper_rig_is_away(void *ctx)
{
    return !zookeeper_rig_is_healthy(ctx);
}

struct discovery_node zookeeper_rig_seen(struct rig_peer *peer, uint32_t number)
{
    struct discovery_node found = {0};
    struct discovery_view *view = peer->discovery->ops->view(peer->discovery);
    for (size_t i = 0; i < view->count; i++) {
        if (view->nodes[i].number == number)
            found = view->nodes[i];
    }
    discovery_view_unref(view);
    return found;
}

uint64_t zookeeper_rig_as_of(struct rig_peer *peer)
{
    struct discovery_view *view = peer->discovery->ops->view(peer->discovery);
    const uint64_t as_of_ms = view->as_of_ms;
    discovery_view_unref(view);
    return as_of_ms;
}

bool zookeeper_rig_is_current(void *ctx)
{
    struct rig_peer *peer = ctx;
    struct discovery_view *view = peer->discovery->ops->view(peer->discovery);
    const bool current = view->current;
    discovery_view_unref(view);
    return current;
}

struct sight {
    struct rig_peer *peer;
    struct discovery_node node; /* what is waited for; only its number counts in sees_number() */
};

static bool sees_same(void *ctx)
{
    struct sight *sight = ctx;
    const struct discovery_node found = zookeeper_rig_seen(sight->peer, sight->node.number);
    return discovery_zookeeper_node_same(&found, &sight->node);
}

static bool sees_none(void *ctx)
{
    struct sight *sight = ctx;
    return zookeeper_rig_seen(sight->peer, sight->node.number).number == 0;
}

void zookeeper_rig_await_same(struct rig_peer *peer, struct discovery_node node)
{
    struct sight sight = {peer, node};
    assert_true(until(sees_same, &sight, RIG_EARLY_MS));
}

void zookeeper_rig_await_gone(struct rig_peer *peer, uint32_t number)
{
    struct sight sight = {peer, {.number = number}};
    assert_true(until(sees_none, &sight, RIG_EARLY_MS));
}

static void ignore_event(void *ctx, enum zookeeper_state state, const char *path)
{
    (void)ctx, (void)state, (void)path;
}

struct zookeeper *zookeeper_rig_hand(const char *servers)
{
    struct zookeeper *hand = NULL;
    const struct zookeeper_config config = {
        .servers = servers, .session_timeout_ms = RIG_LONG_MS, .on_event = ignore_event};
    assert_int_equal(zookeeper_connect(&hand, &config), 0);
    assert_int_equal(zookeeper_await(hand, RIG_WAIT_MS), ZOOKEEPER_CONNECTED);
    return hand;
}

void zookeeper_rig_path(const struct rig_folder *folder, const char *name, char out[DISCOVERY_ZOOKEEPER_PATH_MAX])
{
    discovery_zookeeper_node_path(folder->root, "nodes", name, out);
}

void zookeeper_rig_put(struct zookeeper *hand, const struct rig_folder *folder, const struct discovery_node *node)
{
    char path[DISCOVERY_ZOOKEEPER_PATH_MAX];
    struct bytebuf value = {0};
    zookeeper_rig_path(folder, NULL, path);
    assert_int_equal(zookeeper_create_all(hand, path), 0);
    zookeeper_rig_path(folder, node->name, path);
    discovery_zookeeper_node_pack(node, &value);
    assert_int_equal(zookeeper_create(hand, path, bytes_view(&value), ZOOKEEPER_EPHEMERAL), 0);
    bytes_reset(&value);
}

struct question {
    struct zookeeper *hand;
    const char *path;
    struct zookeeper_stat stat;
};

/* No answer may be one of a server that has lost the others for a moment, as it does on a machine under load. */
static bool is_answered(void *ctx)
{
    struct question *question = ctx;
    struct bytebuf value = {0};
    const int err = zookeeper_get(question->hand, question->path, false, &value, &question->stat);
    bytes_reset(&value);
    return err == 0;
}

struct zookeeper_stat zookeeper_rig_stat(struct zookeeper *hand, const struct rig_folder *folder, const char *name)
{
    char path[DISCOVERY_ZOOKEEPER_PATH_MAX];
    zookeeper_rig_path(folder, name, path);
    struct question question = {.hand = hand, .path = path};
    assert_true(until(is_answered, &question, RIG_WAIT_MS));
    return question.stat;
}
