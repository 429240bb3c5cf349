/* bench_tls.h: --tls: the certificate of the server that is started, and what its handshakes were. */
#ifndef PETREL_BENCH_BENCH_TLS_H
#define PETREL_BENCH_BENCH_TLS_H

#include <stdbool.h>

struct bench;

/* The server's, so far; 0 without --tls. */
struct bench_handshakes {
    double full;
    double resumed;
};

/* Make a certificate that signs itself (ECDSA, P-256) for "localhost", with its key. false: errno says why. */
bool bench_tls_certify(const char *cert_file, const char *key_file);

struct bench_handshakes bench_tls_handshakes(struct bench *bench);
/* Those since `before` as figures: handshakes_full, handshakes_resumed, share_resumed (0 to 1); and what server_cpu_us_per_connect,
 * which has to be there, comes to: handshakes_per_second_per_core, each with the whole connect around it. None without --tls. */
void bench_tls_figures(struct bench *bench, const struct bench_handshakes *before);

#endif
