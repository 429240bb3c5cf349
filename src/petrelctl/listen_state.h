/* listen_state.h: the state file of `petrelctl listen`: which device it is and how far it has come.
 *
 * A JSON object: {"app", "user", "device", "state"}, state in base64url as petrel_state_pack() makes it. Written whole, to the disk,
 * in place of the older one: an interruption leaves one or the other. */
#ifndef PETREL_PETRELCTL_LISTEN_STATE_H
#define PETREL_PETRELCTL_LISTEN_STATE_H

#include "petrel/core.h"
#include "petrelctl/command.h"

#define LISTEN_STATE_DEVICE_SIZE 65

struct listen_state {
    const char *path; /* NULL: nothing is kept */
    const char *app;
    const char *user;
    char device[LISTEN_STATE_DEVICE_SIZE]; /* "": not known yet */
    struct petrel_state position;
};

/* From the file, if there is one; path, app and user are set by the caller. COMMAND_OK; COMMAND_FAILED: unreadable, or of another app,
 * user or device (device "" takes that of the file). */
enum command_exit listen_state_load(struct listen_state *state);
/* COMMAND_OK or COMMAND_FAILED. */
enum command_exit listen_state_save(const struct listen_state *state);

#endif
