/* discovery_single.h: discovery for one process: it knows itself. */
#ifndef PETREL_DISCOVERY_DISCOVERY_SINGLE_H
#define PETREL_DISCOVERY_DISCOVERY_SINGLE_H

#include "base/clock.h"
#include "discovery/discovery.h"

/* 0. */
int discovery_single_open(struct discovery **out, const struct clock *clock);

#endif
