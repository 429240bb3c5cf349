/* api_rig_cluster.h: what the rig's API finds around it: sessions of the rig's node, and nodes in view. Private to the rig. */
#ifndef PETREL_TESTS_API_RIG_CLUSTER_H
#define PETREL_TESTS_API_RIG_CLUSTER_H

#include "unit/api_rig.h"

#define API_RIG_NODE 1
#define API_RIG_INCARNATION 77

struct link_server api_rig_cluster_sessions(struct api_rig *rig);
/* Make rig->shown a discovery. */
void api_rig_cluster_view(struct api_rig *rig);

#endif
