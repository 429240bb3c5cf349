/* tls_forge.h: two ends of a record layer, and records that no honest end would send. */
#ifndef PETREL_TESTS_TLS_FORGE_H
#define PETREL_TESTS_TLS_FORGE_H

#include "loop/tls_record.h"

struct tls_forge {
    struct tls_cipher *cipher;
    struct tls_record client;
    struct tls_record server;
    uint8_t bytes[TLS_HEADER_SIZE + 65536];
};

void tls_forge_start(struct tls_forge *forge, enum tls_suite suite);
void tls_forge_stop(struct tls_forge *forge);

/* A record of any type, with padding, sealed properly as `from`'s next, into forge->bytes. Returns its size. */
size_t tls_forge_record(struct tls_forge *forge, struct tls_record *from, uint8_t type, struct bytes content,
                        size_t padding);
/* The same of the server's, opened by the client, and the other way round. What tls_record_open() says. */
int tls_forge_to_client(struct tls_forge *forge, uint8_t type, struct bytes content, struct bytes *data);
int tls_forge_to_server(struct tls_forge *forge, uint8_t type, struct bytes content, struct bytes *data);

#endif
