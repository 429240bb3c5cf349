#include "unit/tls_forge.h"

#include "base/object.h"

void tls_forge_start(struct tls_forge *forge, enum tls_suite suite)
{
    uint8_t secrets[2][TLS_SECRET_MAX];
    for (size_t i = 0; i < TLS_SECRET_MAX; i++) {
        secrets[0][i] = (uint8_t)(i * 3 + 1);
        secrets[1][i] = (uint8_t)(i * 5 + 2);
    }
    forge->cipher = tls_cipher_new();
    petrel_assert(forge->cipher != NULL);
    tls_record_init(&forge->client, forge->cipher, suite, true, secrets[0], secrets[1], 0, 0);
    tls_record_init(&forge->server, forge->cipher, suite, false, secrets[1], secrets[0], 0, 0);
}

void tls_forge_stop(struct tls_forge *forge)
{
    tls_record_wipe(&forge->client);
    tls_record_wipe(&forge->server);
    tls_cipher_free(&forge->cipher);
}

size_t tls_forge_record(struct tls_forge *forge, struct tls_record *from, uint8_t type, struct bytes content,
                        size_t padding)
{
    size_t inner = content.len + 1 + padding;
    size_t sealed = inner + TLS_TAG_SIZE;
    petrel_assert(TLS_HEADER_SIZE + sealed <= sizeof forge->bytes);
    uint8_t *out = forge->bytes;
    const uint8_t header[] = {23, 3, 3, (uint8_t)(sealed >> 8), (uint8_t)sealed};
    memcpy(out, header, sizeof header);
    if (content.len > 0)
        memmove(out + TLS_HEADER_SIZE, content.ptr, content.len);
    out[TLS_HEADER_SIZE + content.len] = type;
    memset(out + TLS_HEADER_SIZE + content.len + 1, 0, padding);
    tls_cipher_seal(forge->cipher, from->suite, &from->out, from->out_seq++, out, out + TLS_HEADER_SIZE, inner);
    return TLS_HEADER_SIZE + sealed;
}

int tls_forge_to_client(struct tls_forge *forge, uint8_t type, struct bytes content, struct bytes *data)
{
    size_t size = tls_forge_record(forge, &forge->server, type, content, 0);
    return tls_record_open(&forge->client, forge->cipher, forge->bytes, size, data);
}

int tls_forge_to_server(struct tls_forge *forge, uint8_t type, struct bytes content, struct bytes *data)
{
    size_t size = tls_forge_record(forge, &forge->client, type, content, 0);
    return tls_record_open(&forge->server, forge->cipher, forge->bytes, size, data);
}
