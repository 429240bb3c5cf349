/* A CHECK, as its entries' answers come in. */
#include "base/object.h"
#include "store/check_tally.h"
#include "store/store_redis_private.h"

#include <stdlib.h>

struct store_redis_checks {
    struct store_request *request;
    struct check_tally tally;
};

struct store_redis_checks *store_redis_check_new(struct store_request *request)
{
    struct store_redis_checks *checks = object_alloc(sizeof *checks);
    checks->request = request;
    check_tally_begin(&checks->tally, request->in.check.count);
    return checks;
}

static bool end_if(struct store_redis_checks *checks, bool is_over)
{
    if (!is_over)
        return false;
    struct store_request *request = checks->request;
    request->status = check_tally_result(&checks->tally, &request->out.checked);
    free(checks);
    return true;
}

bool store_redis_check_release(struct store_redis_checks *checks)
{
    return end_if(checks, check_tally_release(&checks->tally));
}

bool store_redis_check_note(struct store_redis_checks *checks, uint32_t entry, int status, enum peer_verdict verdict)
{
    return end_if(checks, check_tally_note(&checks->tally, entry, status, verdict));
}
