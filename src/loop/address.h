/* address.h: numeric addresses as the kernel takes them. Private to this room. */
#ifndef PETREL_LOOP_ADDRESS_H
#define PETREL_LOOP_ADDRESS_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* 0 or PETREL_E_INVALID: neither an IPv4 nor an IPv6 address in numbers. */
int address_parse(const char *host, uint16_t port, union address *out, socklen_t *size);

#endif
