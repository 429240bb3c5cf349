/* Certificates of nodes: what others would refuse is found before they see it; and whose a name is. */
#include "base/err.h"
#include "loop/tls.h"
#include "unit/tls_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tls_files ours, theirs;

static int make(void **state)
{
    (void)state;
    tls_files_make(&ours);
    tls_files_make(&theirs);
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    tls_files_remove(&ours);
    tls_files_remove(&theirs);
    return 0;
}

static int check(const struct tls_pair *pair, const char *name, char *why)
{
    const struct tls_client_config config = {.ca_file = ours.ca, .cert_file = pair->cert, .key_file = pair->key};
    struct tls_client *client;
    why[0] = '\0';
    assert_int_equal(tls_client_new(&client, &config, why), 0);
    const int rc = tls_client_check(client, name, why);
    tls_client_unref(client);
    return rc;
}

static void names_are_hosts_wildcards_and_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *names;
        const char *name;
        bool fits;
    } cases[] = {
        {"DNS:node-1", "node-1", true},
        {"DNS:node-1", "NODE-1", true},
        {"DNS:node_1", "node_1", true},
        {"DNS:node-1", "node-2", false},
        {"DNS:node-1", "node-11", false},
        {"DNS:a.test,DNS:node-1", "node-1", true},
        {"DNS:*.push.test", "node-1.push.test", true},
        {"DNS:*.push.test", "push.test", false},
        {"DNS:*.push.test", "a.b.push.test", false},
        {"DNS:node-1.push.test", ".push.test", false},
        {"DNS:node-1", "", false},
        {"IP:10.0.0.7", "10.0.0.7", true},
        {"IP:10.0.0.7", "10.0.0.8", false},
        {"DNS:10.0.0.7", "10.0.0.7", false},
        {"IP:fd00::7", "fd00::7", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_pair pair;
        char why[TLS_WHY_SIZE];
        tls_files_issue(&ours, "node", cases[i].names, false, &pair);
        const int rc = check(&pair, cases[i].name, why);
        if ((rc == 0) != cases[i].fits)
            fail_msg("%s for %s: %d %s", cases[i].names, cases[i].name, rc, why);
        if (!cases[i].fits)
            assert_non_null(strstr(why, "not for"));
    }
}

static void what_others_would_refuse_is_told_with_the_reason(void **state)
{
    (void)state;
    const struct {
        struct tls_files *issuer;
        int days;
        const char *use;
        const char *why; /* NULL: nothing is wrong */
    } cases[] = {
        {&ours, 5, NULL, NULL},
        {&ours, 5, "serverAuth,clientAuth", NULL},
        {&theirs, 5, NULL, "issuer certificate"},
        {&ours, -1, NULL, "expired"},
        {&ours, 5, "serverAuth", "purpose"},
        {&ours, 5, "clientAuth", "purpose"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_pair pair;
        char why[TLS_WHY_SIZE];
        tls_files_issue_for(cases[i].issuer, "node", "DNS:node-1", cases[i].days, cases[i].use, &pair);
        const int rc = check(&pair, "node-1", why);
        assert_int_equal(rc, cases[i].why == NULL ? 0 : PETREL_E_INVALID);
        if (cases[i].why != NULL && strstr(why, cases[i].why) == NULL)
            fail_msg("case %zu: %s", i, why);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(names_are_hosts_wildcards_and_addresses),
        cmocka_unit_test(what_others_would_refuse_is_told_with_the_reason),
    };
    return cmocka_run_group_tests(cases, make, remove_all);
}
