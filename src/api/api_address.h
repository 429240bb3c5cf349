/* api_address.h: the two opaque texts that senders hold: message ids and device addresses. Private to this room.
 *
 * Both carry their target, so that nothing is looked up to find its log. */
#ifndef PETREL_API_API_ADDRESS_H
#define PETREL_API_API_ADDRESS_H

#include "base/id.h"
#include "base/route.h"
#include "wire/peer.h"

/* A target with its own memory; device is empty for all devices of the user. */
struct api_target {
    char app[ROUTE_APP_MAX + 1];
    char user[ROUTE_USER_MAX + 1];
    char device[ROUTE_DEVICE_MAX + 1];
};

/* Keep texts that route_valid_*() has accepted; an absent one becomes empty. */
void api_address_set_target(struct api_target *target, struct bytes app, struct bytes user, struct bytes device);
/* Borrows from target. */
struct peer_target api_address_peer_target(const struct api_target *target);

/* Append a message id, "<uuid>~<base64url of the user, or of user, a zero byte and device>". */
void api_address_put_message(struct bytebuf *out, const struct id *id, const struct api_target *target);
/* 0, with target->app left alone; PETREL_E_INVALID: no such id was ever given out; PETREL_E_UNSUPPORTED: one of a topic's or a
 * condition's message, which has no state; only id is set. */
int api_address_get_message(struct bytes text, struct id *id, struct api_target *target);

/* Append a device's address: base64url of a version byte, four check bytes over app, user and device, and user, a zero byte
 * and device. The check finds typing errors and addresses of another app; it is no secret. */
void api_address_put_device(struct bytebuf *out, const struct api_target *target);
/* 0, with user and device; PETREL_E_INVALID: none of ours, or not of target->app. */
int api_address_get_device(struct bytes text, struct api_target *target);

#endif
