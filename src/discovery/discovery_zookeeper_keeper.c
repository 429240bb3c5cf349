#include "discovery/discovery_zookeeper_keeper.h"

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/object.h"
#include "discovery/discovery_zookeeper_node.h"

#include <stdlib.h>

#define TRIES 4 /* of what another's change may upset */

struct entry {
    struct map_node node;
    bool stale;
    bool listed; /* while the list is compared */
    bool valid;
    int64_t owner;
    struct discovery_node seen;
    char path[]; /* the key */
};

struct discovery_zookeeper_keeper {
    struct discovery_zookeeper_keeper_config config;
    char folder[DISCOVERY_ZOOKEEPER_PATH_MAX]; /* <root>/nodes */
    struct zookeeper *zk;
    struct map entries;
    bool list_stale;
    bool changed; /* since nodes were last given out */

    bool registered; /* by this session, as `sent` */
    struct discovery_node sent;
};

static struct bytes key_of(const struct map_node *node)
{
    return bytes_str(container_of(node, const struct entry, node)->path);
}

static struct entry *find(const struct discovery_zookeeper_keeper *keeper, const char *path)
{
    struct map_node *node = map_find(&keeper->entries, bytes_str(path));
    return node != NULL ? container_of(node, struct entry, node) : NULL;
}

static struct entry *next_entry(const struct discovery_zookeeper_keeper *keeper, const struct entry *entry)
{
    struct map_node *node = map_next(&keeper->entries, entry != NULL ? &entry->node : NULL);
    return node != NULL ? container_of(node, struct entry, node) : NULL;
}

static void own_path(const struct discovery_zookeeper_keeper *keeper, const struct discovery_node *self,
                     char out[DISCOVERY_ZOOKEEPER_PATH_MAX])
{
    discovery_zookeeper_node_path(keeper->config.root, "nodes", self->name, out);
}

static void make_stale(struct discovery_zookeeper_keeper *keeper)
{
    keeper->list_stale = true;
    keeper->changed = true;
    for (struct entry *entry = next_entry(keeper, NULL); entry != NULL; entry = next_entry(keeper, entry))
        entry->stale = true;
}

struct discovery_zookeeper_keeper *discovery_zookeeper_keeper_new(
    const struct discovery_zookeeper_keeper_config *config)
{
    struct discovery_zookeeper_keeper *keeper = object_zalloc(sizeof *keeper);
    keeper->config = *config;
    discovery_zookeeper_node_path(config->root, "nodes", NULL, keeper->folder);
    uint64_t seed;
    rng_secret(&seed, sizeof seed);
    map_init(&keeper->entries, key_of, seed);
    make_stale(keeper);
    return keeper;
}

void discovery_zookeeper_keeper_stop(struct discovery_zookeeper_keeper *keeper)
{
    zookeeper_disconnect(&keeper->zk);
    keeper->registered = false;
}

void discovery_zookeeper_keeper_free(struct discovery_zookeeper_keeper **inside)
{
    struct discovery_zookeeper_keeper *keeper = *inside;
    if (keeper == NULL)
        return;
    petrel_assert(keeper->zk == NULL);
    struct map_node *node;
    while ((node = map_take_any(&keeper->entries)) != NULL)
        free(container_of(node, struct entry, node));
    map_reset(&keeper->entries);
    free(keeper);
    *inside = NULL;
}

/* Have a session that is connected. */
static int connect_session(struct discovery_zookeeper_keeper *keeper)
{
    if (keeper->zk != NULL && zookeeper_state(keeper->zk) == ZOOKEEPER_ENDED) {
        log_event(LOG_WARN, "discovery", "the ZooKeeper session is over: a new one");
        discovery_zookeeper_keeper_stop(keeper);
    }
    if (keeper->zk == NULL) {
        make_stale(keeper); /* watches end with their session */
        const int err = zookeeper_connect(&keeper->zk, &keeper->config.session);
        if (err != 0)
            return err;
    }
    return zookeeper_state(keeper->zk) == ZOOKEEPER_CONNECTED ? 0 : PETREL_E_UNAVAILABLE;
}

