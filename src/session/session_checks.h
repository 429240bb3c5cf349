/* session_checks.h: checks on their way to the log and the topics, many to a call. Private to this room.
 *
 * group   sessions whose checks go in one call, named by slot and generation: any may be gone when the answer comes. The open one
 *         takes sessions until it is full or the agenda's round ends. A check leaves no mark on its session: what the answer says
 *         counts only for those of which the log says otherwise */
#ifndef PETREL_SESSION_SESSION_CHECKS_H
#define PETREL_SESSION_SESSION_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

/* Groups under way at a time, so that a loss, after which all sessions check, leaves the store time for others. */
#define SESSION_CHECKS_GROUPS_MAX 4U

struct session;
struct session_role;
struct session_check_group;

struct session_checks {
    struct session_check_group *open; /* NULL between rounds */
    uint32_t under_way;
};

/* Whether one more session can be asked about. */
bool session_checks_room(const struct session_role *role);
/* Ask whether position and route are those of the log, and the subscriptions those of the topics, where there is room; later, if a page
 * is under way, which may be older than what is asked now. */
void session_checks_add(struct session *session);
/* The round ends: the open group goes out. */
void session_checks_send(struct session_role *role);

#endif
