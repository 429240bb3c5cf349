#include "session/session_checks.h"

#include "base/object.h"
#include "session/session_bind.h"
#include "session/session_conn.h"
#include "session/session_flow.h"
#include "session/session_impl.h"
#include "session/session_topics.h"
#include "wire/peer_check.h"

#include <stdlib.h>

#define GROUP_MAGIC OBJECT_MAGIC('S', 'C', 'H', 'G')

struct session_check_group {
    uint32_t magic;
    uint32_t count;
    struct session_role *role;
    struct link_call link;
    struct bytebuf entries;
    struct session_agenda_item members[PEER_CHECKS_MAX];
};

static void on_verdict(struct session *session, enum peer_verdict verdict)
{
    metrics_add(session_role_of(session)->metrics, METRIC_CHECKS_FAILED, 1);
    switch (verdict) {
    case PEER_SAME:
    case PEER_UNKNOWN:
        return;
    case PEER_BEHIND:
        /* A page that is under way may have been read before what this check saw. */
        if ((session->flags & SESSION_PAGING) != 0)
            session_agenda_want(session, SESSION_WANT_CHECK);
        else
            session_flow_fall_behind(session);
        session_busy_settle(session);
        return;
    case PEER_UNROUTED:
        session_bind_again(session);
        return;
    case PEER_REPLACED:
        session_conn_fail(session, SESSION_CODE_REPLACED, NULL);
        return;
    case PEER_CHANGED:
        session_topics_refresh(session);
        return;
    }
}

/* NULL: it has ended. */
static struct session *member(const struct session_check_group *group, uint32_t number)
{
    const struct session_agenda_item *item = &group->members[number];
    struct session *session = session_table_find(&group->role->table, item->slot, item->generation);
    return session != NULL && session->state == CONN_LIVE ? session : NULL;
}

static void ask_all_again(struct session_check_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        struct session *session = member(group, i);
        if (session != NULL)
            session_agenda_want(session, SESSION_WANT_CHECK);
    }
    session_agenda_failed(group->role);
}

static void read_answer(const struct session_check_group *group, const struct peer_checked *checked)
{
    bool unknown = false;
    session_agenda_succeeded(group->role);
    for (uint32_t i = 0; i < checked->count; i++) {
        const struct peer_differing *differing = &checked->differing[i];
        struct session *session = differing->entry < group->count ? member(group, differing->entry) : NULL;
        if (session == NULL)
            continue;
        if (differing->verdict == PEER_UNKNOWN) {
            session_agenda_want(session, SESSION_WANT_CHECK);
            unknown = true;
            continue;
        }
        on_verdict(session, (enum peer_verdict)differing->verdict);
    }
    if (unknown)
        session_agenda_failed(group->role);
}

static void end(struct session_check_group *group)
{
    bytes_reset(&group->entries);
    group->magic = 0;
    free(group);
}

static void on_checked(struct link_call *link)
{
    struct session_check_group *group = container_of(link, struct session_check_group, link);
    object_check(group, GROUP_MAGIC);
    struct session_role *role = group->role;
    role->checks.under_way--;
    if (link->reply.status == 0)
        read_answer(group, link->reply.checked);
    else
        ask_all_again(group);
    end(group);
    role->calls.under_way--;
    session_agenda_resume(role);
    session_role_finish_if_idle(role);
}

bool session_checks_room(const struct session_role *role)
{
    return role->checks.open != NULL || role->checks.under_way < SESSION_CHECKS_GROUPS_MAX;
}

static struct session_check_group *open_group(struct session_role *role)
{
    if (role->checks.open != NULL)
        return role->checks.open;
    struct session_check_group *group = object_alloc(sizeof *group);
    group->magic = GROUP_MAGIC;
    group->count = 0;
    group->role = role;
    group->entries = (struct bytebuf){0};
    role->checks.open = group;
    return group;
}

void session_checks_add(struct session *session)
{
    struct session_role *role = session_role_of(session);
    petrel_assert(session_checks_room(role));
    if ((session->flags & SESSION_PAGING) != 0) {
        session_agenda_want(session, SESSION_WANT_CHECK);
        return;
    }
    session_busy_settle(session);
    struct session_check_group *group = open_group(role);
    const struct peer_check check = {
        .target = session_identity_target(session->who),
        .position = session->at,
        .route = session_route(session),
        .attempt = session->who->attempt,
        .version = session_topics_believes(session),
    };
    peer_check_put(&group->entries, &check);
    group->members[group->count++] = (struct session_agenda_item){check.route.slot, check.route.generation};
    if (group->count == PEER_CHECKS_MAX)
        session_checks_send(role);
}

void session_checks_send(struct session_role *role)
{
    struct session_check_group *group = role->checks.open;
    if (group == NULL)
        return;
    role->checks.open = NULL;
    group->link.in = (struct peer_msg){.type = PEER_CHECK};
    group->link.in.check = (struct peer_checks){
        .route = {.incarnation = role->config.incarnation, .node = role->config.node, .loop = loop_index(role->loop)},
        .count = group->count,
        .entries = bytes_view(&group->entries),
    };
    metrics_add(role->metrics, METRIC_CHECKS, (int64_t)group->count);
    if (link_ask(role->link, &group->link, on_checked) != 0) {
        ask_all_again(group);
        end(group);
        return;
    }
    role->checks.under_way++;
    role->calls.under_way++;
}
