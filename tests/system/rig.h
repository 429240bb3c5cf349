/* rig.h: a real petreld with an app "shop" and an API key of it, and what a backend does with them.
 *
 * Devices of device.h that run beside it are turned by rig_until(). */
#ifndef PETREL_SYSTEM_RIG_H
#define PETREL_SYSTEM_RIG_H

#include "lib/daemon.h"
#include "lib/http_call.h"

#include <stdint.h>

#define RIG_WAIT_MS 30000 /* far beyond what anything here takes: only a failure waits so long */
#define RIG_DEVICES_MAX 32

struct device;

struct rig {
    struct daemon daemon;
    struct http_call http; /* the last answer */
    char key[128];
    char id[512]; /* of the last message that was sent */
    struct device *devices[RIG_DEVICES_MAX];
    char tail[4096]; /* the daemon's log, for failures */
};

/* Start, make the app and the key. args as for daemon_start(). The rest is false or 0 without it. */
bool rig_begin(struct rig *rig, const char *const *args);
/* Only the folder, for tests that start by themselves; then rig_start() and rig_make_app(). */
bool rig_prepare(struct rig *rig);
bool rig_start(struct rig *rig, const char *const *args);
bool rig_make_app(struct rig *rig);
/* Kill what runs, forget the devices, remove the folder. */
void rig_end(struct rig *rig);
/* End it with this signal and start it again on the same data. Devices stay as they are: their address is of the past. */
bool rig_restart(struct rig *rig, int signal, const char *const *args);

/* Turn the devices until the condition holds; whether it did. */
bool rig_until(struct rig *rig, bool (*condition)(void *ctx), void *ctx);

/* POST, GET, DELETE on the send API with the app's key; path is printf's. The HTTP status. */
long rig_post(struct rig *rig, const char *body, const char *path, ...) __attribute__((format(printf, 3, 4)));
long rig_get(struct rig *rig, const char *path, ...) __attribute__((format(printf, 2, 3)));
long rig_delete(struct rig *rig, const char *path, ...) __attribute__((format(printf, 2, 3)));

/* Send `data` (any JSON text) to "user" or "user/device", with further members (",\"ttl\":5") or "". The status; rig->id. */
long rig_send(struct rig *rig, const char *to, const char *data, const char *more);
/* The state of a message, "PENDING"; of the last answer's error, "CONFLICT"; "" when there is none. */
const char *rig_state(struct rig *rig, const char *id);
const char *rig_error(const struct rig *rig);
/* Register the device and return its token, to be freed; NULL when it was refused. */
char *rig_register(struct rig *rig, const char *user, const char *device);
/* A metric of /metrics, summed; -1: it is not there. */
long long rig_metric(struct rig *rig, const char *name);
/* Whether the daemon's log holds this text. */
bool rig_logged(const struct rig *rig, const char *text);
const char *rig_tail(struct rig *rig);

#endif
