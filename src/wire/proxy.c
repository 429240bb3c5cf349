#include "wire/proxy.h"

#include "base/err.h"

#include <arpa/inet.h>

#define V1_MAX 107U /* a line and its end, as the specification has it */
#define V1_FIELDS 4
#define V2_FIXED 16U
#define V2_V4_BYTES 12U
#define V2_V6_BYTES 36U

static const uint8_t V1_BEGIN[] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const uint8_t V2_BEGIN[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 'Q', 'U', 'I', 'T', 0x0a};

/* Whether the input may go on to begin so. */
static bool may_begin(struct bytes in, const uint8_t *begin, size_t len)
{
    return memcmp(in.ptr, begin, in.len < len ? in.len : len) == 0;
}

static void skip(struct bytes *in, size_t count)
{
    *in = bytes_of(in->ptr + count, in->len - count);
}

/* ---- version 1 ---- */

static bool read_port(const char *text, uint16_t *out)
{
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0' || (text[0] == '0' && digits > 1))
        return false;
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (uint32_t)(text[i] - '0');
    *out = (uint16_t)value;
    return value <= UINT16_MAX;
}

static bool read_ip(const char *text, bool v4, struct netaddr *out)
{
    uint8_t ip[4];
    if (!v4)
        return inet_pton(AF_INET6, text, out->ip) == 1;
    if (inet_pton(AF_INET, text, ip) != 1)
        return false;
    netaddr_from_v4(out, ip, out->port);
    return true;
}

/* Cut the line at its single spaces: source, destination, source's port, destination's port. */
static bool split(char *line, char *fields[V1_FIELDS])
{
    for (size_t i = 0; i < V1_FIELDS; i++) {
        fields[i] = line;
        line = strchr(line, ' ');
        if ((line == NULL) != (i == V1_FIELDS - 1))
            return false;
        if (line != NULL)
            *line++ = '\0';
    }
    return true;
}

/* What follows "PROXY ", without the line's end. */
static int read_line(char *line, struct proxy_header *out)
{
    if (strcmp(line, "UNKNOWN") == 0 || strncmp(line, "UNKNOWN ", 8) == 0)
        return 0;
    const bool v4 = strncmp(line, "TCP4 ", 5) == 0;
    char *fields[V1_FIELDS];
    struct netaddr ours = {0};
    if ((!v4 && strncmp(line, "TCP6 ", 5) != 0) || !split(line + 5, fields))
        return PETREL_E_INVALID;
    if (!read_port(fields[2], &out->peer.port) || !read_port(fields[3], &ours.port) ||
        !read_ip(fields[0], v4, &out->peer) || !read_ip(fields[1], v4, &ours))
        return PETREL_E_INVALID;
    out->known = true;
    return 0;
}

static int take_v1(struct bytes *in, struct proxy_header *out)
{
    const size_t window = in->len < V1_MAX ? in->len : V1_MAX;
    const uint8_t *end = memchr(in->ptr, '\n', window);
    if (end == NULL)
        return window < V1_MAX ? PETREL_E_NEED_MORE : PETREL_E_INVALID;
    const size_t len = (size_t)(end - in->ptr);
    if (len <= sizeof V1_BEGIN || in->ptr[len - 1] != '\r' || memchr(in->ptr, '\0', len) != NULL)
        return PETREL_E_INVALID;
    char line[V1_MAX];
    const size_t text_len = len - 1 - sizeof V1_BEGIN;
    memcpy(line, in->ptr + sizeof V1_BEGIN, text_len);
    line[text_len] = '\0';
    const int rc = read_line(line, out);
    if (rc == 0)
        skip(in, len + 1);
    return rc;
}

/* ---- version 2 ---- */

static uint16_t u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* family: high half 1 IPv4, 2 IPv6, 3 a Unix socket, 0 not told; low half 1 a stream, 2 datagrams, 0 not told. */
static int read_addresses(uint8_t family, struct bytes in, struct proxy_header *out)
{
    switch (family) {
    case 0x11:
        if (in.len < V2_V4_BYTES)
            return PETREL_E_INVALID;
        netaddr_from_v4(&out->peer, in.ptr, u16(in.ptr + 8));
        out->known = true;
        return 0;
    case 0x21:
        if (in.len < V2_V6_BYTES)
            return PETREL_E_INVALID;
        memcpy(out->peer.ip, in.ptr, NETADDR_IP_BYTES);
        out->peer.port = u16(in.ptr + 32);
        out->known = true;
        return 0;
    default:
        return family >> 4 <= 3 && (family & 0x0f) <= 2 ? 0 : PETREL_E_INVALID;
    }
}

static int take_v2(struct bytes *in, struct proxy_header *out)
{
    if (in->len < V2_FIXED)
        return PETREL_E_NEED_MORE;
    const uint8_t command = in->ptr[12]; /* the version, 2, and what it is about: 0 LOCAL, 1 PROXY */
    const size_t len = u16(in->ptr + 14);
    if (command != 0x20 && command != 0x21)
        return PETREL_E_INVALID;
    if (len > PROXY_HEADER_MAX - V2_FIXED)
        return PETREL_E_TOO_LARGE;
    if (in->len - V2_FIXED < len)
        return PETREL_E_NEED_MORE;
    const int rc = command == 0x21 ? read_addresses(in->ptr[13], bytes_of(in->ptr + V2_FIXED, len), out) : 0;
    if (rc == 0)
        skip(in, V2_FIXED + len);
    return rc;
}

int proxy_take(struct bytes *in, struct proxy_header *out)
{
    struct proxy_header header = {0};
    int rc = PETREL_E_NEED_MORE;
    *out = header;
    if (in->len == 0)
        return rc;
    if (may_begin(*in, V1_BEGIN, sizeof V1_BEGIN))
        rc = take_v1(in, &header);
    else if (may_begin(*in, V2_BEGIN, sizeof V2_BEGIN))
        rc = take_v2(in, &header);
    else
        rc = PETREL_E_INVALID;
    if (rc == 0)
        *out = header;
    return rc;
}
