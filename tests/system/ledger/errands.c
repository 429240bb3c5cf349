#include "system/ledger/errands.h"

#include "base/object.h"
#include "system/ledger/topics.h"

#include <stdlib.h>

void errands_add(struct errands *errands, uint32_t device, uint8_t from, uint8_t to)
{
    for (uint32_t topic = 0; topic < TOPICS_COUNT; topic++) {
        if (((from ^ to) >> topic & 1) == 0)
            continue;
        if (errands->count == errands->room) {
            errands->room = errands->room > 0 ? 2 * errands->room : 64;
            errands->list = object_realloc(errands->list, errands->room * sizeof *errands->list);
        }
        errands->list[errands->count++] = (struct errand){device, topic, (to >> topic & 1) != 0};
    }
}

bool errands_take(struct errands *errands, struct errand *out)
{
    if (errands->taken == errands->count)
        return false;
    *out = errands->list[errands->taken++];
    return true;
}

void errands_did(struct errands *errands)
{
    petrel_assert(errands->done < errands->taken);
    errands->done++;
}

bool errands_are_done(const struct errands *errands)
{
    return errands->done == errands->count;
}

void errands_reset(struct errands *errands)
{
    free(errands->list);
    *errands = (struct errands){0};
}
