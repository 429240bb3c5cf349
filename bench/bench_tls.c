#include "bench_tls.h"

#include "bench.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

#define DAYS 30
#define AN_HOUR_AGO (-3600L) /* clocks differ */
#define SUBJECT "localhost"

static bool add_name(X509 *certificate)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "DNS:" SUBJECT);
    const bool added = names != NULL && X509_add_ext(certificate, names, -1) == 1;
    X509_EXTENSION_free(names);
    return added;
}

static bool fill_in(X509 *certificate, EVP_PKEY *key)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), AN_HOUR_AGO) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), DAYS, 0, NULL) != NULL &&
           X509_set_pubkey(certificate, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)SUBJECT, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 && add_name(certificate) &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

static FILE *create(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL && fd >= 0)
        close(fd);
    return file;
}

static bool write_key(const char *path, EVP_PKEY *key)
{
    FILE *file = create(path);
    const bool written = file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    return file != NULL && fclose(file) == 0 && written;
}

static bool write_certificate(const char *path, X509 *certificate)
{
    FILE *file = create(path);
    const bool written = file != NULL && PEM_write_X509(file, certificate) == 1;
    return file != NULL && fclose(file) == 0 && written;
}

bool bench_tls_certify(const char *cert_file, const char *key_file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    const bool made = key != NULL && certificate != NULL && fill_in(certificate, key) && write_key(key_file, key) &&
                      write_certificate(cert_file, certificate);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return made;
}

struct bench_handshakes bench_tls_handshakes(struct bench *bench)
{
    if (!bench->options.tls)
        return (struct bench_handshakes){0};
    return (struct bench_handshakes){
        .full = bench_target_metric(bench, "petrel_tls_handshakes_full_total"),
        .resumed = bench_target_metric(bench, "petrel_tls_handshakes_resumed_total"),
    };
}

void bench_tls_figures(struct bench *bench, const struct bench_handshakes *before)
{
    if (!bench->options.tls)
        return;
    const struct bench_handshakes now = bench_tls_handshakes(bench);
    const double full = now.full - before->full, resumed = now.resumed - before->resumed;
    bench_figure(bench, "handshakes_full", full, 0);
    bench_figure(bench, "handshakes_resumed", resumed, 0);
    bench_figure(bench, "share_resumed", full + resumed > 0 ? resumed / (full + resumed) : 0, 3);
    const double us = bench_figure_value(bench, "server_cpu_us_per_connect");
    if (us > 0)
        bench_figure(bench, "handshakes_per_second_per_core", 1e6 / us, 0);
}
