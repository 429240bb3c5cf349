/* session_code.h: why a session ends: the codes in ERROR and GOAWAY.
 *
 * To add one: a line here, and its row in proto/README.md (a test compares the two). */
#ifndef PETREL_WIRE_SESSION_CODE_H
#define PETREL_WIRE_SESSION_CODE_H

#include <stdbool.h>
#include <stdint.h>

/* 3000-3499: reconnect after the backoff. 3500-3999: do not retry with the same token. */
#define SESSION_CODE_TABLE(X)                                                                                          \
    X(3000, SHUTDOWN, "the server is shutting down; reconnect")                                                        \
    X(3001, DRAIN, "this node is being drained; reconnect")                                                            \
    X(3002, OVERLOADED, "the server is overloaded; reconnect after the backoff")                                       \
    X(3003, UNAVAILABLE, "the message service does not answer; reconnect after the backoff")                           \
    X(3004, CONNECT_TIMEOUT, "no CONNECT within the deadline")                                                         \
    X(3005, HEARTBEAT_TIMEOUT, "nothing was heard for one and a half heartbeat intervals")                             \
    X(3006, KICKED, "an operator closed this session; reconnect")                                                      \
    X(3007, TOKEN_EXPIRED, "the token has expired; reconnect with a fresh one")                                        \
    X(3008, SLOW, "the connection did not take its data in time; reconnect")                                           \
    X(3500, PROTOCOL_ERROR, "the frame breaks the protocol")                                                           \
    X(3501, FRAME_TOO_LARGE, "the frame is larger than max_frame_bytes")                                               \
    X(3502, UNKNOWN_TYPE, "no such frame type")                                                                        \
    X(3503, UNSUPPORTED, "this server does not serve that yet")                                                        \
    X(3504, VERSION, "no such protocol version")                                                                       \
    X(3505, TOKEN_INVALID, "the token is malformed or its signature is wrong")                                         \
    X(3506, UNKNOWN_APP, "the token names no app of this server")                                                      \
    X(3507, REVOKED, "the device was revoked")                                                                         \
    X(3508, REPLACED, "a newer session of this device took over")                                                      \
    X(3509, TOO_MANY_DEVICES, "the user has as many devices as are allowed")                                           \
    X(3510, ACK_BEYOND, "an ACK names a position that was not sent")                                                   \
    X(3511, STALE_ATTEMPT, "a CONNECT with a greater attempt was seen; connect with a greater one")                    \
    X(3512, TOO_MANY_TOPICS, "the device follows as many topics as are allowed")                                       \
    X(3513, TOO_FAST, "the device sends more frames or bytes a second than are allowed")                               \
    X(3514, ORIGIN, "pages of this origin may not connect to the app")

enum session_code {
#define SESSION_CODE_ENUM(num, name, text) SESSION_CODE_##name = (num),
    SESSION_CODE_TABLE(SESSION_CODE_ENUM)
#undef SESSION_CODE_ENUM
};

const char *session_code_name(uint32_t code); /* "PROTOCOL_ERROR"; "UNKNOWN" for none of ours */
const char *session_code_text(uint32_t code);
static inline bool session_code_retry(uint32_t code)
{
    return code < 3500;
}

#endif
