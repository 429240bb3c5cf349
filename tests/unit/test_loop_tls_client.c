/* Streams that speak TLS as the client, with streams that speak it as the server. */
#include "base/err.h"
#include "unit/stream_rig.h"
#include "unit/tls_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct group {
    struct tls_site site;
    struct tls_files strangers;
    struct tls_pair own; /* a client's */
};

/* A client on the rig's loop. */
struct caller {
    struct stream_rig *rig;
    struct tls_client *tls;
    const char *hostname;
    struct bytebuf session; /* given the next time */
    struct stream *stream;
    int rc;
    int opened, sessions, ended, closed, answered;
    int end_status;
    bool early; /* came before on_open */
    size_t expected, got;
    enum tls_alpn alpn;
};

static void on_open(void *owner)
{
    struct caller *caller = owner;
    caller->early = caller->early || stream_queued(caller->stream) < 5;
    caller->alpn = stream_alpn(caller->stream);
    stream_write_copy(caller->stream, bytes_str(" and then"));
    loop_rig_bump(&caller->rig->loop, &caller->opened);
}

static void on_data(void *owner, struct bytes data)
{
    struct caller *caller = owner;
    caller->early = caller->early || caller->opened == 0;
    caller->got += data.len;
    if (caller->got == caller->expected)
        loop_rig_bump(&caller->rig->loop, &caller->answered);
}

static void on_session(void *owner, struct bytes session)
{
    struct caller *caller = owner;
    caller->session.len = 0;
    bytes_append(&caller->session, session.ptr, session.len);
    loop_rig_bump(&caller->rig->loop, &caller->sessions);
}

static void on_end(void *owner, int status)
{
    struct caller *caller = owner;
    caller->end_status = status;
    stream_close(caller->stream);
    loop_rig_bump(&caller->rig->loop, &caller->ended);
}

static void on_closed(void *owner)
{
    struct caller *caller = owner;
    loop_rig_bump(&caller->rig->loop, &caller->closed);
}

static const struct stream_ops ops = {
    .on_open = on_open, .on_data = on_data, .on_session = on_session, .on_end = on_end, .on_closed = on_closed};

static void call(void *arg)
{
    struct caller *caller = arg;
    caller->rc = stream_connect(&caller->stream, caller->rig->loop.loop, "127.0.0.1", caller->rig->port, &ops, caller);
    if (caller->rc != 0)
        return;
    caller->rc = stream_secure_client(caller->stream, caller->tls, caller->hostname, bytes_view(&caller->session));
    stream_write_copy(caller->stream, bytes_str("first"));
}

static void hang_up(void *arg)
{
    struct caller *caller = arg;
    stream_close_flushed(caller->stream, 20000);
}

static void read_counts(void *arg)
{
    struct caller *caller = arg;
    struct tls_counts counts;
    tls_loop_counts(caller->rig->loop.loop, &counts);
    caller->got = counts.compact;
    caller->expected = counts.kept;
}

static struct tls_client *new_client(const struct tls_client_config *config)
{
    struct tls_client *client = NULL;
    char why[TLS_WHY_SIZE] = "";
    assert_int_equal(tls_client_new(&client, config, why), 0);
    return client;
}

static void start(struct stream_rig *rig, const struct group *group, struct tls_server_config *config)
{
    config->compact = true;
    assert_true(stream_rig_start(rig, false));
    rig->echo = true;
    rig->flushed = true;
    rig->tls = tls_site_server(&group->site, *config);
}

static void stop(struct stream_rig *rig)
{
    stream_rig_stop(rig);
    tls_server_unref(rig->tls);
}

/* Say something, have it back, hang up. */
static void exchange(struct caller *caller)
{
    int answered = caller->answered;
    int closed = caller->closed;
    caller->opened = 0;
    caller->got = 0;
    caller->expected = strlen("first and then");
    loop_rig_call(&caller->rig->loop, call, caller);
    assert_int_equal(caller->rc, 0);
    loop_rig_wait(&caller->rig->loop, &caller->answered, answered + 1);
    assert_int_equal(caller->opened, 1);
    assert_false(caller->early);
    loop_rig_call(&caller->rig->loop, hang_up, caller);
    loop_rig_wait(&caller->rig->loop, &caller->closed, closed + 1);
}

