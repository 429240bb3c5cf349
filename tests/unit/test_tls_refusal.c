/* Whose certificate a failed connection is about, by OpenSSL's words. */
#include "driver/tls_refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void an_alert_about_a_certificate_is_about_ours(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "tlsv1 alert unknown ca",          "sslv3 alert bad certificate",
        "sslv3 alert certificate expired", "sslv3 alert certificate revoked",
        "ssl/tls alert bad certificate",   "tlsv13 alert certificate required",
        "tlsv1 alert access denied",       "alert: unknown CA",
        "alert: certificate required",     "TLS/SSL error: tlsv1 alert unknown ca",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(tls_refusal_is_of_ours(texts[i]));
}

static void all_else_is_not(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "certificate verify failed",
        "self-signed certificate in certificate chain",
        "unable to get local issuer certificate",
        "Validation of SSL server certificate failed",
        "SSL is required, but the server does not support it",
        "wrong version number",
        "unexpected eof while reading",
        "Connection reset by peer (104)",
        "tlsv1 alert protocol version",
        "sslv3 alert handshake failure",
        "alert: internal error",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(tls_refusal_is_of_ours(texts[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_about_a_certificate_is_about_ours),
        cmocka_unit_test(all_else_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
