/* tls_site.h: push.test: an authority of the test's own, the certificate that it gave the site, and servers that show it. */
#ifndef PETREL_TESTS_TLS_SITE_H
#define PETREL_TESTS_TLS_SITE_H

#include "loop/tls.h"
#include "unit/tls_files.h"

struct tls_site {
    struct tls_files files;
    struct tls_pair pair; /* for push.test and 127.0.0.1 */
};

void tls_site_make(struct tls_site *site);
void tls_site_remove(struct tls_site *site);

/* A server that shows the certificate, and is what config says in all else. Ends with tls_server_unref(). */
struct tls_server *tls_site_server(const struct tls_site *site, struct tls_server_config config);

/* Set-up and tear-down of a group of tests that share a site, which is their state. */
int tls_site_set_up(void **state);
int tls_site_tear_down(void **state);

#endif
