/* netaddr.h: addresses of peers as values, and lists of networks.
 *
 * ip   16 bytes, IPv4 as ::ffff:a.b.c.d, so that one address has one form */
#ifndef PETREL_BASE_NETADDR_H
#define PETREL_BASE_NETADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETADDR_IP_BYTES 16
#define NETADDR_TEXT_SIZE 64 /* of netaddr_format(), with the final NUL */
#define NETADDR_SET_MAX 16   /* networks in a list */

struct netaddr {
    uint8_t ip[NETADDR_IP_BYTES];
    uint16_t port;
};

/* From 4 bytes of IPv4. */
void netaddr_from_v4(struct netaddr *out, const uint8_t ip[4], uint16_t port);
/* "203.0.113.7:51234", "[2001:db8::1]:51234". */
void netaddr_format(const struct netaddr *address, char out[NETADDR_TEXT_SIZE]);
/* Whom a limit by address is for: an IPv4 address, or of IPv6 the network of 64 bits, since the rest is its owner's to choose. Different
 * for different ones. */
uint64_t netaddr_owner(const uint8_t ip[NETADDR_IP_BYTES]);

struct netaddr_network {
    uint8_t ip[NETADDR_IP_BYTES];
    uint8_t bits; /* of ip that count */
};

/* {0} is empty. */
struct netaddr_set {
    size_t count;
    struct netaddr_network networks[NETADDR_SET_MAX];
};

/* From "10.0.0.0/8, 192.0.2.7, 2001:db8::/32"; an empty text is an empty list. Bits beyond the mask must be 0: else the one who wrote it
 * means something else than what would be done. 0, or PETREL_E_INVALID with *out empty. */
int netaddr_set_parse(const char *text, struct netaddr_set *out);
bool netaddr_set_has(const struct netaddr_set *set, const uint8_t ip[NETADDR_IP_BYTES]);

#endif
