#include "base/netaddr.h"

#include "base/err.h"
#include "base/object.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define V4_AT 12 /* of an IPv4 address in its 16 bytes */
#define IP_BITS 128U
#define V4_BITS 32U
#define OWNER_BYTES 8
#define ITEM_MAX 64

static const uint8_t V4_PREFIX[V4_AT] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void netaddr_from_v4(struct netaddr *out, const uint8_t ip[4], uint16_t port)
{
    memcpy(out->ip, V4_PREFIX, V4_AT);
    memcpy(out->ip + V4_AT, ip, 4);
    out->port = port;
}

void netaddr_format(const struct netaddr *address, char out[NETADDR_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN];
    bool v4 = memcmp(address->ip, V4_PREFIX, V4_AT) == 0;
    const char *text = inet_ntop(v4 ? AF_INET : AF_INET6, address->ip + (v4 ? V4_AT : 0), host, sizeof host);
    petrel_assert(text != NULL);
    (void)snprintf(out, NETADDR_TEXT_SIZE, v4 ? "%s:%u" : "[%s]:%u", text, (unsigned)address->port);
}

/* An IPv4 address is told by its last 8 bytes: as a network of IPv6 they would be in a block that nobody is given. */
uint64_t netaddr_owner(const uint8_t ip[NETADDR_IP_BYTES])
{
    const uint8_t *from = memcmp(ip, V4_PREFIX, V4_AT) == 0 ? ip + NETADDR_IP_BYTES - OWNER_BYTES : ip;
    uint64_t owner = 0;
    for (size_t i = 0; i < OWNER_BYTES; i++)
        owner = owner << 8 | from[i];
    return owner;
}

/* ---- networks ---- */

static void mask(const struct netaddr_network *network, const uint8_t ip[NETADDR_IP_BYTES],
                 uint8_t out[NETADDR_IP_BYTES])
{
    for (size_t i = 0; i < NETADDR_IP_BYTES; i++) {
        const unsigned before = (unsigned)i * 8;
        const unsigned bits = network->bits > before ? network->bits - before : 0;
        out[i] = (uint8_t)(ip[i] & (bits >= 8 ? 0xffU : 0xffU << (8 - bits)));
    }
}

/* A mask's length, or false. */
static bool read_bits(const char *text, unsigned most, unsigned *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0')
        return false;
    unsigned value = 0;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned)(text[i] - '0');
    *out = value;
    return value <= most;
}

static bool read_network(char *text, struct netaddr_network *out)
{
    char *slash = strchr(text, '/');
    if (slash != NULL)
        *slash = '\0';
    const bool v4 = inet_pton(AF_INET, text, out->ip + V4_AT) == 1;
    if (v4)
        memcpy(out->ip, V4_PREFIX, V4_AT);
    else if (inet_pton(AF_INET6, text, out->ip) != 1)
        return false;
    const unsigned most = v4 ? V4_BITS : IP_BITS;
    unsigned bits = most;
    if (slash != NULL && !read_bits(slash + 1, most, &bits))
        return false;
    out->bits = (uint8_t)(bits + (IP_BITS - most));
    uint8_t masked[NETADDR_IP_BYTES];
    mask(out, out->ip, masked);
    return memcmp(masked, out->ip, sizeof masked) == 0;
}

/* Take the next item of a list, without the spaces around it. False: it is longer than any. */
static bool take_item(const char **text, char out[ITEM_MAX])
{
    const char *from = *text + strspn(*text, " \t");
    size_t len = strcspn(from, ",");
    *text = from + len + (from[len] == ',');
    while (len > 0 && (from[len - 1] == ' ' || from[len - 1] == '\t'))
        len--;
    if (len >= ITEM_MAX)
        return false;
    memcpy(out, from, len);
    out[len] = '\0';
    return true;
}

int netaddr_set_parse(const char *text, struct netaddr_set *out)
{
    struct netaddr_set set = {0};
    *out = set;
    while (text[strspn(text, " \t")] != '\0') {
        char item[ITEM_MAX];
        if (set.count == NETADDR_SET_MAX || !take_item(&text, item) || !read_network(item, &set.networks[set.count]))
            return PETREL_E_INVALID;
        set.count++;
    }
    *out = set;
    return 0;
}

bool netaddr_set_has(const struct netaddr_set *set, const uint8_t ip[NETADDR_IP_BYTES])
{
    for (size_t i = 0; i < set->count; i++) {
        uint8_t masked[NETADDR_IP_BYTES];
        mask(&set->networks[i], ip, masked);
        if (memcmp(masked, set->networks[i].ip, sizeof masked) == 0)
            return true;
    }
    return false;
}
