#include "base/err.h"
#include "session.pb-c.h"
#include "wire/session_codec.h"
#include "wire/text.h"

#define CODE_MIN 3000
#define CODE_END 4000

int session_decode_topic_name(ProtobufCBinaryData data, struct bytes *out)
{
    /* Topic names follow the rules of device names. */
    *out = text_borrow(data);
    return out->len <= SESSION_TOPIC_MAX && route_valid_device(*out) ? 0 : PETREL_E_PROTOCOL;
}

int session_decode_topic_subscribed(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Subscribed *body = unpacked;
    struct session_subscribed *subscribed = &out->subscribed;
    subscribed->verdict = (enum session_verdict)body->verdict;
    subscribed->lost_at_most = body->lost_at_most;
    subscribed->reason = (enum session_gap_reason)body->reason;
    subscribed->refused = body->refused;
    if (body->position != NULL)
        subscribed->position = (struct position){body->position->epoch, body->position->seq};
    const bool follows = !position_is_none(subscribed->position);
    const int verdict = (int)body->verdict;
    const int reason = (int)body->reason;
    if (verdict < (follows ? SESSION_NEW : 0) || verdict > SESSION_GAPPED)
        return PETREL_E_PROTOCOL;
    if (reason < SESSION_GAP_NONE || reason > SESSION_GAP_TRIMMED)
        return PETREL_E_PROTOCOL;
    if (body->refused != 0 && (body->refused < CODE_MIN || body->refused >= CODE_END || follows))
        return PETREL_E_PROTOCOL;
    return session_decode_topic_name(body->topic, &subscribed->topic);
}
