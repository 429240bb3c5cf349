#include "wire/websocket.h"

#include "base/object.h"
#include "wire/text.h"

#define FIN 0x80U
#define RESERVED 0x70U
#define OPCODE 0x0fU
#define CONTROL 0x08U
#define MASKED 0x80U
#define LENGTH 0x7fU
#define LENGTH_16 126U
#define LENGTH_64 127U
#define MASK_BYTES 4U
#define CODE_BYTES 2U

/* Codes that may stand in a close: 1000-2999 as the RFC and the registry have them, then ours to give. */
#define CODE_REGISTERED_LAST 1014U
#define CODE_LIBRARIES 3000U
#define CODE_LAST 4999U

static void skip(struct bytes *in, size_t count)
{
    *in = bytes_of(in->ptr + count, in->len - count);
}

static bool broken(struct websocket_event *out, uint16_t code, const char *reason)
{
    *out = (struct websocket_event){.kind = WEBSOCKET_EVENT_BROKEN, .code = code, .reason = reason};
    return false;
}

/* ---- headers ---- */

static size_t length_bytes(uint8_t second)
{
    const unsigned length = second & LENGTH;
    return length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
}

static size_t header_len(const uint8_t *head)
{
    return 2 + length_bytes(head[1]) + ((head[1] & MASKED) != 0 ? MASK_BYTES : 0);
}

static uint64_t payload_len(const uint8_t *head)
{
    const size_t bytes = length_bytes(head[1]);
    uint64_t len = bytes == 0 ? head[1] & LENGTH : 0;
    for (size_t i = 0; i < bytes; i++)
        len = len << 8 | head[2 + i];
    return len;
}

static const uint8_t *mask_of(const struct websocket_reader *reader)
{
    return reader->head + 2 + length_bytes(reader->head[1]);
}

static unsigned opcode_of(const struct websocket_reader *reader)
{
    return reader->head[0] & OPCODE;
}

/* The first two bytes say what the packet is, and a bad one is refused by them. */
static bool check_begin(const struct websocket_reader *reader, enum websocket_side side, struct websocket_event *out)
{
    const uint8_t *head = reader->head;
    const unsigned opcode = opcode_of(reader);
    if ((head[0] & RESERVED) != 0)
        return broken(out, WEBSOCKET_CODE_PROTOCOL_ERROR, "a reserved bit is set: no extension was agreed on");
    if (((head[1] & MASKED) != 0) != (side == WEBSOCKET_SERVER))
        return broken(out, WEBSOCKET_CODE_PROTOCOL_ERROR,
                      side == WEBSOCKET_SERVER ? "a client's frames are masked" : "a server's frames are not masked");
    if ((opcode & CONTROL) != 0) {
        if (opcode > WEBSOCKET_PONG)
            return broken(out, WEBSOCKET_CODE_PROTOCOL_ERROR, "no such opcode");
        if ((head[0] & FIN) == 0 || (head[1] & LENGTH) > WEBSOCKET_CONTROL_MAX)
            return broken(out, WEBSOCKET_CODE_PROTOCOL_ERROR, "a control frame is whole, and of 125 bytes at most");
        return true;
    }
    if (opcode == WEBSOCKET_TEXT)
        return broken(out, WEBSOCKET_CODE_UNSUPPORTED_DATA, "messages are binary here");
    if (opcode > WEBSOCKET_BINARY)
        return broken(out, WEBSOCKET_CODE_PROTOCOL_ERROR, "no such opcode");
    if ((opcode == WEBSOCKET_CONTINUATION) != reader->in_message)
        return broken(out, WEBSOCKET_CODE_PROTOCOL_ERROR,
                      reader->in_message ? "a message begins within another" : "there is no message to continue");
    return true;
}

static bool check_length(struct websocket_reader *reader, uint64_t max_message, struct websocket_event *out)
{
    static const uint64_t least[] = {[0] = 0, [2] = LENGTH_16, [8] = UINT64_C(1) << 16};
    const uint64_t len = payload_len(reader->head);
    if (len < least[length_bytes(reader->head[1])] || len >> 63 != 0)
        return broken(out, WEBSOCKET_CODE_PROTOCOL_ERROR, "a length is not in its shortest form");
    reader->left = len;
    if ((opcode_of(reader) & CONTROL) != 0)
        return true;
    if (len > max_message || reader->message > max_message - len)
        return broken(out, WEBSOCKET_CODE_TOO_BIG, "the message is larger than is taken");
    reader->message += len;
    return true;
}

