#include "base/object.h"
#include "client/core.h"

void petrel_core_next(struct petrel_core *core, uint64_t now_ms, struct petrel_next *next)
{
    object_check(core, CORE_MAGIC);
    petrel_assert(core->phase == CORE_IDLE);
    (void)servers_next(&core->servers, now_ms, &next->address, &next->patience_ms);
    core->patience_ms = next->patience_ms;
}

int64_t petrel_core_servers(struct petrel_core *core, uint64_t now_ms, const char *json, size_t len)
{
    object_check(core, CORE_MAGIC);
    return servers_answered(&core->servers, now_ms, json, len);
}

int petrel_core_unanswered(struct petrel_core *core)
{
    object_check(core, CORE_MAGIC);
    return servers_unanswered(&core->servers);
}
