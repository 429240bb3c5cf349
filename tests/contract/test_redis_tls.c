/* The Redis client and TLS: a server that takes it at one port and none at another, whoever does not fit, and files read anew. */
#include "base/err.h"
#include "contract/logbook.h"
#include "contract/redis_rig.h"
#include "lib/redis_server.h"
#include "unit/tls_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Long beside what a machine under load needs to say no, and the time in which a server that says nothing is given up. */
#define PATIENT_MS 20000
#define HANGS_MS 500
#define DEADLINE_MS 2000

static struct tls_files ours, theirs;
static struct tls_pair servers, own, strange;
static struct redis_server server;

static int set_up(void **state)
{
    (void)state;
    tls_files_make(&ours);
    tls_files_make(&theirs);
    tls_files_issue(&ours, "redis", "IP:127.0.0.1,DNS:redis.push.test", false, &servers);
    tls_files_issue(&ours, "own", "DNS:node-1", false, &own);
    tls_files_issue(&theirs, "strange", "DNS:node-1", false, &strange);
    logbook_open();
    static struct redis_server_tls files;
    files = (struct redis_server_tls){ours.ca, servers.cert, servers.key};
    return redis_server_start_tls(&server, &files) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    redis_server_free(&server);
    logbook_close();
    tls_files_remove(&ours);
    tls_files_remove(&theirs);
    return 0;
}

static struct tls_client_config trusting(const struct tls_files *files, const struct tls_pair *pair)
{
    return (struct tls_client_config){.ca_file = files->ca,
                                      .cert_file = pair != NULL ? pair->cert : NULL,
                                      .key_file = pair != NULL ? pair->key : NULL,
                                      .compact = true};
}

static struct tls_client *new_client(const struct tls_files *files, const struct tls_pair *pair)
{
    struct tls_client *client = NULL;
    char why[TLS_WHY_SIZE];
    const struct tls_client_config config = trusting(files, pair);
    assert_int_equal(tls_client_new(&client, &config, why), 0);
    return client;
}

/* tls: NULL for none. The rig's client has a reference of its own. */
static void open_rig(struct redis_rig *rig, uint16_t port, struct tls_client *tls, const char *name,
                     uint32_t timeout_ms)
{
    struct redis_config config;
    redis_rig_config(&config, port, false);
    config.tls = tls;
    config.tls_name = name;
    config.timeout_ms = timeout_ms;
    config.deadline_ms = DEADLINE_MS;
    redis_rig_open(rig, &config);
}

static void reset_counts(void)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    assert_true(redis_server_command(&server, reply, "CONFIG RESETSTAT"));
}

/* Whether the server ran a command that the driver begins with. */
static bool was_spoken_to(void)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    assert_true(redis_server_command(&server, reply, "INFO commandstats"));
    return strstr(reply, "cmdstat_role:") != NULL || strstr(reply, "cmdstat_evalsha:") != NULL;
}

struct refusal {
    const struct tls_files *trusted; /* NULL: no TLS */
    const struct tls_pair *own;
    const char *name;
    bool at_tls_port;
    uint32_t timeout_ms;
    const char *said[2]; /* what is wrong, and where to look */
};

static void refuse(const struct refusal *refusal)
{
    struct redis_rig rig;
    struct redis_rig_call call;
    char where[64];
    const uint16_t port = refusal->at_tls_port ? server.tls_port : server.port;
    struct tls_client *tls = refusal->trusted != NULL ? new_client(refusal->trusted, refusal->own) : NULL;
    logbook_clear();
    reset_counts();
    open_rig(&rig, port, tls, refusal->name, refusal->timeout_ms);
    tls_client_unref(tls);
    assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "k", "v"), PETREL_E_BUSY);
    snprintf(where, sizeof where, "cannot connect server=127.0.0.1:%u", port);
    assert_true(logbook_wait(where));
    assert_true(logbook_wait(refusal->said[0]));
    assert_true(logbook_wait(refusal->said[1]));
    assert_false(was_spoken_to());
    redis_rig_close(&rig);
}

static void test_who_fits_is_served(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "redis.push.test"};
    for (size_t i = 0; i < 2; i++) {
        struct redis_rig rig;
        struct redis_rig_call call;
        struct tls_client *tls = new_client(&ours, &own);
        reset_counts();
        open_rig(&rig, server.tls_port, tls, names[i], PATIENT_MS);
        tls_client_unref(tls);
        assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "k", "v"), 0);
        assert_string_equal(call.text, "k v");
        assert_true(was_spoken_to());
        redis_rig_close(&rig);
    }
}

