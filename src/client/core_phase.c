#include "base/object.h"
#include "client/core.h"

/* Rows: from; columns: to. */
static const bool MOVES[5][5] = {
    [CORE_IDLE] = {[CORE_CONNECTING] = true, [CORE_IDLE] = true},
    [CORE_CONNECTING] = {[CORE_LIVE] = true, [CORE_LEAVING] = true, [CORE_BROKEN] = true, [CORE_IDLE] = true},
    [CORE_LIVE] = {[CORE_LEAVING] = true, [CORE_BROKEN] = true, [CORE_IDLE] = true},
    [CORE_LEAVING] = {[CORE_IDLE] = true},
    [CORE_BROKEN] = {[CORE_IDLE] = true},
};

void core_move(struct petrel_core *core, enum core_phase to)
{
    petrel_assert(MOVES[core->phase][to]);
    core->phase = to;
}
