/* protocol.h: what a connection speaks, by its first byte: protocols share a port.
 *
 * To add one: a row in protocol_of() that no other's first byte meets, and a case in session_greet.c. */
#ifndef PETREL_WIRE_PROTOCOL_H
#define PETREL_WIRE_PROTOCOL_H

#include <stdint.h>

enum protocol {
    PROTOCOL_NONE,   /* nothing that is served here */
    PROTOCOL_NATIVE, /* 0x01: frames, from CONNECT on */
    PROTOCOL_TLS,    /* 0x16: a handshake record; what it carries has a first byte of its own */
    PROTOCOL_HTTP,   /* 'A' to 'Z': a method. That of PROXY too, where none is expected */
};

static inline enum protocol protocol_of(uint8_t first)
{
    if (first == 0x01)
        return PROTOCOL_NATIVE;
    if (first == 0x16)
        return PROTOCOL_TLS;
    return first >= 'A' && first <= 'Z' ? PROTOCOL_HTTP : PROTOCOL_NONE;
}

#endif
