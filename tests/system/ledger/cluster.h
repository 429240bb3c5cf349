/* cluster.h: a cluster of the ledger's own, by deploy/cluster: brought up, given the app and its devices, looked through, taken down. */
#ifndef PETREL_LEDGER_CLUSTER_H
#define PETREL_LEDGER_CLUSTER_H

#include "lib/tmpdir.h"
#include "system/ledger/cut.h"
#include "system/ledger/ledger.h"
#include "system/ledger/operate.h"

#define CLUSTER_SESSIONS 3
#define CLUSTER_MESSAGES 2
#define CLUSTER_ZOOKEEPERS 3

struct cluster {
    struct ledger *ledger;
    struct operate operate;
    struct cuts cuts;
    struct tmpdir tmp; /* unless a directory was named */
    char dir[TMPDIR_PATH_MAX];
    bool up;   /* there is something to take down */
    bool good; /* the last command of cluster_run() */
};

/* Bring it up; make the app, the key and the devices (tenant.h). Blocks, while the loop runs. */
bool cluster_set_up(struct cluster *cluster, struct ledger *ledger, char **tokens);
/* The port of that kind ("session", "api", "port" ...) of a process; 0: there is none. */
uint16_t cluster_port(const struct cluster *cluster, const char *name, const char *kind);
/* All processes are there and ready, still. If not that is told. */
bool cluster_is_well(struct cluster *cluster);
/* End everything. Whether all ended in order and no node has complained of itself; if not that is told. */
bool cluster_take_down(struct cluster *cluster);
/* Remove its directory, if it is the ledger's own; or keep it, and tell where it is. */
void cluster_free(struct cluster *cluster, bool keep);

#endif
