/* link_local.h: links between the roles of one process: the message role is asked on the caller's own loop, tells to other loops
 * travel by mailbox, a batch per loop and turn. */
#ifndef PETREL_DISCOVERY_LINK_LOCAL_H
#define PETREL_DISCOVERY_LINK_LOCAL_H

#include "discovery/link.h"

/* Tells under way to one loop; one more is dropped with PETREL_E_BUSY and makes that loop's link dirty. APPS is not dropped. */
#define LINK_LOCAL_WAITING_MAX 65536

struct link_local; /* the process's set of links, one per loop */

/* Make the set for count loops; loop i has index i. Main thread, before the loops run. node, incarnation: this process's. */
struct link_local *link_local_new(uint32_t node, uint64_t incarnation, struct loop *const *loops, size_t count);
/* The link of loops[index]; owned by the set. */
struct link *link_local_at(struct link_local *set, size_t index);
/* What leads out of this process, on its way to the loop that holds the connection: as the process's own calls and tells, with the
 * same batches and bounds, but to the LINK_FAR server of loops[index]. On the loop of from, which must not be closed for a call. The
 * caller fills the call's far_node and far_loop, and its done. */
void link_local_pass(struct link *from, size_t index, struct link_call *call);
int link_local_carry(struct link *from, size_t index, const struct peer_msg *msg);
/* After the loops have been freed, which runs the mail that was still under way. No call may be under way (asserted): a role
 * closes when its calls have come back. NULL inside is fine. */
void link_local_free(struct link_local **set);

#endif
