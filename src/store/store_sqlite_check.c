/* Checks, hundreds to a request. An idle server has little else to do, and what they cost is waiting for memory that nobody has
 * looked at for minutes: so the users of a stretch are looked for side by side. Routes are memory only, and who has one is not let
 * go of: who is not in memory is bound to nothing, whatever the table says. */
#include "base/object.h"
#include "store/store_sqlite_private.h"
#include "wire/peer_check.h"

struct sought {
    struct peer_check check;
    uint64_t hash;
    size_t key_len; /* 0: no name of a user */
    uint8_t key[STORE_SQLITE_KEY_MAX];
};

static void seek(const struct store_sqlite *store, struct sought *sought)
{
    sought->key_len = store_sqlite_rest_put_key(sought->key, &sought->check.target);
    if (sought->key_len == 0)
        return;
    sought->hash = user_index_hash(&store->users, bytes_of(sought->key, sought->key_len));
    user_index_warm(&store->users, sought->hash, 0);
}

static enum peer_verdict judge(const struct store_sqlite *store, const struct sought *sought)
{
    if (sought->key_len == 0)
        return PEER_UNROUTED;
    uint32_t number = user_index_find_hashed(&store->users, bytes_of(sought->key, sought->key_len), sought->hash);
    if (number == USER_INDEX_NONE)
        return PEER_UNROUTED;
    const void *form = user_index_form(&store->users, number);
    struct inbox_standing standing = store_sqlite_rest_stand(form, sought->check.target.device);
    return inbox_check(&store->txn, &standing, &sought->check);
}

void store_sqlite_check_run(struct store_sqlite *store, struct store_request *request)
{
    const struct peer_checks *checks = &request->in.check;
    struct peer_checked *checked = object_alloc(sizeof *checked);
    struct bytes rest = checks->entries;
    struct sought stretch[STORE_SQLITE_STRETCH];
    checked->count = 0;
    for (uint32_t done = 0; done < checks->count;) {
        const uint32_t count =
            checks->count - done < STORE_SQLITE_STRETCH ? checks->count - done : STORE_SQLITE_STRETCH;
        for (uint32_t i = 0; i < count; i++) {
            int err = peer_check_take(checks, &rest, &stretch[i].check);
            petrel_assert(err == 0);
            seek(store, &stretch[i]);
        }
        for (uint32_t step = 1; step < USER_INDEX_WARM_STEPS; step++) {
            for (uint32_t i = 0; i < count; i++) {
                if (stretch[i].key_len > 0)
                    user_index_warm(&store->users, stretch[i].hash, step);
            }
        }
        for (uint32_t i = 0; i < count; i++)
            peer_checked_add(checked, done + i, judge(store, &stretch[i]));
        done += count;
    }
    request->out.checked = checked;
}
