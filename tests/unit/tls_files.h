/* tls_files.h: an authority and certificates of its own, in a folder of the test's. */
#ifndef PETREL_TESTS_TLS_FILES_H
#define PETREL_TESTS_TLS_FILES_H

#include "lib/tmpdir.h"

#include <stdbool.h>

#define TLS_FILES_PATH 256

struct tls_files {
    struct tmpdir dir;
    char ca[TLS_FILES_PATH]; /* PEM */
    void *ca_certificate;    /* X509 and EVP_PKEY of it */
    void *ca_key;
};

struct tls_pair {
    char cert[TLS_FILES_PATH];
    char key[TLS_FILES_PATH];
};

void tls_files_make(struct tls_files *files);
void tls_files_remove(struct tls_files *files);
/* Certify a new key for hosts, as subjectAltName has them ("DNS:a.test,DNS:*.b.test,IP:127.0.0.1"), in the files <name>.crt and
 * <name>.key. */
void tls_files_issue(struct tls_files *files, const char *name, const char *hosts, bool rsa, struct tls_pair *out);
/* The same with an EC key, until so many days from now (below 0: until then), for such a use only, as extendedKeyUsage has it (NULL:
 * any). */
void tls_files_issue_for(struct tls_files *files, const char *name, const char *hosts, int days, const char *use,
                         struct tls_pair *out);

#endif