/* What stands in the way of our ephemeral: 0 when it is ours after all, or gone. */
static int clear_way(struct discovery_zookeeper_keeper *keeper, const char *path, const struct discovery_node *self,
                     bool *ours)
{
    struct bytebuf value = {0};
    struct zookeeper_stat stat = {0};
    struct discovery_node theirs;
    int err = zookeeper_get(keeper->zk, path, false, &value, &stat);
    const bool newer = err == 0 && discovery_zookeeper_node_unpack(bytes_view(&value), &theirs) == 0 &&
                       theirs.incarnation > self->incarnation;
    bytes_reset(&value);
    *ours = (err == 0 || err == PETREL_E_TOO_LARGE) && stat.owner == zookeeper_session(keeper->zk);
    if (err == PETREL_E_NOT_FOUND || *ours)
        return 0;
    if (err != 0 && err != PETREL_E_TOO_LARGE)
        return err;
    if (newer)
        return PETREL_E_EXISTS;
    /* Left by our session or process before this one; its version, lest we delete what came since. */
    err = zookeeper_remove(keeper->zk, path, stat.version);
    return err == PETREL_E_NOT_FOUND || err == PETREL_E_STALE ? 0 : err;
}

static int claim(struct discovery_zookeeper_keeper *keeper, const char *path, const struct discovery_node *self,
                 struct bytes value)
{
    int err = PETREL_E_UNAVAILABLE;
    for (int i = 0; i < TRIES; i++) {
        bool ours = false;
        err = zookeeper_create(keeper->zk, path, value, ZOOKEEPER_EPHEMERAL);
        if (err == PETREL_E_NOT_FOUND)
            err = zookeeper_create_all(keeper->zk, keeper->folder);
        else if (err == PETREL_E_EXISTS)
            err = clear_way(keeper, path, self, &ours);
        else
            return err;
        if (ours) /* created by a call whose answer was lost */
            return zookeeper_set(keeper->zk, path, value, -1);
        if (err != 0)
            return err;
    }
    return PETREL_E_UNAVAILABLE;
}

/* Have this node's ephemeral there, as it is now. */
static int register_self(struct discovery_zookeeper_keeper *keeper, const struct discovery_node *self)
{
    if (keeper->registered && discovery_zookeeper_node_same(&keeper->sent, self))
        return 0;
    char path[DISCOVERY_ZOOKEEPER_PATH_MAX];
    struct bytebuf value = {0};
    own_path(keeper, self, path);
    discovery_zookeeper_node_pack(self, &value);
    int err = PETREL_E_NOT_FOUND;
    if (keeper->registered)
        err = zookeeper_set(keeper->zk, path, bytes_view(&value), -1);
    if (err == PETREL_E_NOT_FOUND) {
        keeper->registered = false;
        err = claim(keeper, path, self, bytes_view(&value));
    }
    bytes_reset(&value);
    if (err == 0) {
        keeper->registered = true;
        keeper->sent = *self;
    }
    return err;
}

static void add_entry(struct discovery_zookeeper_keeper *keeper, const char *path)
{
    const size_t len = strlen(path);
    struct entry *entry = object_zalloc(sizeof *entry + len + 1);
    memcpy(entry->path, path, len + 1);
    entry->stale = true;
    entry->listed = true;
    map_insert(&keeper->entries, &entry->node);
}

static void compare_list(struct discovery_zookeeper_keeper *keeper, const struct zookeeper_names *names)
{
    struct bytebuf path = {0};
    for (size_t i = 0; i < names->count; i++) {
        path.len = 0;
        bytes_printf(&path, "%s/%s", keeper->folder, names->names[i]);
        bytes_put_u8(&path, 0);
        struct entry *entry = find(keeper, (const char *)path.ptr);
        if (entry != NULL)
            entry->listed = true;
        else
            add_entry(keeper, (const char *)path.ptr);
    }
    bytes_reset(&path);

    struct map kept;
    map_init(&kept, key_of, keeper->entries.seed);
    struct map_node *node;
    while ((node = map_take_any(&keeper->entries)) != NULL) {
        struct entry *entry = container_of(node, struct entry, node);
        if (entry->listed) {
            entry->listed = false;
            map_insert(&kept, node);
        } else {
            keeper->changed = true;
            free(entry);
        }
    }
    map_reset(&keeper->entries);
    keeper->entries = kept;
}

