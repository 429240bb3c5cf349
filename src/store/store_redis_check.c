/* A CHECK, as its entries' answers come in. */
#include "base/object.h"
#include "store/store_redis_private.h"

#include <stdlib.h>

struct store_redis_checks {
    struct store_request *request;
    uint32_t waiting; /* entries without an outcome, and who asks them */
    uint32_t unknown;
    int status; /* why the last of those that are unknown is */
    uint8_t verdicts[PEER_CHECKS_MAX];
};

struct store_redis_checks *store_redis_check_new(struct store_request *request)
{
    struct store_redis_checks *checks = object_zalloc(sizeof *checks);
    checks->request = request;
    checks->waiting = request->in.check.count + 1;
    return checks;
}

/* Answers come in any order; they are told in that of the entries. */
static void fill(const struct store_redis_checks *checks)
{
    struct store_request *request = checks->request;
    const uint32_t count = request->in.check.count;
    request->status = checks->unknown == count ? checks->status : 0;
    if (request->status != 0)
        return;
    struct peer_checked *checked = object_alloc(sizeof *checked);
    checked->count = 0;
    for (uint32_t i = 0; i < count; i++)
        peer_checked_add(checked, i, (enum peer_verdict)checks->verdicts[i]);
    request->out.checked = checked;
}

bool store_redis_check_release(struct store_redis_checks *checks)
{
    petrel_assert(checks->waiting > 0);
    if (--checks->waiting > 0)
        return false;
    fill(checks);
    free(checks);
    return true;
}

bool store_redis_check_note(struct store_redis_checks *checks, uint32_t entry, int status, enum peer_verdict verdict)
{
    checks->verdicts[entry] = (uint8_t)(status == 0 ? verdict : PEER_UNKNOWN);
    if (status != 0) {
        checks->unknown++;
        checks->status = status;
    }
    return store_redis_check_release(checks);
}