/* Move bytes into the head until it has `want`. */
static bool gather(struct websocket_reader *reader, struct bytes *in, size_t want)
{
    const size_t missing = want - reader->head_len;
    const size_t step = missing < in->len ? missing : in->len;
    if (step > 0)
        memcpy(reader->head + reader->head_len, in->ptr, step);
    reader->head_len = (uint8_t)(reader->head_len + step);
    skip(in, step);
    return reader->head_len == want;
}

/* True: the header is whole. False: *out says what happened instead. */
static bool read_header(struct websocket_reader *reader, enum websocket_side side, uint64_t max_message,
                        struct bytes *in, struct websocket_event *out)
{
    if (reader->head_len < 2 && (!gather(reader, in, 2) || !check_begin(reader, side, out)))
        return false;
    if (!gather(reader, in, header_len(reader->head)) || !check_length(reader, max_message, out))
        return false;
    reader->in_payload = true;
    reader->turned = 0;
    reader->control_len = 0;
    return true;
}

/* ---- payload ---- */

/* to and from may be the same. */
static void turn(uint8_t *to, const uint8_t *from, size_t len, const uint8_t mask[MASK_BYTES], unsigned turned)
{
    uint8_t wide[8];
    for (size_t i = 0; i < sizeof wide; i++)
        wide[i] = mask[(turned + i) % MASK_BYTES];
    uint64_t key;
    memcpy(&key, wide, sizeof key);
    size_t at = 0;
    for (; len - at >= sizeof key; at += sizeof key) {
        uint64_t word;
        memcpy(&word, from + at, sizeof word);
        word ^= key;
        memcpy(to + at, &word, sizeof word);
    }
    for (; at < len; at++)
        to[at] = from[at] ^ wide[at % sizeof wide];
}

/* What has come of the payload, readable. */
static struct bytes take_payload(struct websocket_reader *reader, struct bytes *in, struct bytebuf *scratch)
{
    const size_t len = reader->left < in->len ? (size_t)reader->left : in->len;
    struct bytes piece = bytes_of(in->ptr, len);
    if ((reader->head[1] & MASKED) != 0 && len > 0) {
        scratch->len = 0;
        turn(bytes_reserve(scratch, len), in->ptr, len, mask_of(reader), reader->turned);
        scratch->len = len;
        reader->turned = (uint8_t)((reader->turned + len) % MASK_BYTES);
        piece = bytes_view(scratch);
    }
    skip(in, len);
    reader->left -= len;
    return piece;
}

static void end_packet(struct websocket_reader *reader)
{
    reader->in_payload = false;
    reader->head_len = 0;
}

static bool code_may_be_sent(unsigned code)
{
    if (code >= CODE_LIBRARIES)
        return code <= CODE_LAST;
    return code >= WEBSOCKET_CODE_NORMAL && code <= CODE_REGISTERED_LAST && code != 1004 &&
           code != WEBSOCKET_CODE_NONE && code != 1006;
}

static void read_close(const struct websocket_reader *reader, struct websocket_event *out)
{
    *out = (struct websocket_event){.kind = WEBSOCKET_EVENT_CLOSE, .code = WEBSOCKET_CODE_NONE};
    if (reader->control_len == 0)
        return;
    const unsigned code = (unsigned)reader->control[0] << 8 | reader->control[1];
    if (reader->control_len < CODE_BYTES || !code_may_be_sent(code)) {
        (void)broken(out, WEBSOCKET_CODE_PROTOCOL_ERROR, "a close names no code that there is");
        return;
    }
    const struct bytes reason = bytes_of(reader->control + CODE_BYTES, reader->control_len - CODE_BYTES);
    if (!text_is_utf8(reason))
        (void)broken(out, WEBSOCKET_CODE_INVALID_DATA, "a close's reason is not UTF-8");
    out->code = out->kind == WEBSOCKET_EVENT_CLOSE ? (uint16_t)code : out->code;
}

/* Whether the packet is whole, so that *out tells of it. */
static bool read_control(struct websocket_reader *reader, struct bytes *in, struct bytebuf *scratch,
                         struct websocket_event *out)
{
    const struct bytes piece = take_payload(reader, in, scratch);
    if (piece.len > 0)
        memcpy(reader->control + reader->control_len, piece.ptr, piece.len);
    reader->control_len = (uint8_t)(reader->control_len + piece.len);
    if (reader->left > 0)
        return false;
    if (opcode_of(reader) == WEBSOCKET_CLOSE)
        read_close(reader, out);
    else
        *out = (struct websocket_event){
            .kind = opcode_of(reader) == WEBSOCKET_PING ? WEBSOCKET_EVENT_PING : WEBSOCKET_EVENT_PONG,
            .payload = bytes_of(reader->control, reader->control_len),
        };
    end_packet(reader);
    return true;
}

