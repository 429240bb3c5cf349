/* The MySQL client and TLS against a real MariaDB: one without, one with, one that takes nothing else; and whoever does not fit. */
#include "base/err.h"
#include "contract/logbook.h"
#include "driver/mysqldb.h"
#include "lib/mariadb_server.h"
#include "unit/tls_files.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SERVER_MS 60000
#define TIMEOUT_MS 20000
#define PASSWORD "a secret that no log shows"

static struct tls_files ours, theirs;
static struct tls_pair servers, others, own, strange;
static struct mariadb_server server;

static struct mysqldb_config administrator(void)
{
    return (struct mysqldb_config){.socket = server.socket,
                                   .user = "root",
                                   .password = "",
                                   .connect_timeout_ms = TIMEOUT_MS,
                                   .timeout_ms = TIMEOUT_MS};
}

static void sql(const char *text)
{
    struct mysqldb *db;
    const struct mysqldb_config config = administrator();
    assert_int_equal(mysqldb_open(&db, &config), 0);
    assert_int_equal(mysqldb_exec(db, text), 0);
    mysqldb_close(&db);
}

/* pair: NULL for a server without TLS. version: the only one it speaks; NULL: its own choice. */
static void start_server(const struct tls_pair *pair, const char *version)
{
    static char texts[4][TLS_FILES_PATH + 16];
    static const char *args[5];
    assert_true(mariadb_server_stop(&server, SIGTERM, SERVER_MS));
    server.args = NULL;
    if (pair != NULL) {
        snprintf(texts[0], sizeof texts[0], "--ssl-ca=%s", ours.ca);
        snprintf(texts[1], sizeof texts[1], "--ssl-cert=%s", pair->cert);
        snprintf(texts[2], sizeof texts[2], "--ssl-key=%s", pair->key);
        snprintf(texts[3], sizeof texts[3], "--tls-version=%s", version != NULL ? version : "");
        for (size_t i = 0; i < 4; i++)
            args[i] = i < 3 || version != NULL ? texts[i] : NULL;
        server.args = args;
    }
    assert_true(mariadb_server_start(&server, SERVER_MS));
}

static int set_up(void **state)
{
    (void)state;
    tls_files_make(&ours);
    tls_files_make(&theirs);
    tls_files_issue(&ours, "mariadb", "IP:127.0.0.1,DNS:localhost", false, &servers);
    tls_files_issue(&ours, "others", "DNS:other.push.test", false, &others);
    tls_files_issue(&ours, "own", "DNS:node-1", false, &own);
    tls_files_issue(&theirs, "strange", "DNS:node-1", false, &strange);
    logbook_open();
    if (!mariadb_server_init(&server))
        return -1;
    start_server(NULL, NULL);
    sql("CREATE DATABASE petrel");
    sql("CREATE USER 'plain'@'127.0.0.1' IDENTIFIED BY '" PASSWORD "'");
    sql("CREATE USER 'known'@'127.0.0.1' IDENTIFIED BY '" PASSWORD "' REQUIRE X509");
    sql("GRANT ALL ON petrel.* TO 'plain'@'127.0.0.1'");
    sql("GRANT ALL ON petrel.* TO 'known'@'127.0.0.1'");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mariadb_server_free(&server);
    logbook_close();
    tls_files_remove(&ours);
    tls_files_remove(&theirs);
    return 0;
}

struct visit {
    const char *user;
    const struct tls_files *trusted; /* NULL: no TLS */
    const struct tls_pair *own;
    int status;
    const char *said[2]; /* where it is refused: what is wrong, and where to look */
};

/* What this very connection is encrypted with. */
static bool is_secure(struct mysqldb *db)
{
    int64_t length;
    assert_int_equal(mysqldb_number(db,
                                    "SELECT LENGTH(variable_value) FROM information_schema.session_status"
                                    " WHERE variable_name = 'Ssl_cipher'",
                                    &length),
                     0);
    return length > 0;
}

