/* websocket.h: WebSocket (RFC 6455) after its handshake (websocket_upgrade.h), sans-I/O: bytes <-> messages. For both sides.
 *
 * packet   what the RFC calls a frame: a header of 2 to 14 bytes, and its payload. A message is one or more of them; pings, pongs and
 *          closes, of one packet each, may stand between them
 * piece    what has arrived of a message: payload is handed over as it comes and never gathered, so what a peer claims of a length
 *          costs no memory
 *
 * Only binary messages are taken, no extension is ever agreed on. */
#ifndef PETREL_WIRE_WEBSOCKET_H
#define PETREL_WIRE_WEBSOCKET_H

#include "base/bytes.h"

#define WEBSOCKET_HEADER_MAX 14U
#define WEBSOCKET_SERVER_HEADER_MAX 10U /* of a packet that is not masked */
#define WEBSOCKET_CONTROL_MAX 125U      /* payload of a ping, pong or close */

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

/* The close codes that are used here beside session codes, which are valid ones as they stand. */
enum websocket_code {
    WEBSOCKET_CODE_NORMAL = 1000,
    WEBSOCKET_CODE_GOING_AWAY = 1001,
    WEBSOCKET_CODE_PROTOCOL_ERROR = 1002,
    WEBSOCKET_CODE_UNSUPPORTED_DATA = 1003,
    WEBSOCKET_CODE_NONE = 1005, /* the peer's close named none; never sent */
    WEBSOCKET_CODE_INVALID_DATA = 1007,
    WEBSOCKET_CODE_TOO_BIG = 1009,
};

enum websocket_side { WEBSOCKET_SERVER, WEBSOCKET_CLIENT };

enum websocket_event_kind {
    WEBSOCKET_EVENT_MORE,   /* everything was taken; feed more when it comes */
    WEBSOCKET_EVENT_PIECE,  /* payload of a binary message; ends: the last of it */
    WEBSOCKET_EVENT_PING,   /* payload is to be sent back in a pong */
    WEBSOCKET_EVENT_PONG,   /* nothing is to be done */
    WEBSOCKET_EVENT_CLOSE,  /* code; to be answered with a close and the end of the connection */
    WEBSOCKET_EVENT_BROKEN, /* the peer breaks the protocol: close with code and reason. Feed nothing more */
};

struct websocket_event {
    enum websocket_event_kind kind;
    struct bytes payload; /* until the next call */
    bool ends;
    uint16_t code;
    const char *reason; /* of BROKEN; static storage */
};

/* What is remembered between reads. {0} is ready; it need not be kept while websocket_reader_idle(). */
struct websocket_reader {
    uint64_t left;    /* of the packet's payload */
    uint64_t message; /* bytes of the message so far */
    uint8_t head[WEBSOCKET_HEADER_MAX];
    uint8_t head_len;
    bool in_payload;
    bool in_message; /* a packet of it came that was not its last */
    uint8_t turned;  /* bytes that the mask was used for, modulo 4 */
    uint8_t control_len;
    uint8_t control[WEBSOCKET_CONTROL_MAX];
};

/* Take bytes from the front of *in until something happens. side is who reads: a server takes masked packets only, a client none that
 * are. max_message: bytes of one message. scratch is lent for the payload, and may be shared by many readers. */
void websocket_read(struct websocket_reader *reader, enum websocket_side side, uint64_t max_message, struct bytes *in,
                    struct bytebuf *scratch, struct websocket_event *out);
/* Between two messages, with nothing read of the next. */
bool websocket_reader_idle(const struct websocket_reader *reader);

/* A server's header for a message of one packet, or a control packet. Its length. */
size_t websocket_header(uint8_t out[WEBSOCKET_SERVER_HEADER_MAX], enum websocket_opcode opcode, uint64_t len);
/* Append a whole packet as that side sends it; mask: what a client masks with, NULL for a server. ends: nothing more of the message
 * follows. */
void websocket_put(struct bytebuf *out, enum websocket_opcode opcode, bool ends, const uint8_t mask[4],
                   struct bytes payload);
/* Append a server's close; code WEBSOCKET_CODE_NONE: without one. reason is cut to what fits. */
void websocket_put_close(struct bytebuf *out, uint32_t code, const char *reason);

#endif
