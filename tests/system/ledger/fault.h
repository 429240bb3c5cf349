/* fault.h: what a cluster is to live through. To add a fault: a row in fault.c; where deploy/cluster has no command for it, a kind of
 * cut in cut.h. */
#ifndef PETREL_LEDGER_FAULT_H
#define PETREL_LEDGER_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULT_COUNT 13
#define FAULT_NAMES_MAX 400

/* Whom it happens to: the names that deploy/cluster's command is given. */
enum fault_victim {
    FAULT_SESSION,
    FAULT_MESSAGE,
    FAULT_REDIS_MASTER,
    FAULT_REDIS_PAIR, /* two masters */
    FAULT_ZOOKEEPER,
    FAULT_ZOOKEEPERS, /* all */
    FAULT_MARIADB,
    FAULT_LINK, /* a cut: what other nodes have with a message node */
    FAULT_PATH, /* a cut: what a node has with ZooKeeper */
};

struct fault {
    const char *name;
    const char *text;
    enum fault_victim victim;
    const char *begin[3]; /* deploy/cluster's command, and words behind the names; of a cut nothing */
    uint32_t lasts_ms;    /* from when it has begun until its end begins */
    const char *end[3];   /* it is over when this has ended; nothing: with lasts_ms */
    uint32_t about_ms;    /* from its beginning until it is over */
    bool fails_over;      /* a Redis: what was accepted with the durability `standard` may be lost */
};

extern const struct fault fault_table[FAULT_COUNT];

/* A bit per row for names by commas, "all" being every one. 0: there is a name that no fault has. */
uint32_t fault_parse(const char *names);

#endif