static void test_who_does_not_fit_is_refused(void **state)
{
    (void)state;
    const struct refusal refusals[] = {
        {&theirs, &own, NULL, true, PATIENT_MS, {"expected for 127.0.0.1, is refused: ", "store.redis_tls_ca"}},
        {&ours,
         &own,
         "other.push.test",
         true,
         PATIENT_MS,
         {"expected for other.push.test, is refused: hostname mismatch", "store.redis_tls_name"}},
        {&ours, NULL, NULL, true, PATIENT_MS, {"TLS: ", "(store.redis_tls_cert)"}},
        {&ours, &strange, NULL, true, PATIENT_MS, {"TLS: ", "(store.redis_tls_cert)"}},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        refuse(&refusals[i]);
}

/* Where the handshake ends with the server's word on the certificate. */
static void test_who_does_not_fit_is_refused_in_the_handshake(void **state)
{
    (void)state;
    char reply[REDIS_SERVER_REPLY_MAX];
    const struct refusal refusals[] = {
        {&ours,
         NULL,
         NULL,
         true,
         PATIENT_MS,
         {"TLS: ", "it may ask for a certificate that it trusts (store.redis_tls_cert)"}},
        {&ours,
         &strange,
         NULL,
         true,
         PATIENT_MS,
         {"TLS: it refuses our certificate: tlsv1 alert unknown ca", "(store.redis_tls_cert)"}},
    };
    assert_true(redis_server_command(&server, reply, "CONFIG SET tls-protocols TLSv1.2"));
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        refuse(&refusals[i]);
    assert_true(redis_server_command(&server, reply, "CONFIG SET tls-protocols TLSv1.3"));
}

/* Neither end gives way to the other. */
static void test_with_and_without_do_not_meet(void **state)
{
    (void)state;
    const struct refusal refusals[] = {
        {&ours, &own, NULL, false, HANGS_MS, {"TLS: ", "store.redis has to name its tls-port"}},
        {NULL, NULL, NULL, true, PATIENT_MS, {"it may take TLS only at that port", "(store.redis_tls)"}},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        refuse(&refusals[i]);
}

/* ---- new files ---- */

static void reload(struct tls_client *tls, const struct tls_files *files)
{
    char why[TLS_WHY_SIZE];
    const struct tls_client_config config = trusting(files, &own);
    assert_int_equal(tls_client_reload(tls, &config, why), 0);
}

static void test_new_files_are_for_new_connections(void **state)
{
    (void)state;
    struct redis_rig rig;
    struct redis_rig_call call;
    char reply[REDIS_SERVER_REPLY_MAX], why[TLS_WHY_SIZE] = "";
    struct tls_client *tls = new_client(&theirs, &own);
    open_rig(&rig, server.tls_port, tls, NULL, PATIENT_MS);
    assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "k", "1"), PETREL_E_BUSY);
    reload(tls, &ours);
    assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "k", "2"), 0);

    /* What stands goes on; and files that are of no use change nothing. */
    const uint64_t losses = loops_tally_get(&rig.losses);
    const struct tls_client_config missing = {.ca_file = "/nonexistent/ca.crt", .compact = true};
    assert_int_equal(tls_client_reload(tls, &missing, why), PETREL_E_INVALID);
    assert_non_null(strstr(why, "/nonexistent/ca.crt"));
    assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "k", "3"), 0);
    reload(tls, &theirs);
    assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "k", "4"), 0);
    assert_int_equal(loops_tally_get(&rig.losses), losses);

    /* What broke is told, and then what keeps it from coming back. */
    logbook_clear();
    assert_true(redis_server_command(&server, reply, "CLIENT KILL TYPE normal"));
    assert_true(loops_tally_wait(&rig.losses, losses + 1));
    assert_true(logbook_wait("connection broke"));
    assert_true(logbook_wait("expected for 127.0.0.1, is refused: "));
    assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "k", "5"), PETREL_E_BUSY);
    reload(tls, &ours);
    assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "k", "6"), 0);
    redis_rig_close(&rig);
    tls_client_unref(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_fits_is_served),
        cmocka_unit_test(test_who_does_not_fit_is_refused),
        cmocka_unit_test(test_who_does_not_fit_is_refused_in_the_handshake),
        cmocka_unit_test(test_with_and_without_do_not_meet),
        cmocka_unit_test(test_new_files_are_for_new_connections),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