static void visit(const struct visit *visit)
{
    struct mysqldb *db;
    const struct mysqldb_config config = {
        .host = "127.0.0.1",
        .port = server.port,
        .user = visit->user,
        .password = PASSWORD,
        .database = "petrel",
        .tls_ca = visit->trusted != NULL ? visit->trusted->ca : NULL,
        .tls_cert = visit->own != NULL ? visit->own->cert : NULL,
        .tls_key = visit->own != NULL ? visit->own->key : NULL,
        .connect_timeout_ms = TIMEOUT_MS,
        .timeout_ms = TIMEOUT_MS,
    };
    char where[64];
    logbook_clear();
    assert_int_equal(mysqldb_open(&db, &config), visit->status);
    if (visit->status == 0) {
        assert_int_equal(is_secure(db), visit->trusted != NULL);
        mysqldb_close(&db);
        return;
    }
    assert_null(db);
    snprintf(where, sizeof where, "cannot connect server=127.0.0.1:%u", server.port);
    assert_true(logbook_wait(where));
    assert_true(logbook_wait(visit->said[0]));
    assert_true(logbook_wait(visit->said[1]));
    assert_false(logbook_has(PASSWORD));
}

static void visit_all(const struct visit *visits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        visit(&visits[i]);
}

static void a_server_without_tls(void **state)
{
    (void)state;
    const struct visit visits[] = {
        {"plain", NULL, NULL, 0, {NULL}},
        {"plain", &ours, &own, PETREL_E_UNAVAILABLE, {"the server does not support it", "registry.mysql_tls,"}},
    };
    start_server(NULL, NULL);
    visit_all(visits, sizeof visits / sizeof visits[0]);
}

static void a_server_with_tls(void **state)
{
    (void)state;
    const struct visit visits[] = {
        {"plain", NULL, NULL, 0, {NULL}},
        {"plain", &ours, NULL, 0, {NULL}},
        {"known", &ours, &own, 0, {NULL}},
        {"plain", &theirs, NULL, PETREL_E_UNAVAILABLE, {"self-signed certificate", "registry.mysql_tls_ca"}},
        {"known", &ours, NULL, PETREL_E_FORBIDDEN, {"Access denied", "registry.mysql_tls_cert"}},
        {"known", NULL, NULL, PETREL_E_FORBIDDEN, {"Access denied", "registry.mysql_tls"}},
        {"known", &ours, &strange, PETREL_E_UNAVAILABLE, {"server=", "registry.mysql_tls_cert"}},
    };
    start_server(&servers, NULL);
    visit_all(visits, sizeof visits / sizeof visits[0]);
}

/* Its word on a certificate is heard in the handshake; in TLS 1.3 it comes later, or is lost with the connection. */
static void a_server_that_refuses_in_the_handshake(void **state)
{
    (void)state;
    const struct visit visits[] = {
        {"known", &ours, &own, 0, {NULL}},
        {"plain", &theirs, NULL, PETREL_E_UNAVAILABLE, {"self-signed certificate", "registry.mysql_tls_ca"}},
        {"known",
         &ours,
         &strange,
         PETREL_E_UNAVAILABLE,
         {"alert unknown ca", "settings=\"registry.mysql_tls_cert (the"}},
    };
    start_server(&servers, "TLSv1.2");
    visit_all(visits, sizeof visits / sizeof visits[0]);
}

static void a_server_that_takes_nothing_else(void **state)
{
    (void)state;
    const struct visit visits[] = {
        {"plain", NULL, NULL, PETREL_E_FORBIDDEN, {"Access denied", "registry.mysql_tls"}},
        {"plain", &ours, NULL, 0, {NULL}},
    };
    start_server(&servers, NULL);
    sql("SET GLOBAL require_secure_transport = ON");
    visit_all(visits, sizeof visits / sizeof visits[0]);
}

static void a_server_of_another_name(void **state)
{
    (void)state;
    const struct visit visits[] = {
        {"plain",
         &ours,
         &own,
         PETREL_E_UNAVAILABLE,
         {"Validation of SSL server certificate failed", "registry.mysql_host"}},
    };
    start_server(&others, NULL);
    visit_all(visits, sizeof visits / sizeof visits[0]);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_server_without_tls),
        cmocka_unit_test(a_server_with_tls),
        cmocka_unit_test(a_server_that_refuses_in_the_handshake),
        cmocka_unit_test(a_server_that_takes_nothing_else),
        cmocka_unit_test(a_server_of_another_name),
    };
    return cmocka_run_group_tests(cases, set_up, tear_down);
}