static void speaks_and_resumes(void **state)
{
    struct group *group = *state;
    for (int compact = 0; compact < 2; compact++) {
        struct stream_rig rig;
        start(&rig, group, &(struct tls_server_config){.alpn = {TLS_ALPN_H2, TLS_ALPN_PETREL_1}});
        struct tls_client_config config = {
            .ca_file = group->site.files.ca, .sessions = true, .compact = compact == 1, .alpn = {TLS_ALPN_PETREL_1}};
        struct caller caller = {.rig = &rig, .hostname = "push.test", .tls = new_client(&config)};
        for (int round = 1; round <= 3; round++) {
            exchange(&caller);
            assert_int_equal(caller.alpn, TLS_ALPN_PETREL_1);
            assert_int_equal(rig.alpn, TLS_ALPN_PETREL_1);
            assert_int_equal(caller.sessions, round);
        }
        caller.hostname = "127.0.0.1"; /* which the certificate names too; and it resumes */
        exchange(&caller);
        loop_rig_wait(&rig.loop, &rig.closed, 4);
        stop(&rig);
        tls_client_unref(caller.tls);
        bytes_reset(&caller.session);
    }
}

static void both_ends_are_compact_while_they_idle(void **state)
{
    struct group *group = *state;
    struct stream_rig rig;
    start(&rig, group, &(struct tls_server_config){.min_version = TLS_VERSION_1_3});
    for (int sessions = 0; sessions < 2; sessions++) {
        struct caller caller = {
            .rig = &rig,
            .hostname = "push.test",
            .expected = strlen("first and then"),
            .tls = new_client(&(struct tls_client_config){
                .ca_file = group->site.files.ca, .compact = true, .sessions = sessions == 1}),
        };
        loop_rig_call(&rig.loop, call, &caller);
        loop_rig_wait(&rig.loop, &caller.answered, 1);
        loop_rig_call(&rig.loop, read_counts, &caller);
        assert_int_equal(caller.got, 2);
        assert_int_equal(caller.expected, 0);
        assert_int_equal(caller.sessions, sessions);
        loop_rig_call(&rig.loop, hang_up, &caller);
        loop_rig_wait(&rig.loop, &caller.closed, 1);
        loop_rig_wait(&rig.loop, &rig.closed, sessions + 1);
        tls_client_unref(caller.tls);
        bytes_reset(&caller.session);
    }
    stop(&rig);
}

/* What a client is told that does not get to speak. */
static int status_of(struct stream_rig *rig, const struct tls_client_config *config, const char *hostname)
{
    struct caller caller = {.rig = rig, .hostname = hostname, .tls = new_client(config)};
    loop_rig_call(&rig->loop, call, &caller);
    assert_int_equal(caller.rc, 0);
    loop_rig_wait(&rig->loop, &caller.closed, 1);
    assert_int_equal(caller.ended, 1);
    assert_int_equal(caller.answered, 0);
    tls_client_unref(caller.tls);
    return caller.end_status;
}

static void who_the_server_is_is_verified(void **state)
{
    struct group *group = *state;
    struct stream_rig rig;
    start(&rig, group, &(struct tls_server_config){0});
    struct tls_client_config config = {.ca_file = group->site.files.ca, .compact = true};
    assert_int_equal(status_of(&rig, &config, "other.test"), PETREL_E_UNAUTHENTICATED);
    assert_int_equal(status_of(&rig, &config, "127.0.0.2"), PETREL_E_UNAUTHENTICATED);
    config.ca_file = group->strangers.ca;
    assert_int_equal(status_of(&rig, &config, "push.test"), PETREL_E_UNAUTHENTICATED);
    config.ca_file = NULL; /* whom the system trusts */
    assert_int_equal(status_of(&rig, &config, "push.test"), PETREL_E_UNAUTHENTICATED);
    loop_rig_wait(&rig.loop, &rig.closed, 4);
    assert_int_equal(rig.end_status, PETREL_E_PROTOCOL); /* the client's alert */
    config.insecure = true;
    struct caller caller = {.rig = &rig, .hostname = "other.test", .tls = new_client(&config)};
    exchange(&caller);
    loop_rig_wait(&rig.loop, &rig.closed, 5);
    tls_client_unref(caller.tls);
    stop(&rig);
}

