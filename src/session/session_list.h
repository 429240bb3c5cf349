/* session_list.h: the loop's sessions as records, for those who administer them. Private to this room. */
#ifndef PETREL_SESSION_SESSION_LIST_H
#define PETREL_SESSION_SESSION_LIST_H

#include "session/session_impl.h"

/* The live sessions from asked->slot on that match. A call looks at a bounded number of slots: next_slot says where to go on,
 * even when nothing was found. */
struct peer_session_list session_list_collect(const struct session_role *role, const struct peer_sessions *asked);

#endif
