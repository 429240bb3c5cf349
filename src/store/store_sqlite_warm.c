/* Where a batch's time goes is waiting for memory: each request is about another of a hundred thousand users, who lies in ten places. So
 * what a stretch of requests will need is sent for side by side, step by step: who is looked for by one step is on its way while the step
 * is taken for the others. Nothing is changed, and nothing relied on: requests before may change all that was seen here. */
#include "base/object.h"
#include "store/store_request.h"
#include "store/store_sqlite_private.h"

#define LINE_BYTES 64U

struct coming {
    struct store_request *request;
    struct peer_target target;
    uint64_t hash;
    const struct store_user *user; /* NULL: not awake, as far as that can be told */
    bool is_named;
};

static void send_for(const void *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += LINE_BYTES)
        __builtin_prefetch((const char *)from + at);
}

static void look_at_names(struct coming *coming)
{
    coming->is_named = coming->request->op != STORE_CHECK;
    if (!coming->is_named)
        return;
    coming->target = store_request_target(coming->request);
    __builtin_prefetch(coming->target.app.ptr);
    __builtin_prefetch(coming->target.user.ptr);
}

static void look_for_key(const struct store_sqlite *store, struct coming *coming)
{
    uint8_t key[STORE_SQLITE_KEY_MAX];
    const size_t len = coming->is_named ? store_sqlite_rest_put_key(key, &coming->target) : 0;
    coming->is_named = len > 0;
    if (!coming->is_named)
        return;
    coming->hash = user_index_hash(&store->users, bytes_of(key, len));
    user_index_warm(&store->users, coming->hash, 0);
}

static void look_at_user(const struct store_sqlite *store, struct coming *coming)
{
    const struct store_form *form = coming->is_named ? user_index_guess(&store->users, coming->hash) : NULL;
    coming->user = form != NULL && form->is_awake ? (const struct store_user *)form : NULL;
    if (coming->user != NULL)
        send_for(&coming->user->inbox, sizeof coming->user->inbox);
}

static void look_at_inbox(const struct coming *coming)
{
    if (coming->user == NULL)
        return;
    const struct inbox *inbox = &coming->user->inbox;
    send_for(inbox->devices, sizeof *inbox->devices);
    __builtin_prefetch(inbox->entries);
    if (inbox->recent_count > 0)
        __builtin_prefetch(inbox_state_recent(inbox, inbox->recent_count - 1));
    if (inbox->fates_count > 0)
        __builtin_prefetch(inbox_state_fate(inbox, inbox->fates_count - 1));
}

void store_sqlite_warm_up(const struct store_sqlite *store, struct worker_job *jobs)
{
    struct coming stretch[STORE_SQLITE_STRETCH];
    uint32_t count = 0;
    for (; jobs != NULL && count < STORE_SQLITE_STRETCH; jobs = jobs->next) {
        stretch[count].request = container_of(jobs, struct store_request, job);
        send_for(stretch[count].request, offsetof(struct store_request, in) + sizeof stretch->request->in.append);
        count++;
    }
    for (uint32_t i = 0; i < count; i++)
        look_at_names(&stretch[i]);
    for (uint32_t i = 0; i < count; i++)
        look_for_key(store, &stretch[i]);
    for (uint32_t step = 1; step < USER_INDEX_WARM_STEPS; step++) {
        for (uint32_t i = 0; i < count; i++) {
            if (stretch[i].is_named)
                user_index_warm(&store->users, stretch[i].hash, step);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        look_at_user(store, &stretch[i]);
    for (uint32_t i = 0; i < count; i++)
        look_at_inbox(&stretch[i]);
}
