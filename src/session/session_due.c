#include "session/session_due.h"

#include "base/object.h"

#include <stdlib.h>

static const struct session_due never = {SESSION_DUE_NEVER, SESSION_DUE_NEVER};

static void grow(struct session_dues *dues, uint32_t count)
{
    if (count > dues->size) {
        dues->size = count > dues->size * 2 ? count : dues->size * 2;
        dues->groups = object_realloc(dues->groups, dues->size * sizeof *dues->groups);
    }
    while (dues->count < count)
        dues->groups[dues->count++] = never;
}

void session_due_by(struct session_dues *dues, uint32_t slot, struct session_due due)
{
    const uint32_t number = slot / SESSION_DUE_GROUP;
    if (number >= dues->count)
        grow(dues, number + 1);
    struct session_due *group = &dues->groups[number];
    if (due.at_s < group->at_s)
        group->at_s = due.at_s;
    if (due.wall_s < group->wall_s)
        group->wall_s = due.wall_s;
}

void session_due_all(struct session_dues *dues)
{
    for (uint32_t i = 0; i < dues->count; i++) {
        if (dues->groups[i].at_s != SESSION_DUE_NEVER)
            dues->groups[i].at_s = 0;
    }
}

bool session_due_take(struct session_dues *dues, struct session_due now, uint32_t *slot)
{
    for (uint32_t seen = 0; seen < dues->count; seen++) {
        const uint32_t number = dues->next;
        struct session_due *group = &dues->groups[number];
        dues->next = number + 1 < dues->count ? number + 1 : 0;
        if (group->at_s > now.at_s && group->wall_s > now.wall_s)
            continue;
        *group = never;
        *slot = number * SESSION_DUE_GROUP;
        return true;
    }
    return false;
}

void session_due_reset(struct session_dues *dues)
{
    free(dues->groups);
    *dues = (struct session_dues){0};
}
