#include "discovery/link_tcp_directory.h"

#include <stdlib.h>

/* One loop tells another of a connection that came or went. */
struct notice {
    struct mail mail;
    struct link_tcp_loop *to;
    struct link_tcp_entry entry; /* as it is entered or taken out */
    bool here;
};

static uint64_t key_of(uint32_t node, uint16_t loop)
{
    return (uint64_t)node << 16 | loop;
}

static struct bytes entry_key(const struct map_node *node)
{
    const struct link_tcp_entry *entry = container_of(node, const struct link_tcp_entry, node);
    return bytes_of(&entry->key, sizeof entry->key);
}

static struct link_tcp_entry *find(const struct link_tcp_loop *home, uint64_t key)
{
    struct map_node *node = map_find(&home->directory, bytes_of(&key, sizeof key));
    return node != NULL ? container_of(node, struct link_tcp_entry, node) : NULL;
}

/* Mail of several loops comes in no fixed order, so what a caller's own numbers say is newer counts, not what came last. */
static bool is_newer(const struct link_tcp_entry *a, const struct link_tcp_entry *b)
{
    return a->incarnation != b->incarnation ? a->incarnation > b->incarnation : a->serial > b->serial;
}

static bool is_same(const struct link_tcp_entry *a, const struct link_tcp_entry *b)
{
    return a->incarnation == b->incarnation && a->serial == b->serial;
}

/* Whether it was entered. */
static bool enter(struct link_tcp_loop *home, const struct link_tcp_entry *from)
{
    struct link_tcp_entry *entry = find(home, from->key);
    struct link_tcp_conn *older = NULL;
    if (entry == NULL) {
        entry = object_zalloc(sizeof *entry);
        entry->key = from->key;
        map_insert(&home->directory, &entry->node);
    } else if (!is_newer(from, entry)) {
        return false;
    } else {
        older = entry->conn;
    }
    entry->incarnation = from->incarnation;
    entry->serial = from->serial;
    entry->owner = from->owner;
    entry->conn = from->conn;
    entry->secure = from->secure;
    if (older != NULL)
        link_tcp_conn_drop(older, "the caller made a newer one");
    return true;
}

static void leave(struct link_tcp_loop *home, const struct link_tcp_entry *from)
{
    struct link_tcp_entry *entry = find(home, from->key);
    if (entry == NULL || !is_same(entry, from))
        return;
    map_remove(&home->directory, &entry->node);
    free(entry);
}

static void on_notice(struct mail *mail)
{
    struct notice *notice = container_of(mail, struct notice, mail);
    object_check(notice->to, LINK_TCP_MAGIC);
    if (notice->here)
        (void)enter(notice->to, &notice->entry);
    else
        leave(notice->to, &notice->entry);
    free(notice);
}

static void tell_others(const struct link_tcp_loop *home, const struct link_tcp_entry *entry, bool here)
{
    for (size_t i = 0; i < home->set->count; i++) {
        if (i == home->index)
            continue;
        struct notice *notice = object_zalloc(sizeof *notice);
        notice->mail.run = on_notice;
        notice->to = home->set->loops[i];
        notice->entry = *entry;
        notice->entry.conn = NULL;
        notice->here = here;
        mailbox_post(notice->to->loop, &notice->mail);
    }
}

static struct link_tcp_entry entry_of(struct link_tcp_conn *conn)
{
    return (struct link_tcp_entry){.key = key_of(conn->other, conn->other_loop),
                                   .incarnation = conn->incarnation,
                                   .serial = conn->serial,
                                   .owner = conn->home->index,
                                   .conn = conn,
                                   .secure = stream_is_secure(conn->stream)};
}

void link_tcp_directory_init(struct link_tcp_loop *home)
{
    map_init(&home->directory, entry_key, rng_u64(loop_rng(home->loop)));
}

void link_tcp_directory_reset(struct link_tcp_loop *home)
{
    for (struct map_node *node; (node = map_take_any(&home->directory)) != NULL;)
        free(container_of(node, struct link_tcp_entry, node));
    map_reset(&home->directory);
}

struct link_tcp_entry *link_tcp_directory_find(const struct link_tcp_loop *home, uint32_t node, uint16_t loop)
{
    return find(home, key_of(node, loop));
}

bool link_tcp_directory_has(const struct link_tcp_loop *home, uint32_t node, uint64_t incarnation)
{
    for (struct map_node *at = map_next(&home->directory, NULL); at != NULL; at = map_next(&home->directory, at)) {
        const struct link_tcp_entry *entry = container_of(at, const struct link_tcp_entry, node);
        if (entry->key >> 16 == node && entry->incarnation == incarnation)
            return true;
    }
    return false;
}

bool link_tcp_directory_enter(struct link_tcp_conn *conn)
{
    const struct link_tcp_entry entry = entry_of(conn);
    conn->registered = enter(conn->home, &entry);
    if (conn->registered)
        tell_others(conn->home, &entry, true);
    return conn->registered;
}

void link_tcp_directory_leave(struct link_tcp_conn *conn)
{
    const struct link_tcp_entry entry = entry_of(conn);
    if (!conn->registered)
        return;
    conn->registered = false;
    leave(conn->home, &entry);
    tell_others(conn->home, &entry, false);
}
