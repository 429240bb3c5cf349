#include "store/check_tally.h"

#include "base/object.h"

void check_tally_begin(struct check_tally *tally, uint32_t count)
{
    *tally = (struct check_tally){.count = count, .waiting = count + 1};
}

bool check_tally_release(struct check_tally *tally)
{
    petrel_assert(tally->waiting > 0);
    return --tally->waiting == 0;
}

bool check_tally_note(struct check_tally *tally, uint32_t entry, int status, enum peer_verdict verdict)
{
    tally->verdicts[entry] = (uint8_t)(status == 0 ? verdict : PEER_UNKNOWN);
    if (status != 0) {
        tally->unknown++;
        tally->status = status;
    }
    return check_tally_release(tally);
}

int check_tally_result(const struct check_tally *tally, struct peer_checked **out)
{
    petrel_assert(tally->waiting == 0);
    if (tally->unknown == tally->count)
        return tally->status;
    struct peer_checked *checked = object_alloc(sizeof *checked);
    checked->count = 0;
    for (uint32_t i = 0; i < tally->count; i++)
        peer_checked_add(checked, i, (enum peer_verdict)tally->verdicts[i]);
    *out = checked;
    return 0;
}
