/* peer_samples.h: one of each message of the peer protocol, with every field filled; proto/README.md shows some of them in hex. */
#ifndef PETREL_TESTS_UNIT_PEER_SAMPLES_H
#define PETREL_TESTS_UNIT_PEER_SAMPLES_H

#include "wire/peer_codec.h"

#define PEER_SAMPLES_NUMBER 7U /* of every call */

enum peer_samples_kind { PEER_SAMPLES_CALL, PEER_SAMPLES_REPLY, PEER_SAMPLES_TELL };

/* Append the frame of that message. type is a call's, also of a reply, or a tell's. */
void peer_samples_encode(struct bytebuf *out, enum peer_samples_kind kind, enum peer_type type);
/* Decode a frame, whatever it is, and append it encoded again. 0 or PETREL_E_PROTOCOL. */
int peer_samples_recode(struct peer_codec *codec, const struct frame *frame, struct bytebuf *out);
struct peer_hello peer_samples_hello(void);

#endif
