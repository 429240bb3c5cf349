/* device.h: a phone: libpetrel's core, a socket, and an app that keeps its state where a crash leaves it (app.h).
 *
 * Two in three subscribe by themselves to the topics that the book says; the others leave it to the backend. */
#ifndef PETREL_LEDGER_DEVICE_H
#define PETREL_LEDGER_DEVICE_H

#include "system/ledger/ledger.h"

struct device;

/* Takes the token over. */
struct device *device_new(struct ledger *ledger, uint32_t number, char **token);
/* Whether it leaves its subscriptions to the backend. */
bool device_is_led(uint32_t number);
/* The book says another set: see to it. */
void device_turn(struct device *device);
/* Whether its stored state has the set that the book says, and `all`. */
bool device_has_turned(const struct device *device);
/* Drop the connection, if there is one, and come back soon. */
void device_reconnect(struct device *device);
/* Later, from the loop; counts ledger->open down. */
void device_close(struct device **device);

#endif
