/* text.h: what a text field may hold, and the step between borrowed bytes and protobuf-c's. Private to this room. */
#ifndef PETREL_WIRE_TEXT_H
#define PETREL_WIRE_TEXT_H

#include "base/bytes.h"

#include <protobuf-c/protobuf-c.h>

/* Whether text is UTF-8 throughout (RFC 3629), control characters allowed: JSON has line ends. */
bool text_is_utf8(struct bytes text);
/* Whether text is at most max bytes of UTF-8 without control characters, so that it can stand in a log line. */
bool text_is_printable(struct bytes text, size_t max);

static inline struct bytes text_borrow(ProtobufCBinaryData data)
{
    return data.len > 0 ? bytes_of(data.data, data.len) : (struct bytes){NULL, 0};
}

static inline ProtobufCBinaryData text_lend(struct bytes text)
{
    /* Packing only reads; the library's type has no const. */
    return (ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)(uintptr_t)text.ptr};
}

#endif
