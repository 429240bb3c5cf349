/* api_topic_send.h: what differs where a message goes to a topic or a condition: into which logs, under which terms. Private to this
 * room.
 *
 * A condition is sent as its parts (wire/condition.h), one after the other; it is accepted when all of them are. The message has one
 * id, by which devices know it; an append's id tells a retry of the part from another part. */
#ifndef PETREL_API_API_TOPIC_SEND_H
#define PETREL_API_API_TOPIC_SEND_H

#include "api/api_error.h"
#include "api/api_impl.h"
#include "wire/condition.h"

struct api_send;

struct api_topic_send {
    bool is; /* else it goes to a user */
    struct condition condition;
    uint32_t parts;
    bool duplicate; /* all parts so far were */
    struct id id;
    struct bytebuf packed; /* of the part under way */
};

/* Exactly one of topic and condition is there. Sets the target, whose device stands for the topic. 0, or negative with
 * send->error set. */
int api_topic_send_read(struct api_send *send, struct bytes app, struct bytes topic, struct bytes condition);
/* Turn the call, filled as for a user, into that of the first part. */
void api_topic_send_begin(struct api_send *send, uint32_t rate);
/* That part was accepted: fill the call of the next; or none is left: false. */
bool api_topic_send_next(struct api_send *send);
void api_topic_send_reset(struct api_topic_send *topic);

#endif
