/* Who follows a topic: nodes by leases, devices by subscriptions. */
#include "base/err.h"
#include "base/object.h"
#include "store/topics_sqlite_private.h"

#include <stdlib.h>

struct lease {
    uint32_t node;
    uint64_t incarnation;
    uint64_t until_ms; /* monotonic */
};

struct leases {
    struct map_node node;
    int64_t topic;
    uint32_t count;
    struct lease all[TOPICS_NODES_MAX];
};

static struct bytes topic_of(const struct map_node *node)
{
    const struct leases *leases = container_of(node, const struct leases, node);
    return bytes_of(&leases->topic, sizeof leases->topic);
}

void topics_sqlite_device_init(struct topics_sqlite *topics, uint64_t seed)
{
    map_init(&topics->leases, topic_of, seed);
}

void topics_sqlite_device_free(struct topics_sqlite *topics)
{
    struct map_node *node;
    while ((node = map_take_any(&topics->leases)) != NULL)
        free(container_of(node, struct leases, node));
    map_reset(&topics->leases);
}

static struct leases *leases_of(struct topics_sqlite *topics, int64_t topic)
{
    struct map_node *node = map_find(&topics->leases, bytes_of(&topic, sizeof topic));
    return node != NULL ? container_of(node, struct leases, node) : NULL;
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

uint32_t topics_sqlite_device_nodes(struct topics_sqlite *topics, int64_t topic, uint32_t nodes[TOPICS_NODES_MAX])
{
    struct leases *leases = leases_of(topics, topic);
    if (leases == NULL)
        return 0;
    drop_old(topics, leases);
    for (uint32_t i = 0; i < leases->count; i++)
        nodes[i] = leases->all[i].node;
    return leases->count;
}

/* 0; STALE: a later start of the node holds the lease; TOO_LARGE: as many nodes as an append can report have one. */
static int take_lease(struct topics_sqlite *topics, struct leases *leases, const struct topics_interest *interest)
{
    uint64_t until = clock_mono_ms(topics->config.clock) + interest->lease_ms;
    drop_old(topics, leases);
    for (uint32_t i = 0; i < leases->count; i++) {
        struct lease *lease = &leases->all[i];
        if (lease->node != interest->node)
            continue;
        if (lease->incarnation > interest->incarnation)
            return PETREL_E_STALE;
        if (interest->lease_ms == 0)
            *lease = leases->all[--leases->count];
        else
            *lease = (struct lease){interest->node, interest->incarnation, until};
        return 0;
    }
    if (interest->lease_ms == 0)
        return 0;
    if (leases->count == TOPICS_NODES_MAX)
        return PETREL_E_TOO_LARGE;
    leases->all[leases->count++] = (struct lease){interest->node, interest->incarnation, until};
    return 0;
}

int topics_sqlite_device_interest(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_interest *interest = &request->in.interest;
    struct topics_sqlite_topic topic;
    int found = topics_sqlite_log_find(topics, interest->app, interest->topic, &topic);
    if (found != 1)
        return found == 0 ? PETREL_E_NOT_FOUND : found;
    struct leases *leases = leases_of(topics, topic.id);
    if (leases == NULL) {
        leases = object_zalloc(sizeof *leases);
        leases->topic = topic.id;
        map_insert(&topics->leases, &leases->node);
    }
    int err = take_lease(topics, leases, interest);
    request->out.head = (struct position){topic.epoch, topic.head};
    if (leases->count == 0) {
        map_remove(&topics->leases, &leases->node);
        free(leases);
    }
    return err;
}

static bool valid_device(const struct peer_target *device)
{
    return route_valid_app(device->app) && route_valid_user(device->user) && route_valid_device(device->device);
}

static void bind_device(struct sqlite_stmt *stmt, const struct peer_target *device)
{
    sqlite_bind_text(stmt, 1, device->app);
    sqlite_bind_text(stmt, 2, device->user);
    sqlite_bind_text(stmt, 3, device->device);
}

/* The first two columns of the one row: 1, 0 when there is none, or an error. */
static int read_row(struct sqlite_stmt *stmt, uint64_t *first, uint64_t *second)
{
    int result = sqlite_step(stmt);
    *first = result == 1 ? (uint64_t)sqlite_column_int(stmt, 0) : 0;
    if (second != NULL)
        *second = result == 1 ? (uint64_t)sqlite_column_int(stmt, 1) : 0;
    sqlite_reset(stmt);
    return result;
}

static int raise_version(struct topics_sqlite *topics, const struct peer_target *device, uint64_t *version)
{
    struct sqlite_stmt *stmt = topics->stmts.version_upsert;
    *version += 1;
    bind_device(stmt, device);
    sqlite_bind_int(stmt, 4, (int64_t)*version);
    return sqlite_run(stmt);
}

static int read_version(struct topics_sqlite *topics, const struct peer_target *device, uint64_t *version)
{
    bind_device(topics->stmts.version_select, device);
    int result = read_row(topics->stmts.version_select, version, NULL);
    return result < 0 ? result : 0;
}

static int find_subscription(struct topics_sqlite *topics, const struct topics_subscription *wanted,
                             struct position *begins)
{
    struct sqlite_stmt *stmt = topics->stmts.sub_select;
    bind_device(stmt, &wanted->device);
    sqlite_bind_text(stmt, 4, wanted->topic);
    return read_row(stmt, &begins->epoch, &begins->seq);
}

static int insert_subscription(struct topics_sqlite *topics, const struct topics_subscription *wanted,
                               struct position begins)
{
    struct sqlite_stmt *stmt = topics->stmts.sub_insert;
    bind_device(stmt, &wanted->device);
    sqlite_bind_text(stmt, 4, wanted->topic);
    sqlite_bind_int(stmt, 5, (int64_t)begins.epoch);
    sqlite_bind_int(stmt, 6, (int64_t)begins.seq);
    return sqlite_run(stmt);
}

int topics_sqlite_device_subscribe(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_subscription *wanted = &request->in.subscribe;
    struct topics_subscribed *out = &request->out.subscribed;
    struct topics_sqlite_topic topic;
    uint64_t count;
    if (!valid_device(&wanted->device))
        return PETREL_E_INVALID;
    int err = topics_sqlite_log_own(topics, wanted->device.app, wanted->topic, &topic);
    if (err != 0)
        return err;
    err = read_version(topics, &wanted->device, &out->version);
    int found = err == 0 ? find_subscription(topics, wanted, &out->position) : err;
    if (found == 1)
        return 0;
    bind_device(topics->stmts.sub_count, &wanted->device);
    err = found < 0 ? found : read_row(topics->stmts.sub_count, &count, NULL);
    if (err < 0)
        return topics_sqlite_fail(topics, err);
    if (count >= TOPICS_PER_DEVICE_MAX)
        return PETREL_E_TOO_LARGE;
    out->position = (struct position){topic.epoch, topic.head};
    err = insert_subscription(topics, wanted, out->position);
    if (err == 0)
        err = raise_version(topics, &wanted->device, &out->version);
    return err == 0 ? 0 : topics_sqlite_fail(topics, err);
}

int topics_sqlite_device_unsubscribe(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_subscription *wanted = &request->in.unsubscribe;
    struct topics_subscribed *out = &request->out.subscribed;
    struct sqlite_stmt *stmt = topics->stmts.sub_delete;
    if (!valid_device(&wanted->device))
        return PETREL_E_INVALID;
    if (topics->refusal != 0)
        return topics->refusal;
    *out = (struct topics_subscribed){.version = 0};
    int err = read_version(topics, &wanted->device, &out->version);
    bind_device(stmt, &wanted->device);
    sqlite_bind_text(stmt, 4, wanted->topic);
    if (err == 0)
        err = sqlite_run(stmt);
    if (err == 0 && sqlite_changes(topics->db) > 0)
        err = raise_version(topics, &wanted->device, &out->version);
    return err == 0 ? 0 : topics_sqlite_fail(topics, err);
}
