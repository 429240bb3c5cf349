/* Which nodes are interested in a topic, and until when: memory only. */
#include "base/err.h"
#include "base/object.h"
#include "store/topics_sqlite_private.h"

#include <stdlib.h>

#define SWEEP_MAX 64
#define KEY_MAX (ROUTE_APP_MAX + 1 + TOPICS_NAME_MAX)

struct lease {
    uint32_t node;
    uint64_t incarnation;
    uint64_t until_ms; /* monotonic */
};

struct leases {
    struct map_node node;
    struct list order; /* the one whose turn to be swept comes first is first */
    uint32_t count;
    uint32_t room;
    struct lease *all;
    size_t key_len;
    uint8_t key[KEY_MAX]; /* app, 0, topic */
};

static struct bytes key_of(const struct map_node *node)
{
    const struct leases *leases = container_of(node, const struct leases, node);
    return bytes_of(leases->key, leases->key_len);
}

static size_t put_key(uint8_t key[KEY_MAX], struct bytes app, struct bytes topic)
{
    memcpy(key, app.ptr, app.len);
    key[app.len] = 0;
    memcpy(key + app.len + 1, topic.ptr, topic.len);
    return app.len + 1 + topic.len;
}

void topics_sqlite_lease_init(struct topics_sqlite *topics, uint64_t seed)
{
    map_init(&topics->leases, key_of, seed);
    list_init(&topics->leases_order);
}

static void forget(struct topics_sqlite *topics, struct leases *leases)
{
    map_remove(&topics->leases, &leases->node);
    list_remove(&leases->order);
    free(leases->all);
    free(leases);
}

void topics_sqlite_lease_free(struct topics_sqlite *topics)
{
    while (!list_empty(&topics->leases_order))
        forget(topics, container_of(topics->leases_order.next, struct leases, order));
    map_reset(&topics->leases);
}

static void drop_old(struct topics_sqlite *topics, struct leases *leases)
{
    uint64_t now = clock_mono_ms(topics->config.clock);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < leases->count; i++) {
        if (leases->all[i].until_ms > now)
            leases->all[kept++] = leases->all[i];
    }
    leases->count = kept;
}

void topics_sqlite_lease_sweep(struct topics_sqlite *topics)
{
    for (int i = 0; i < SWEEP_MAX && !list_empty(&topics->leases_order); i++) {
        struct leases *leases = container_of(topics->leases_order.next, struct leases, order);
        drop_old(topics, leases);
        if (leases->count == 0) {
            forget(topics, leases);
        } else {
            list_remove(&leases->order);
            list_push_back(&topics->leases_order, &leases->order);
        }
    }
}

static struct leases *find(struct topics_sqlite *topics, struct bytes app, struct bytes topic)
{
    uint8_t key[KEY_MAX];
    struct map_node *node = map_find(&topics->leases, bytes_of(key, put_key(key, app, topic)));
    return node != NULL ? container_of(node, struct leases, node) : NULL;
}

uint32_t topics_sqlite_lease_nodes(struct topics_sqlite *topics, struct bytes app, struct bytes topic,
                                   uint32_t nodes[TOPICS_NODES_MAX])
{
    struct leases *leases = find(topics, app, topic);
    if (leases == NULL)
        return 0;
    drop_old(topics, leases);
    for (uint32_t i = 0; i < leases->count; i++)
        nodes[i] = leases->all[i].node;
    return leases->count;
}

static void add(struct leases *leases, struct lease lease)
{
    if (leases->count == leases->room) {
        leases->room = leases->room == 0 ? 1 : 2 * leases->room;
        leases->all = object_realloc(leases->all, leases->room * sizeof *leases->all);
    }
    leases->all[leases->count++] = lease;
}

/* 0; STALE: a later start of the node holds the lease; TOO_LARGE: as many nodes as an append can report have one. */
static int take(struct topics_sqlite *topics, struct leases *leases, const struct topics_interest *interest)
{
    struct lease lease = {interest->node, interest->incarnation,
                          clock_mono_ms(topics->config.clock) + interest->lease_ms};
    drop_old(topics, leases);
    for (uint32_t i = 0; i < leases->count; i++) {
        if (leases->all[i].node != interest->node)
            continue;
        if (leases->all[i].incarnation > interest->incarnation)
            return PETREL_E_STALE;
        leases->all[i] = interest->lease_ms == 0 ? leases->all[--leases->count] : lease;
        return 0;
    }
    if (interest->lease_ms == 0)
        return 0;
    if (leases->count == TOPICS_NODES_MAX)
        return PETREL_E_TOO_LARGE;
    add(leases, lease);
    return 0;
}

int topics_sqlite_lease_interest(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_interest *interest = &request->in.interest;
    struct topics_sqlite_topic topic;
    int found = topics_sqlite_log_find(topics, interest->app, interest->topic, &topic);
    int err = found == 1 && topics->refusal == 0 ? topics_sqlite_log_own(topics, &topic) : 0;
    if (found < 0 || err != 0)
        return found < 0 ? found : err;
    request->out.head = found == 1 ? (struct position){topic.epoch, topic.head} : TOPICS_BEGIN;
    struct leases *leases = find(topics, interest->app, interest->topic);
    if (leases == NULL) {
        leases = object_zalloc(sizeof *leases);
        leases->key_len = put_key(leases->key, interest->app, interest->topic);
        map_insert(&topics->leases, &leases->node);
        list_push_back(&topics->leases_order, &leases->order);
    }
    err = take(topics, leases, interest);
    if (leases->count == 0)
        forget(topics, leases);
    return err;
}
