/* options.h: what one run of the ledger is. */
#ifndef PETREL_LEDGER_OPTIONS_H
#define PETREL_LEDGER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    uint32_t kills;
    uint32_t devices;
    uint32_t rate; /* messages a second, of all senders */
    uint32_t senders;
    uint32_t seconds; /* under load, in all */
    uint64_t seed;
    bool drop_one;
    bool topics;         /* some messages go to topics */
    bool tls;            /* devices speak it */
    bool ws;             /* and this, within it or without */
    uint32_t turns;      /* how often devices change what they are subscribed to */
    const char *petreld; /* the binary */
    /* With a cluster: */
    bool cluster;
    uint32_t faults; /* fault_parse() */
    bool replicated;
    bool keep;
    const char *dir; /* NULL: a temporary one */
    const char *bin; /* the folder of petreld and petrelctl */
};

/* 0: run; 1: --help was printed; 2: wrong usage, which was told. */
int options_parse(struct options *options, int argc, char **argv);

#endif
