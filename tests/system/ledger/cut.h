/* cut.h: relays on the ways between a cluster's processes, to cut them without either side's help. Nodes are told of the relays by
 * their flags (see deploy/cluster --help): a message node advertises the relay before its peer port, a node asks ZooKeeper by the
 * relays before it. */
#ifndef PETREL_LEDGER_CUT_H
#define PETREL_LEDGER_CUT_H

#include "base/rng.h"
#include "lib/relay.h"

#include <stddef.h>

#define CUT_MAX 8
#define CUT_RELAYS_MAX 3
#define CUT_NAME_MAX 32

enum cut_kind { CUT_LINK, CUT_PATH };

struct cut {
    enum cut_kind kind;
    char name[CUT_NAME_MAX]; /* the node */
    struct relay *relays[CUT_RELAYS_MAX];
};

struct cuts {
    struct cut list[CUT_MAX];
    size_t count;
};

/* Put relays before these ports, and into the node's flags below dir; it has to be started anew. Whether it could be done. */
bool cut_add(struct cuts *cuts, enum cut_kind kind, const char *dir, const char *name, const uint16_t *ports,
             size_t count);
/* One of that kind; there is one. */
struct cut *cut_draw(struct cuts *cuts, enum cut_kind kind, struct rng *rng);
void cut_hold(struct cut *cut, bool held);
/* Take all away, the flags too. */
void cut_reset(struct cuts *cuts, const char *dir);

#endif
