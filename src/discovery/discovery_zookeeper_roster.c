#include "discovery/discovery_zookeeper_roster.h"

#include "base/object.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *left, const void *right)
{
    const struct discovery_zookeeper_member *a = left, *b = right;
    return strcmp(a->node.name, b->node.name);
}

static bool link_is_up(const struct discovery_zookeeper_roster *roster, const struct discovery_zookeeper_member *member)
{
    return roster->is_link_up != NULL && roster->is_link_up(roster->ctx, &member->node);
}

static struct discovery_zookeeper_member *find(struct discovery_zookeeper_member *members, size_t count,
                                               const struct discovery_zookeeper_member *like)
{
    return count > 0 ? bsearch(like, members, count, sizeof *members, by_name) : NULL;
}

/* The listed ones, sorted, in an array with room for the members of before. */
static struct discovery_zookeeper_member *take_listed(const struct discovery_zookeeper_roster *roster,
                                                      const struct discovery_node *nodes, size_t count, const char *but,
                                                      size_t *taken)
{
    struct discovery_zookeeper_member *members = object_zalloc((count + roster->count + 1) * sizeof *members);
    *taken = 0;
    for (size_t i = 0; i < count; i++) {
        if (but == NULL || strcmp(nodes[i].name, but) != 0)
            members[(*taken)++].node = nodes[i];
    }
    qsort(members, *taken, sizeof *members, by_name);
    return members;
}

size_t discovery_zookeeper_roster_list(struct discovery_zookeeper_roster *roster, const struct discovery_node *nodes,
                                       size_t count, const char *but, uint64_t now_ms)
{
    size_t listed;
    struct discovery_zookeeper_member *members = take_listed(roster, nodes, count, but, &listed);
    size_t total = listed;
    for (size_t i = 0; i < roster->count; i++) {
        struct discovery_zookeeper_member member = roster->members[i];
        if (find(members, listed, &member) != NULL)
            continue;
        if (!member.gone)
            member.gone_ms = now_ms;
        member.gone = true;
        if (member.held || now_ms - member.gone_ms <= roster->window_ms)
            members[total++] = member;
    }
    /* Of all nodes that there were, this one included. */
    const bool most = (total - listed) * 2 > total + (but != NULL);
    size_t caught = 0;
    for (size_t i = listed; i < total; i++) {
        const bool held = (most || members[i].held) && link_is_up(roster, &members[i]);
        caught += held && !members[i].held;
        members[i].held = held;
    }
    qsort(members, total, sizeof *members, by_name);
    free(roster->members);
    roster->members = members;
    roster->count = total;
    return caught;
}

void discovery_zookeeper_roster_forget(struct discovery_zookeeper_roster *roster, const char *name)
{
    for (size_t i = 0; i < roster->count; i++) {
        if (strcmp(roster->members[i].node.name, name) != 0)
            continue;
        memmove(&roster->members[i], &roster->members[i + 1], (roster->count - i - 1) * sizeof *roster->members);
        roster->count--;
        return;
    }
}

bool discovery_zookeeper_roster_recheck(struct discovery_zookeeper_roster *roster)
{
    bool changed = false;
    for (size_t i = 0; i < roster->count; i++) {
        struct discovery_zookeeper_member *member = &roster->members[i];
        if (member->held && !link_is_up(roster, member)) {
            member->held = false;
            changed = true;
        }
    }
    return changed;
}

bool discovery_zookeeper_roster_holds(const struct discovery_zookeeper_roster *roster)
{
    for (size_t i = 0; i < roster->count; i++) {
        if (roster->members[i].held)
            return true;
    }
    return false;
}

size_t discovery_zookeeper_roster_shown(const struct discovery_zookeeper_roster *roster, struct discovery_node *out)
{
    size_t shown = 0;
    for (size_t i = 0; i < roster->count; i++) {
        if (!roster->members[i].gone || roster->members[i].held)
            out[shown++] = roster->members[i].node;
    }
    return shown;
}

void discovery_zookeeper_roster_reset(struct discovery_zookeeper_roster *roster)
{
    free(roster->members);
    roster->members = NULL;
    roster->count = 0;
}