static bool read_piece(struct websocket_reader *reader, struct bytes *in, struct bytebuf *scratch,
                       struct websocket_event *out)
{
    const struct bytes piece = take_payload(reader, in, scratch);
    const bool whole = reader->left == 0;
    const bool ends = whole && (reader->head[0] & FIN) != 0;
    if (whole) {
        reader->in_message = !ends;
        reader->message = ends ? 0 : reader->message;
        end_packet(reader);
    }
    *out = (struct websocket_event){.kind = WEBSOCKET_EVENT_PIECE, .payload = piece, .ends = ends};
    return piece.len > 0 || ends;
}

void websocket_read(struct websocket_reader *reader, enum websocket_side side, uint64_t max_message, struct bytes *in,
                    struct bytebuf *scratch, struct websocket_event *out)
{
    for (;;) {
        *out = (struct websocket_event){.kind = WEBSOCKET_EVENT_MORE};
        if (!reader->in_payload && !read_header(reader, side, max_message, in, out))
            return;
        const bool control = (opcode_of(reader) & CONTROL) != 0;
        if (control ? read_control(reader, in, scratch, out) : read_piece(reader, in, scratch, out))
            return;
        if (in->len == 0) {
            *out = (struct websocket_event){.kind = WEBSOCKET_EVENT_MORE};
            return;
        }
    }
}

bool websocket_reader_idle(const struct websocket_reader *reader)
{
    return reader->head_len == 0 && !reader->in_payload && !reader->in_message;
}

/* ---- writing ---- */

static size_t put_header(uint8_t *out, unsigned first, unsigned masked, uint64_t len)
{
    size_t bytes = 0;
    out[0] = (uint8_t)first;
    if (len < LENGTH_16) {
        out[1] = (uint8_t)(masked | (unsigned)len);
    } else {
        bytes = len <= UINT16_MAX ? 2 : 8;
        out[1] = (uint8_t)(masked | (bytes == 2 ? LENGTH_16 : LENGTH_64));
    }
    for (size_t i = 0; i < bytes; i++)
        out[2 + i] = (uint8_t)(len >> 8 * (bytes - 1 - i));
    return 2 + bytes;
}

size_t websocket_header(uint8_t out[WEBSOCKET_SERVER_HEADER_MAX], enum websocket_opcode opcode, uint64_t len)
{
    return put_header(out, FIN | (unsigned)opcode, 0, len);
}

void websocket_put(struct bytebuf *out, enum websocket_opcode opcode, bool ends, const uint8_t mask[MASK_BYTES],
                   struct bytes payload)
{
    uint8_t *at = bytes_reserve(out, WEBSOCKET_HEADER_MAX + payload.len);
    size_t len = put_header(at, (ends ? FIN : 0) | (unsigned)opcode, mask != NULL ? MASKED : 0, payload.len);
    if (mask != NULL) {
        memcpy(at + len, mask, MASK_BYTES);
        len += MASK_BYTES;
        if (payload.len > 0)
            turn(at + len, payload.ptr, payload.len, mask, 0);
    } else if (payload.len > 0) {
        memcpy(at + len, payload.ptr, payload.len);
    }
    out->len += len + payload.len;
}

void websocket_put_close(struct bytebuf *out, uint32_t code, const char *reason)
{
    petrel_assert(code <= CODE_LAST);
    if (code == WEBSOCKET_CODE_NONE) {
        websocket_put(out, WEBSOCKET_CLOSE, true, NULL, (struct bytes){NULL, 0});
        return;
    }
    uint8_t body[WEBSOCKET_CONTROL_MAX];
    struct bytes text = bytes_str(reason);
    if (text.len > WEBSOCKET_CONTROL_MAX - CODE_BYTES)
        text.len = WEBSOCKET_CONTROL_MAX - CODE_BYTES;
    body[0] = (uint8_t)(code >> 8);
    body[1] = (uint8_t)code;
    if (text.len > 0)
        memcpy(body + CODE_BYTES, text.ptr, text.len);
    websocket_put(out, WEBSOCKET_CLOSE, true, NULL, bytes_of(body, CODE_BYTES + text.len));
}
