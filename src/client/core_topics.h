/* core_topics.h: topics in the core: positions, which the state holds and CONNECT carries, and what the server says of them. Private to
 * this room. Nothing of a topic is acked: its position is the device's own. */
#ifndef PETREL_CLIENT_CORE_TOPICS_H
#define PETREL_CLIENT_CORE_TOPICS_H

#include "client/core.h"

/* The state's topic of that name; NULL: none. */
struct petrel_topic *core_topics_find(struct petrel_core *core, struct bytes name);
/* The positions for CONNECT, borrowed from the state. */
uint32_t core_topics_list(const struct petrel_core *core, struct session_topic_position out[SESSION_TOPICS_MAX]);
/* Whether the PUSH is one to hand on: the state has moved to it. 0: not; 1: yes; negative: what is wrong is in *why. */
int core_topics_accept(struct petrel_core *core, const struct session_push *push, const char **why);
void core_topics_gap(struct petrel_core *core, const struct session_gap *gap);
void core_topics_subscribed(struct petrel_core *core, const struct session_subscribed *subscribed);

#endif
