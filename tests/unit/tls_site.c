#include "unit/tls_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

void tls_site_make(struct tls_site *site)
{
    tls_files_make(&site->files);
    tls_files_issue(&site->files, "push", "DNS:push.test,IP:127.0.0.1", false, &site->pair);
}

void tls_site_remove(struct tls_site *site)
{
    tls_files_remove(&site->files);
}

struct tls_server *tls_site_server(const struct tls_site *site, struct tls_server_config config)
{
    const struct tls_identity identity = {site->pair.cert, site->pair.key};
    struct tls_server *server = NULL;
    char why[TLS_WHY_SIZE] = "";
    config.identities = &identity;
    config.identities_count = 1;
    if (tls_server_new(&server, &config, why) != 0)
        fail_msg("no server: %s", why);
    return server;
}

int tls_site_set_up(void **state)
{
    struct tls_site *site = calloc(1, sizeof *site);
    assert_non_null(site);
    tls_site_make(site);
    *state = site;
    return 0;
}

int tls_site_tear_down(void **state)
{
    tls_site_remove(*state);
    free(*state);
    return 0;
}
