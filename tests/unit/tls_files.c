#include "unit/tls_files.h"

#include "base/object.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define RSA_BITS 2048
#define DAYS 30

static void extend(X509 *certificate, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
    petrel_assert(extension != NULL);
    (void)X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

struct terms {
    const char *name;
    const char *hosts;
    int days;
    const char *use;
};

static X509 *certify(EVP_PKEY *key, const struct terms *terms, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *certificate = X509_new();
    petrel_assert(certificate != NULL);
    (void)X509_set_version(certificate, 2);
    (void)ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), (uint64_t)(uintptr_t)key);
    const int from = terms->days < 0 ? terms->days - 1 : 0;
    (void)X509_time_adj_ex(X509_getm_notBefore(certificate), from, -3600, NULL);
    (void)X509_time_adj_ex(X509_getm_notAfter(certificate), terms->days, 0, NULL);
    (void)X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)terms->name, -1, -1, 0);
    (void)X509_set_issuer_name(certificate, X509_get_subject_name(issuer != NULL ? issuer : certificate));
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer != NULL ? issuer : certificate, certificate, NULL, NULL, 0);
    if (issuer == NULL)
        extend(certificate, &context, NID_basic_constraints, "critical,CA:TRUE");
    else
        extend(certificate, &context, NID_subject_alt_name, terms->hosts);
    if (terms->use != NULL)
        extend(certificate, &context, NID_ext_key_usage, terms->use);
    int signature = X509_sign(certificate, issuer_key, EVP_sha256());
    petrel_assert(signature > 0);
    return certificate;
}

static FILE *create(char path[TLS_FILES_PATH], const struct tls_files *files, const char *name, const char *suffix)
{
    (void)snprintf(path, TLS_FILES_PATH, "%s/%s.%s", files->dir.path, name, suffix);
    FILE *file = fopen(path, "w");
    petrel_assert(file != NULL);
    return file;
}

static void write_certificate(const struct tls_files *files, const char *name, X509 *certificate,
                              char path[TLS_FILES_PATH])
{
    FILE *file = create(path, files, name, "crt");
    int written = PEM_write_X509(file, certificate);
    petrel_assert(written == 1);
    (void)fclose(file);
}

void tls_files_make(struct tls_files *files)
{
    bool made = tmpdir_make(&files->dir);
    petrel_assert(made);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    petrel_assert(key != NULL);
    /* Of two that a test makes, each has its own name: else one would be taken for the other, with a wrong signature. */
    const struct terms terms = {.name = files->dir.path, .days = DAYS};
    X509 *certificate = certify(key, &terms, NULL, key);
    write_certificate(files, "ca", certificate, files->ca);
    files->ca_certificate = certificate;
    files->ca_key = key;
}

void tls_files_remove(struct tls_files *files)
{
    X509_free(files->ca_certificate);
    EVP_PKEY_free(files->ca_key);
    tmpdir_remove(&files->dir);
}

static void issue(struct tls_files *files, EVP_PKEY *key, const struct terms *terms, struct tls_pair *out)
{
    petrel_assert(key != NULL);
    X509 *certificate = certify(key, terms, files->ca_certificate, files->ca_key);
    write_certificate(files, terms->name, certificate, out->cert);
    FILE *file = create(out->key, files, terms->name, "key");
    int written = PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    petrel_assert(written == 1);
    (void)fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void tls_files_issue(struct tls_files *files, const char *name, const char *hosts, bool rsa, struct tls_pair *out)
{
    const struct terms terms = {name, hosts, DAYS, NULL};
    issue(files, rsa ? EVP_RSA_gen(RSA_BITS) : EVP_EC_gen("P-256"), &terms, out);
}

void tls_files_issue_for(struct tls_files *files, const char *name, const char *hosts, int days, const char *use,
                         struct tls_pair *out)
{
    const struct terms terms = {name, hosts, days, use};
    issue(files, EVP_EC_gen("P-256"), &terms, out);
}
