/* capabilities.h: what a thread may do beyond its user. The kernel keeps capabilities for each thread, and a new one has those of who
 * started it. */
#ifndef PETREL_LOOP_CAPABILITIES_H
#define PETREL_LOOP_CAPABILITIES_H

#include <stdbool.h>

/* Of all that the calling thread has, keep CAP_NET_BIND_SERVICE, to open ports below 1024, and nothing else. Whether that worked. */
bool capabilities_keep_bind(void);
/* The calling thread has none from here on, unless it is root's. Workers and loops that open no listeners begin with it. */
void capabilities_shed(void);

#endif
