/* Checks of what sessions follow, hundreds to a request, without a look at the file. Those of a stretch are looked for side by side:
 * what they cost is waiting for memory. */
#include "base/object.h"
#include "store/topics_sqlite_private.h"
#include "wire/peer_check.h"

#include <stdlib.h>

#define STRETCH 16U

struct sought {
    struct peer_check check;
    uint64_t hash;
};

/* A name that is too long is nobody's, who follows nothing. */
static bool names_fit(const struct peer_target *device)
{
    return device->app.len <= ROUTE_APP_MAX && device->user.len <= ROUTE_USER_MAX &&
           device->device.len <= ROUTE_DEVICE_MAX;
}

static uint64_t version_of(const struct topics_sqlite *topics, const struct sought *sought)
{
    return names_fit(&sought->check.target) ? topics_versions_get(&topics->versions, sought->hash) : 0;
}

static void seek(const struct topics_sqlite *topics, struct sought *sought)
{
    sought->hash = 0;
    if (topics->versions.count == 0 || sought->check.version == 0 || !names_fit(&sought->check.target))
        return;
    sought->hash = topics_versions_hash(&topics->versions, &sought->check.target);
    topics_versions_warm(&topics->versions, sought->hash);
}

int topics_sqlite_check_run(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct peer_checks *checks = &request->in.check;
    struct peer_checked *checked = object_alloc(sizeof *checked);
    struct bytes rest = checks->entries;
    struct sought stretch[STRETCH];
    checked->count = 0;
    for (uint32_t done = 0; done < checks->count;) {
        const uint32_t count = checks->count - done < STRETCH ? checks->count - done : STRETCH;
        for (uint32_t i = 0; i < count; i++) {
            int err = peer_check_take(checks, &rest, &stretch[i].check);
            petrel_assert(err == 0);
            seek(topics, &stretch[i]);
        }
        for (uint32_t i = 0; i < count; i++) {
            const struct peer_check *check = &stretch[i].check;
            if (check->version != 0)
                peer_checked_add(checked, done + i, topics_compare(check, version_of(topics, &stretch[i])));
        }
        done += count;
    }
    request->out.checked = checked;
    return 0;
}

int topics_sqlite_check_load(struct topics_sqlite *topics)
{
    struct sqlite_stmt *stmt = topics->stmts.set_filled;
    int result;
    while ((result = sqlite_step(stmt)) == 1) {
        const struct peer_target device = {.app = sqlite_column_text(stmt, 0),
                                           .user = sqlite_column_text(stmt, 1),
                                           .device = sqlite_column_text(stmt, 2)};
        topics_versions_set(&topics->versions, topics_versions_hash(&topics->versions, &device),
                            (uint64_t)sqlite_column_int(stmt, 3));
        topics_versions_keep(&topics->versions);
    }
    sqlite_reset(stmt);
    return result < 0 ? result : 0;
}
