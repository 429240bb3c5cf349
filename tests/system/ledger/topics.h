/* topics.h: what the ledger sends to beside users: topics, everybody, conditions; and who is meant by it.
 *
 * set      the topics that a device is subscribed to, a bit each
 * log      in which a device's messages are in order: a topic by its number, `all`, or the inbox
 * target   a topic, `all`, or a condition: as the API takes it, and as sets meet it, by the ledger's own reckoning */
#ifndef PETREL_LEDGER_TOPICS_H
#define PETREL_LEDGER_TOPICS_H

#include "base/rng.h"

#include <stdbool.h>
#include <stdint.h>

#define TOPICS_COUNT 6U
#define TOPICS_ALL TOPICS_COUNT
#define TOPICS_INBOX (TOPICS_COUNT + 1)
#define TOPICS_LOGS (TOPICS_COUNT + 2)

/* Of a log: "" for the inbox. */
const char *topics_name(uint32_t log);
/* The log of that name; -1: there is none. */
int topics_find(const char *name);

uint32_t topics_draw(struct rng *rng);
/* Its `to`, in JSON. */
const char *topics_to(uint32_t target);
/* Whether it is for a device with that set. */
bool topics_meets(uint32_t target, uint8_t set);
/* Whether it may come by that log to such a device. */
bool topics_comes_by(uint32_t target, uint8_t set, uint32_t log);

/* Half of the devices are subscribed to something; of all, a third change something each turn. */
uint8_t topics_first_set(struct rng *rng);
uint8_t topics_next_set(struct rng *rng, uint8_t set);

#endif
