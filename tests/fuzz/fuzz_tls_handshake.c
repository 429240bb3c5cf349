/* A server's TLS before a handshake is done: records from anyone, and a handshake of OpenSSL's own with bytes put over it.
 *
 * The input: a byte (bit 0: what follows is put over a client's flights, else it is all that comes), then steps, each of two bytes of
 * length and so much content. As all that comes, each step is what one read of a socket has. Put over, a step's first two bytes are where
 * in the next flight, and the rest is what stands there then. Whatever it is, the server's end answers, fails or waits. */
#include "base/err.h"
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "loop/tls_conn.h"
#include "loop/tls_loop.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEP_HEADER 2U
#define PLACE 2U
#define FLIGHTS_MAX 8
#define OVER 1U

/* Made once: a certificate takes longer than a handshake. */
struct house {
    struct loop *loop;
    struct tls_loop *tls;
    struct tls_server *server;
    struct tls_client *client;
};

struct steps {
    const uint8_t *at;
    size_t left;
};

struct end {
    struct tls_conn *conn;
    struct bytebuf wire; /* what the other has still to read */
    int status;
};

static bool next(struct steps *steps, struct bytes *content)
{
    if (steps->left < STEP_HEADER)
        return false;
    size_t len = (size_t)steps->at[0] << 8 | steps->at[1];
    size_t room = steps->left - STEP_HEADER;
    *content = bytes_of(steps->at + STEP_HEADER, len < room ? len : room);
    steps->at += STEP_HEADER + content->len;
    steps->left -= STEP_HEADER + content->len;
    return true;
}

/* ---- the house ---- */

static void write_pem(const char *path, EVP_PKEY *key, X509 *certificate)
{
    FILE *file = fopen(path, "w");
    petrel_assert(file != NULL);
    int rc =
        key != NULL ? PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) : PEM_write_X509(file, certificate);
    petrel_assert(rc == 1);
    rc = fclose(file);
    petrel_assert(rc == 0);
}

static struct tls_server *new_server(void)
{
    char cert[] = "/tmp/petrel-fuzz-cert-XXXXXX";
    char key_file[] = "/tmp/petrel-fuzz-key-XXXXXX";
    int fds[] = {mkstemp(cert), mkstemp(key_file)};
    petrel_assert(fds[0] >= 0 && fds[1] >= 0);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    (void)X509_set_version(certificate, X509_VERSION_3);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    (void)X509_set_pubkey(certificate, key);
    int size = X509_sign(certificate, key, EVP_sha256());
    petrel_assert(size > 0);
    write_pem(cert, NULL, certificate);
    write_pem(key_file, key, NULL);
    struct tls_identity identity = {cert, key_file};
    struct tls_server_config config = {.identities = &identity,
                                       .identities_count = 1,
                                       .ticket_secret = bytes_str("a secret of sixteen bytes, or more"),
                                       .alpn = {TLS_ALPN_PETREL_1, TLS_ALPN_HTTP_1_1},
                                       .compact = true};
    char why[TLS_WHY_SIZE];
    struct tls_server *server = NULL;
    int rc = tls_server_new(&server, &config, why);
    petrel_assert(rc == 0);
    for (int i = 0; i < 2; i++)
        (void)close(fds[i]);
    (void)unlink(cert);
    (void)unlink(key_file);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return server;
}

static struct house *the_house(void)
{
    static struct house house;
    if (house.loop != NULL)
        return &house;
    int rc = loop_new(&house.loop, &(struct loop_config){0});
    petrel_assert(rc == 0);
    house.tls = tls_loop_of(house.loop);
    house.server = new_server();
    const struct tls_client_config config = {.insecure = true, .alpn = {TLS_ALPN_PETREL_1}, .compact = true};
    char why[TLS_WHY_SIZE];
    rc = tls_client_new(&house.client, &config, why);
    petrel_assert(rc == 0);
    return &house;
}

/* ---- one input ---- */

/* Read what came, as a stream does: what is left of the last read first. */
static void read_all(struct house *house, struct end *to, struct bytes came, struct bytebuf *answer)
{
    static uint8_t buffer[2 * (TLS_HEADER_SIZE + TLS_ANY_MAX) + 65536];
    size_t kept = tls_conn_partial(to->conn, buffer);
    petrel_assert(kept + came.len <= sizeof buffer);
    memcpy(buffer + kept, came.ptr, came.len);
    struct bytes data;
    to->status = tls_conn_read(to->conn, buffer, kept + came.len, &data);
    petrel_assert(data.len <= kept + came.len);
    petrel_assert(data.len == 0 || tls_conn_open(to->conn));
    petrel_assert(to->status == 0 || to->status == PETREL_E_EOF || to->status == PETREL_E_PROTOCOL ||
                  to->status == PETREL_E_UNAUTHENTICATED);
    bytes_append(answer, house->tls->out.ptr, house->tls->out.len);
    house->tls->out.len = 0;
}

/* A read that ended it is the last. */
static void say(struct house *house, struct end *server, struct steps *steps)
{
    struct bytes content;
    while (server->status == 0 && next(steps, &content)) {
        server->wire.len = 0;
        read_all(house, server, content, &server->wire);
    }
}

static void put_over(struct bytebuf *flight, struct steps *steps)
{
    struct bytes content;
    if (!next(steps, &content) || content.len <= PLACE || flight->len == 0)
        return;
    size_t at = ((size_t)content.ptr[0] << 8 | content.ptr[1]) % flight->len;
    size_t len = content.len - PLACE < flight->len - at ? content.len - PLACE : flight->len - at;
    memcpy(flight->ptr + at, content.ptr + PLACE, len);
}

static void shake_hands(struct house *house, struct end *server, struct steps *steps)
{
    struct end client = {0};
    int rc = tls_conn_connect(&client.conn, house->tls, NULL, house->client, "localhost", bytes_of("", 0));
    petrel_assert(rc == 0);
    bytes_append(&client.wire, house->tls->out.ptr, house->tls->out.len);
    house->tls->out.len = 0;
    const bool untouched = steps->left == 0;
    for (int i = 0; i < FLIGHTS_MAX && client.wire.len > 0 && server->status == 0; i++) {
        put_over(&client.wire, steps);
        server->wire.len = 0;
        read_all(house, server, bytes_view(&client.wire), &server->wire);
        client.wire.len = 0;
        if (server->wire.len > 0 && client.status == 0)
            read_all(house, &client, bytes_view(&server->wire), &client.wire);
    }
    petrel_assert(!untouched || (tls_conn_open(server->conn) && tls_conn_open(client.conn)));
    tls_conn_free(client.conn);
    bytes_reset(&client.wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct house *house = the_house();
    struct steps steps = {data + 1, size - 1};
    struct end server = {.conn = tls_conn_accept(house->tls, NULL, house->server, bytes_of("", 0))};
    int rc = tls_conn_begin(server.conn);
    petrel_assert(rc == 0);
    if ((data[0] & OVER) != 0)
        shake_hands(house, &server, &steps);
    else
        say(house, &server, &steps);
    tls_conn_free(server.conn);
    bytes_reset(&server.wire);
    struct tls_counts counts;
    tls_loop_counts(house->loop, &counts);
    petrel_assert(counts.handshaking + counts.waiting + counts.kept + counts.compact == 0);
    return 0;
}
