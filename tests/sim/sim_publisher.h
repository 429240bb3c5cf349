/* sim_publisher.h: backends that publish to topics and subscribe devices, as the API role does: through a link, again while the
 * outcome is unknown, for 20 s. A message with a condition goes part by part, and is accepted when each of them is. */
#ifndef PETREL_SIM_SIM_PUBLISHER_H
#define PETREL_SIM_SIM_PUBLISHER_H

#include "discovery/link.h"
#include "sim/sim_book.h"

#define SIM_CONDITIONS 7 /* that there are to choose from */

struct sim_publisher;

struct sim_publish {
    uint32_t topic;
    uint32_t condition; /* 0: none; else a condition's number, and topic does not count */
    uint32_t rate;      /* devices a second; 0: as fast as it goes */
    uint64_t ttl_ms;
    uint32_t bytes;
};

/* On a node of its own. */
struct sim_publisher *sim_publisher_new(struct sim *sim, struct sim_book *book, struct link *link);
/* After its node went down. */
void sim_publisher_free(struct sim_publisher **publisher);
void sim_publisher_publish(struct sim_publisher *publisher, const struct sim_publish *publish);
void sim_publisher_subscribe(struct sim_publisher *publisher, uint32_t device, uint32_t topic, bool subscribe);
/* Calls that are not settled. */
uint32_t sim_publisher_busy(const struct sim_publisher *publisher);
/* Ask nothing again. */
void sim_publisher_stop(struct sim_publisher *publisher);

#endif