static int read_list(struct discovery_zookeeper_keeper *keeper)
{
    struct zookeeper_names names = {0};
    int err = zookeeper_children(keeper->zk, keeper->folder, true, &names);
    if (err == PETREL_E_NOT_FOUND) {
        err = zookeeper_create_all(keeper->zk, keeper->folder);
        if (err == 0)
            err = zookeeper_children(keeper->zk, keeper->folder, true, &names);
    }
    if (err != 0)
        return err;
    compare_list(keeper, &names);
    zookeeper_names_reset(&names);
    keeper->list_stale = false;
    return 0;
}

/* NOT_FOUND: gone since the list was read. */
static int read_entry(struct discovery_zookeeper_keeper *keeper, struct entry *entry)
{
    struct bytebuf value = {0};
    struct zookeeper_stat stat = {0};
    int err = zookeeper_get(keeper->zk, entry->path, true, &value, &stat);
    if (err == 0 || err == PETREL_E_TOO_LARGE) {
        entry->valid = err == 0 && discovery_zookeeper_node_unpack(bytes_view(&value), &entry->seen) == 0;
        if (!entry->valid)
            log_at(LOG_WARN, "discovery", "a znode is not a node that this version can read",
                   LOG_STR("path", entry->path));
        entry->owner = stat.owner;
        entry->stale = false;
        keeper->changed = true;
        err = 0;
    }
    bytes_reset(&value);
    return err;
}

/* Whether a node is there is for the list alone to say: what went in one transaction is then seen to go at once. */
static int read_nodes(struct discovery_zookeeper_keeper *keeper)
{
    int err = 0;
    for (int i = 0; i < TRIES; i++) {
        if (keeper->list_stale && (err = read_list(keeper)) != 0)
            return err;
        for (struct entry *entry = next_entry(keeper, NULL); entry != NULL && !keeper->list_stale;
             entry = next_entry(keeper, entry)) {
            err = entry->stale ? read_entry(keeper, entry) : 0;
            keeper->list_stale = err == PETREL_E_NOT_FOUND;
            if (err != 0 && err != PETREL_E_NOT_FOUND)
                return err;
        }
        if (!keeper->list_stale)
            return 0;
    }
    return PETREL_E_UNAVAILABLE;
}

/* Somebody deleted our znode, or another session's stands in its place. */
static bool lost_own(const struct discovery_zookeeper_keeper *keeper, const struct discovery_node *self)
{
    char path[DISCOVERY_ZOOKEEPER_PATH_MAX];
    own_path(keeper, self, path);
    const struct entry *own = find(keeper, path);
    return own == NULL || own->owner != zookeeper_session(keeper->zk);
}

static void note(struct discovery_zookeeper_keeper *keeper, const struct discovery_zookeeper_turn *turn)
{
    if (turn->reread)
        make_stale(keeper);
    for (const struct discovery_zookeeper_change *change = turn->changes; change != NULL; change = change->next) {
        struct entry *entry = find(keeper, change->path);
        if (entry != NULL)
            entry->stale = true;
        else /* the folder's, or a node's that is not known: let the list tell */
            keeper->list_stale = true;
    }
}

static void give_out(struct discovery_zookeeper_keeper *keeper, struct discovery_zookeeper_turn *turn)
{
    if (!keeper->changed)
        return;
    keeper->changed = false;
    turn->nodes = object_zalloc((keeper->entries.count + 1) * sizeof *turn->nodes);
    for (struct entry *entry = next_entry(keeper, NULL); entry != NULL; entry = next_entry(keeper, entry)) {
        if (entry->valid)
            turn->nodes[turn->count++] = entry->seen;
    }
}

void discovery_zookeeper_keeper_turn(struct discovery_zookeeper_keeper *keeper, struct discovery_zookeeper_turn *turn)
{
    note(keeper, turn);
    turn->status = connect_session(keeper);
    if (turn->status != 0)
        return;
    if (turn->has_self)
        turn->status = register_self(keeper, &turn->self);
    if (turn->status == PETREL_E_UNAVAILABLE)
        return;
    int err = read_nodes(keeper);
    if (err == 0 && keeper->registered && lost_own(keeper, &turn->self)) {
        keeper->registered = false;
        turn->status = register_self(keeper, &turn->self);
    }
    if (err != 0) {
        turn->status = err;
        return;
    }
    turn->read = true;
    give_out(keeper, turn);
}
