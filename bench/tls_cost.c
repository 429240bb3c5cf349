/* petrel-tls-cost: what TLS costs a session node, without sockets: CPU per record and per handshake, memory per idle connection.
 *
 * Both ends are in this process, on one loop that does not run, made of the very code that streams use. Bytes of memory are of both
 * ends of a connection, halved; CPU is of the end that is named. */
#include "base/err.h"
#include "base/object.h"
#include "loop/tls_conn.h"
#include "loop/tls_loop.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_MAX 65536U
#define RECORD_BYTES_MAX ((size_t)256 * 1024 * 1024) /* sealed for one figure */
#define RECORDS_MAX 400000U
#define HANDSHAKES 2000U
#define IN_FLIGHT 64U
#define BEGUN 2000U

struct end {
    struct tls_conn *conn;
    struct bytebuf wire; /* what the other has still to read */
    double cpu_s;
};

struct pair {
    struct end client;
    struct end server;
};

struct cost {
    struct loop *loop;
    struct tls_loop *tls;
    struct tls_identity identity;
    struct tls_client *client;
    struct tls_server *server;
    struct bytebuf session; /* to resume with */
    uint8_t buffer[READ_MAX];
};

static double cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t rss_bytes(void)
{
    unsigned long pages = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    int got = file != NULL ? fscanf(file, "%lu %lu", &pages, &resident) : 0;
    if (file != NULL)
        (void)fclose(file);
    return got == 2 ? resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* ---- handshakes ---- */

static void take_out(struct cost *cost, struct end *from)
{
    bytes_append(&from->wire, cost->tls->out.ptr, cost->tls->out.len);
    cost->tls->out.len = 0;
    if (cost->tls->session.len > 0) {
        cost->session.len = 0;
        bytes_append(&cost->session, cost->tls->session.ptr, cost->tls->session.len);
        cost->tls->session.len = 0;
    }
}

static void read_all(struct cost *cost, struct end *to, struct end *from)
{
    double began = cpu_s();
    size_t kept = tls_conn_partial(to->conn, cost->buffer);
    petrel_assert(kept + from->wire.len <= sizeof cost->buffer);
    memcpy(cost->buffer + kept, from->wire.ptr, from->wire.len);
    struct bytes data;
    int rc = tls_conn_read(to->conn, cost->buffer, kept + from->wire.len, &data);
    petrel_assert(rc == 0);
    from->wire.len = 0;
    take_out(cost, to);
    to->cpu_s += cpu_s() - began;
}

static void begin(struct cost *cost, struct pair *pair, struct bytes session)
{
    double began = cpu_s();
    *pair = (struct pair){0};
    pair->server.conn = tls_conn_accept(cost->tls, NULL, cost->server, bytes_of("", 0));
    int rc = tls_conn_begin(pair->server.conn);
    petrel_assert(rc == 0);
    pair->server.cpu_s = cpu_s() - began;
    rc = tls_conn_connect(&pair->client.conn, cost->tls, NULL, cost->client, "localhost", session);
    petrel_assert(rc == 0);
    take_out(cost, &pair->client);
}

static void finish(struct cost *cost, struct pair *pair)
{
    while (pair->client.wire.len > 0 || pair->server.wire.len > 0) {
        if (pair->client.wire.len > 0)
            read_all(cost, &pair->server, &pair->client);
        if (pair->server.wire.len > 0)
            read_all(cost, &pair->client, &pair->server);
    }
    petrel_assert(tls_conn_open(pair->client.conn) && tls_conn_open(pair->server.conn));
    bytes_reset(&pair->client.wire);
    bytes_reset(&pair->server.wire);
}

static void end_pair(struct pair *pair)
{
    tls_conn_free(pair->client.conn);
    tls_conn_free(pair->server.conn);
}

static void measure_handshakes(struct cost *cost, bool resume)
{
    double server_s = 0;
    double client_s = 0;
    for (unsigned i = 0; i < HANDSHAKES; i++) {
        struct pair pair;
        begin(cost, &pair, resume ? bytes_view(&cost->session) : bytes_of("", 0));
        finish(cost, &pair);
        server_s += pair.server.cpu_s;
        client_s += pair.client.cpu_s;
        end_pair(&pair);
    }
    printf("handshake, %-8s server %6.1f us (%6.0f a second and core), client %6.1f us\n",
           resume ? "resumed:" : "full:", server_s / HANDSHAKES * 1e6, HANDSHAKES / server_s,
           client_s / HANDSHAKES * 1e6);
}

/* ---- memory ---- */

static void measure_idle(struct cost *cost, size_t count, const char *what)
{
    struct pair *pairs = object_zalloc(count * sizeof *pairs);
    memset(pairs, 1, count * sizeof *pairs); /* so that its own pages are there */
    (void)malloc_trim(0);
    size_t before = rss_bytes();
    for (size_t at = 0; at < count; at += IN_FLIGHT) {
        size_t end = at + IN_FLIGHT < count ? at + IN_FLIGHT : count;
        for (size_t i = at; i < end; i++)
            begin(cost, &pairs[i], bytes_of("", 0));
        for (size_t i = at; i < end; i++)
            finish(cost, &pairs[i]);
    }
    size_t untrimmed = rss_bytes();
    (void)malloc_trim(0);
    size_t after = rss_bytes();
    printf("idle connection, %-13s %6.0f bytes (%.0f before malloc_trim), %zu connections\n", what,
           (double)(after - before) / (double)count / 2, (double)(untrimmed - before) / (double)count / 2, count);
    for (size_t i = 0; i < count; i++)
        end_pair(&pairs[i]);
    free(pairs);
}

/* Servers that have answered, and clients that wait for that. */
static void measure_begun(struct cost *cost, size_t count)
{
    struct pair *pairs = object_zalloc(count * sizeof *pairs);
    memset(pairs, 1, count * sizeof *pairs);
    (void)malloc_trim(0);
    size_t before = rss_bytes();
    for (size_t i = 0; i < count; i++) {
        begin(cost, &pairs[i], bytes_of("", 0));
        read_all(cost, &pairs[i].server, &pairs[i].client);
        bytes_reset(&pairs[i].client.wire);
        bytes_reset(&pairs[i].server.wire);
    }
    printf("handshake under way:           %6.0f bytes, %zu connections\n",
           (double)(rss_bytes() - before) / (double)count / 2, count);
    for (size_t i = 0; i < count; i++)
        end_pair(&pairs[i]);
    free(pairs);
}

/* ---- records ---- */

static void measure_records(struct cost *cost, enum tls_suite suite, const char *name, size_t len)
{
    struct tls_record ours;
    struct tls_record theirs;
    const uint8_t secrets[2][TLS_SECRET_MAX] = {{1}, {2}};
    tls_record_init(&ours, cost->tls->cipher, suite, false, secrets[0], secrets[1], 0, 0);
    tls_record_init(&theirs, cost->tls->cipher, suite, true, secrets[1], secrets[0], 0, 0);
    unsigned count = RECORD_BYTES_MAX / len < RECORDS_MAX ? (unsigned)(RECORD_BYTES_MAX / len) : RECORDS_MAX;
    double began = cpu_s();
    for (unsigned i = 0; i < count; i++)
        (void)tls_record_seal(&ours, cost->tls->cipher, cost->tls->seal, len);
    double seal_s = cpu_s() - began;
    ours.out_seq = 0;
    began = cpu_s();
    for (unsigned i = 0; i < count; i++) {
        struct bytes data;
        struct bytes sealed = tls_record_seal(&ours, cost->tls->cipher, cost->tls->seal, len);
        int rc = tls_record_open(&theirs, cost->tls->cipher, (uint8_t *)(uintptr_t)sealed.ptr, sealed.len, &data);
        petrel_assert(rc == 0);
    }
    double open_s = cpu_s() - began - seal_s;
    printf("record, %-22s %6zu bytes: seal %7.3f us, open %7.3f us\n", name, len, seal_s / count * 1e6,
           open_s / count * 1e6);
}

/* ---- life ---- */

static void set_up(struct cost *cost, bool compact)
{
    char why[TLS_WHY_SIZE] = "";
    tls_server_unref(cost->server);
    tls_client_unref(cost->client);
    struct tls_server_config server = {.identities = &cost->identity, .identities_count = 1, .compact = compact};
    struct tls_client_config client = {.insecure = true, .sessions = true, .compact = compact};
    if (tls_server_new(&cost->server, &server, why) != 0 || tls_client_new(&cost->client, &client, why) != 0) {
        fprintf(stderr, "petrel-tls-cost: %s\n", why);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    size_t count = argc == 4 ? strtoul(argv[3], NULL, 10) : 20000;
    if (argc < 3 || argc > 4 || count == 0) {
        fputs("usage: petrel-tls-cost CERT.pem KEY.pem [CONNECTIONS]\n", stderr);
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    struct cost *cost = object_zalloc(sizeof *cost);
    cost->identity = (struct tls_identity){argv[1], argv[2]};
    if (loop_new(&cost->loop, &(struct loop_config){0}) != 0)
        return 1;
    tls_loop_limit(cost->loop, &(struct tls_limits){.kept = UINT32_MAX}, NULL);
    cost->tls = tls_loop_of(cost->loop);
    set_up(cost, true);
    static const char *const names[] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
    const size_t sizes[] = {100, 1024, TLS_DATA_MAX};
    for (int suite = 0; suite < TLS_SUITES; suite++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            measure_records(cost, (enum tls_suite)suite, names[suite], sizes[i]);
    }
    measure_handshakes(cost, false);
    measure_handshakes(cost, true);
    measure_idle(cost, count, "compact:");
    measure_begun(cost, BEGUN);
    set_up(cost, false);
    measure_idle(cost, count < 5000 ? count : 5000, "OpenSSL's:");
    loop_free(&cost->loop);
    tls_server_unref(cost->server);
    tls_client_unref(cost->client);
    bytes_reset(&cost->session);
    free(cost);
    return 0;
}