static void who_the_client_is_too_where_it_is_asked_for(void **state)
{
    struct group *group = *state;
    for (int compact = 0; compact < 2; compact++) {
        struct stream_rig rig;
        start(&rig, group,
              &(struct tls_server_config){.client_ca_file = group->site.files.ca, .client_cert_required = true});
        struct tls_client_config config = {.ca_file = group->site.files.ca, .compact = compact == 1};
        assert_int_equal(status_of(&rig, &config, "push.test"), PETREL_E_PROTOCOL);
        config.cert_file = group->own.cert;
        config.key_file = group->own.key;
        config.sessions = true;
        struct caller caller = {.rig = &rig, .hostname = "push.test", .tls = new_client(&config)};
        exchange(&caller);
        exchange(&caller); /* resumed */
        loop_rig_wait(&rig.loop, &rig.closed, 3);
        tls_client_unref(caller.tls);
        bytes_reset(&caller.session);
        stop(&rig);
    }
}

static void a_protocol_that_is_not_served_is_refused(void **state)
{
    struct group *group = *state;
    struct stream_rig rig;
    start(&rig, group, &(struct tls_server_config){.alpn = {TLS_ALPN_PETREL_1}});
    struct tls_client_config config = {.ca_file = group->site.files.ca, .compact = true, .alpn = {TLS_ALPN_H2}};
    assert_int_equal(status_of(&rig, &config, "push.test"), PETREL_E_PROTOCOL);
    config.alpn[0] = TLS_ALPN_NONE; /* who names none may speak what it likes */
    struct caller caller = {.rig = &rig, .hostname = "push.test", .tls = new_client(&config)};
    exchange(&caller);
    assert_int_equal(caller.alpn, TLS_ALPN_NONE);
    loop_rig_wait(&rig.loop, &rig.closed, 2);
    tls_client_unref(caller.tls);
    stop(&rig);
}

static void nonsense_for_a_session_makes_a_full_handshake(void **state)
{
    struct group *group = *state;
    struct stream_rig rig;
    start(&rig, group, &(struct tls_server_config){0});
    struct caller caller = {
        .rig = &rig,
        .hostname = "push.test",
        .tls = new_client(&(struct tls_client_config){.ca_file = group->site.files.ca, .compact = true}),
    };
    bytes_append_str(&caller.session, "nonsense");
    exchange(&caller);
    loop_rig_wait(&rig.loop, &rig.closed, 1);
    tls_client_unref(caller.tls);
    bytes_reset(&caller.session);
    stop(&rig);
}

static int make_group(void **state)
{
    struct group *group = calloc(1, sizeof *group);
    assert_non_null(group);
    tls_site_make(&group->site);
    tls_files_make(&group->strangers);
    tls_files_issue(&group->site.files, "own", "DNS:node.test", false, &group->own);
    *state = group;
    return 0;
}

static int remove_group(void **state)
{
    struct group *group = *state;
    tls_site_remove(&group->site);
    tls_files_remove(&group->strangers);
    free(group);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_and_resumes),
        cmocka_unit_test(both_ends_are_compact_while_they_idle),
        cmocka_unit_test(who_the_server_is_is_verified),
        cmocka_unit_test(who_the_client_is_too_where_it_is_asked_for),
        cmocka_unit_test(a_protocol_that_is_not_served_is_refused),
        cmocka_unit_test(nonsense_for_a_session_makes_a_full_handshake),
    };
    return cmocka_run_group_tests(tests, make_group, remove_group);
}
