/* device.h: a device of a test: libpetrel on a libuv loop of its own, and what its application saw.
 *
 * seen   the data of each message in order, a space after each: "1 2 3 "
 * gaps   messages that the server said are lost, summed */
#ifndef PETREL_SYSTEM_DEVICE_H
#define PETREL_SYSTEM_DEVICE_H

#include "petrel/client.h"
#include "system/rig.h"

struct device;

/* Connect with this token, from this state (NULL: a new installation). It is the rig's, which turns and frees it. */
struct device *device_open(struct rig *rig, const char *token, const struct petrel_state *state);
/* Register it first. NULL when that was refused. */
struct device *device_join(struct rig *rig, const char *user, const char *name);
/* Say goodbye and wait until the connection is gone; it can be opened again. Whether it is in time. */
bool device_leave(struct rig *rig, struct device *device);
/* The network is gone, without a word. The client comes back by itself, when it is turned. */
void device_cut(struct device *device);
/* Come back, with the state that was saved, to where the rig's daemon is now. */
void device_return(struct rig *rig, struct device *device);

/* For the rig: let what is due happen; free it. */
void device_turn(struct device *device);
void device_free(struct device **device);

const char *device_seen(const struct device *device);
void device_forget(struct device *device); /* what was seen so far */
size_t device_count(const struct device *device);
uint64_t device_gaps(const struct device *device);
unsigned device_connects(const struct device *device);
enum petrel_verdict device_verdict(const struct device *device); /* of the last connect; 0: none */
uint32_t device_code(const struct device *device);               /* of the last end of a session; 0: none */
bool device_stopped(const struct device *device);                /* by a code that forbids to try again */
bool device_last_high(const struct device *device);
const char *device_token(const struct device *device);
const struct petrel_state *device_saved(const struct device *device);

/* Turn all devices until this one saw `seen`, as a whole; until it has connected `connects` times in all; until it stopped. */
bool device_sees(struct rig *rig, struct device *device, const char *seen);
bool device_connected(struct rig *rig, struct device *device, unsigned connects);
bool device_stops(struct rig *rig, struct device *device);

#endif
