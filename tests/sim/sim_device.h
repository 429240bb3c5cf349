/* sim_device.h: a phone: libpetrel's sans-I/O core on the simulated network, and an app that stores a message's effect and its
 * position together, so that it owes nothing and gets nothing twice across its own crashes.
 *
 * durable   what its disk holds: the state to begin again with */
#ifndef PETREL_SIM_SIM_DEVICE_H
#define PETREL_SIM_SIM_DEVICE_H

#include "petrel/client.h"
#include "sim/loop/sim_net.h"
#include "sim/sim_book.h"

struct sim_device {
    struct sim *sim;
    struct sim_book *book;
    uint32_t number;
    uint16_t first_port; /* of the session nodes */
    uint16_t ports;
    const char *token;
    struct petrel_core *core;
    struct petrel_state durable;
    struct sim_conn *conn;
    bool opened;
    bool topics;    /* its client takes them */
    uint32_t hurry; /* the topic that it asks for as soon as it is connected; 0: none */
    uint32_t node;  /* that it connects to, or is connected to */
    bool on;        /* the app runs */
    bool stalled;
    bool crashed;
    uint32_t crash_in; /* messages until the app crashes in its callback; 0: it does not */
    struct sim_event tick;
    struct sim_event begin; /* the next connect, or the app's start */
    struct sim_event stall;
};

/* What its token says is its user and name; the sessions' ports are [first_port, first_port + ports). */
void sim_device_init(struct sim_device *device, struct sim *sim, struct sim_book *book, uint32_t number,
                     const char *token, uint16_t first_port, uint16_t ports, bool topics);
void sim_device_free(struct sim_device *device);

/* Start the app, if it is not running. */
void sim_device_start(struct sim_device *device);
/* The connection ends: with a FIN; by a break that both sides see; or the device leaves without a word, and what it had sent
 * arrives late_us later. */
void sim_device_drop(struct sim_device *device);
void sim_device_vanish(struct sim_device *device, uint64_t late_us);
/* Read nothing for so long. */
void sim_device_stall(struct sim_device *device, uint64_t us);
/* The app dies while it handles the messages-th message from now on, and starts again off_us later; 0: at once. */
void sim_device_crash(struct sim_device *device, uint32_t messages, uint64_t off_us);
/* Switch off: say goodbye, start again off_us later. */
void sim_device_switch_off(struct sim_device *device, uint64_t off_us);
/* Follow a topic, or no longer. */
void sim_device_subscribe(struct sim_device *device, uint32_t topic, bool follow);
/* Stand still no more. */
void sim_device_calm(struct sim_device *device);
bool sim_device_is_up(const struct sim_device *device);

#endif
