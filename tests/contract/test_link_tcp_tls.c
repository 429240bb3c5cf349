/* Links over TLS: who is refused and what both sides say of it; a cluster that goes from without to with while it runs; new
 * certificates while links stand; and that nodes don't wait behind a crowd of devices. test_link_tcp.c and test_link_tcp_faults.c run over
 * TLS as well. */
#include "contract/link_pair.h"
#include "contract/logbook.h"
#include "lib/relay.h"
#include "lib/until.h"
#include "loop/listener.h"
#include "unit/tls_peer.h"
#include "unit/tls_site.h"

#include <stdio.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#define MESSAGE "message-1"
#define SESSION "session-2"

static struct tls_files ours, theirs;

static void expect_said(const char *text)
{
    assert_true(text == NULL || logbook_wait(text));
}

static int set_up(void **state)
{
    (void)state;
    tls_files_make(&ours);
    tls_files_make(&theirs);
    logbook_open();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    logbook_close();
    tls_files_remove(&ours);
    tls_files_remove(&theirs);
    return 0;
}

static struct link_tcp_config config_of(uint32_t number, enum discovery_tls tls)
{
    struct link_tcp_config config =
        link_pair_config(number, 1700000000000 + number, number == 1 ? DISCOVERY_MESSAGE : DISCOVERY_SESSION);
    config.name = number == 1 ? MESSAGE : SESSION;
    config.tls = tls;
    return config;
}

static struct link_pair_ends ends_for(const char *name)
{
    char names[TLS_FILES_PATH];
    snprintf(names, sizeof names, "DNS:%s", name);
    return link_pair_ends_of(&ours, names, &ours);
}

static void open_with(struct link_pair_node *node, uint32_t number, enum discovery_tls tls, struct link_pair_ends ends)
{
    const struct link_tcp_config config = config_of(number, tls);
    link_pair_open_with(node, &config, ends);
}

/* With a good certificate of its own. */
static void open_node(struct link_pair_node *node, uint32_t number, enum discovery_tls tls)
{
    open_with(node, number, tls, ends_for(number == 1 ? MESSAGE : SESSION));
}

/* ---- who is refused ---- */

struct refusal {
    struct tls_files *message_ca;
    const char *message_names;
    int message_days;
    struct tls_files *session_ca;
    const char *session_names;
    int session_days;
    const char *said_by_caller; /* NULL: an end, for whatever reason */
    const char *said_by_called;
};

static struct link_pair_ends issue(struct tls_files *ca, const char *names, int days)
{
    struct tls_pair pair;
    tls_files_issue_for(ca, "node", names, days, NULL, &pair);
    return link_pair_ends_in(pair.cert, pair.key, ours.ca);
}

static void refuse(const struct refusal *refusal)
{
    struct link_pair_node message, session;
    logbook_clear();
    open_with(&message, 1, DISCOVERY_TLS_OPTIONAL,
              issue(refusal->message_ca, refusal->message_names, refusal->message_days));
    open_with(&session, 2, DISCOVERY_TLS_OPTIONAL,
              issue(refusal->session_ca, refusal->session_names, refusal->session_days));
    link_pair_view(&message, (struct link_pair_node *[]){&message, &session}, 2);
    link_pair_view(&session, (struct link_pair_node *[]){&message}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_REACHES(&session, i, refused, 2); /* it tries again, and never without TLS */
    expect_said(refusal->said_by_caller);
    expect_said(refusal->said_by_called);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        assert_int_equal(link_pair_look(&session, i).peers_up + link_pair_look(&message, i).known, 0);
    assert_int_equal(link_pair_enrol_status(&session, 0, "ada"), PETREL_E_UNAVAILABLE);
    link_pair_close(&session);
    link_pair_close(&message);
}

static void who_cannot_prove_to_be_the_node_is_refused(void **state)
{
    (void)state;
    const struct refusal cases[] = {
        {&theirs, "DNS:" MESSAGE, 5, &ours, "DNS:" SESSION, 5,
         "expected for " MESSAGE ", is refused: unable to get local issuer", "unknown ca"},
        {&ours, "DNS:" MESSAGE, -1, &ours, "DNS:" SESSION, 5, "is refused: certificate has expired",
         "certificate expired"},
        {&ours, "DNS:message-9", 5, &ours, "DNS:" SESSION, 5, "is refused: hostname mismatch",
         "a connection was refused"},
        {&ours, "DNS:" MESSAGE, 5, &theirs, "DNS:" SESSION, 5, "TLS: it refuses our certificate: alert: unknown CA",
         "is refused: unable to get local issuer"},
        {&ours, "DNS:" MESSAGE, 5, &ours, "DNS:" SESSION, -1,
         "TLS: it refuses our certificate: alert: certificate expired", "is refused: certificate has expired"},
        {&ours, "DNS:" MESSAGE, 5, &ours, "DNS:session-9", 5, NULL, "its certificate is not for its name"},
        {&ours, "DNS:" MESSAGE, 5, &ours, "DNS:" MESSAGE, 5, NULL, "its certificate is not for its name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(&cases[i]);
}

static void who_shows_no_certificate_is_refused(void **state)
{
    (void)state;
    char why[TLS_WHY_SIZE];
    struct link_pair_ends session_ends = ends_for(SESSION);
    const struct tls_client_config bare = {.ca_file = ours.ca, .compact = true};
    tls_client_unref(session_ends.client);
    assert_int_equal(tls_client_new(&session_ends.client, &bare, why), 0);
    struct link_pair_node message, session;
    logbook_clear();
    open_node(&message, 1, DISCOVERY_TLS_REQUIRED);
    open_with(&session, 2, DISCOVERY_TLS_REQUIRED, session_ends);
    link_pair_view(&session, (struct link_pair_node *[]){&message}, 1);
    expect_said("peer did not return a certificate");
    expect_said("TLS: it refuses our certificate: alert: certificate required");
    assert_int_equal(link_pair_look(&message, 0).known, 0);
    link_pair_close(&session);
    link_pair_close(&message);
}

/* A node that was taken over has a good certificate and the secret, and must not get what is for another. */
static void a_node_with_another_s_number_is_refused(void **state)
{
    (void)state;
    struct link_tcp_config config = config_of(2, DISCOVERY_TLS_REQUIRED);
    config.name = "session-3";
    struct link_pair_node message, thief;
    struct link_pair_node session = {
        .number = 2, .roles = DISCOVERY_SESSION, .incarnation = 1, .name = SESSION, .port = 1};
    logbook_clear();
    open_node(&message, 1, DISCOVERY_TLS_REQUIRED);
    link_pair_open_with(&thief, &config, ends_for(config.name));
    link_pair_view(&message, (struct link_pair_node *[]){&message, &session}, 2);
    link_pair_view(&thief, (struct link_pair_node *[]){&message}, 1);
    expect_said("it has another name than the node of that number");
    assert_int_equal(link_pair_look(&message, 0).known, 0);
    link_pair_close(&thief);
    link_pair_close(&message);
}

static void one_name_may_be_all_nodes(void **state)
{
    (void)state;
    struct link_tcp_config message_config = config_of(1, DISCOVERY_TLS_REQUIRED);
    struct link_tcp_config session_config = config_of(2, DISCOVERY_TLS_REQUIRED);
    message_config.tls_name = session_config.tls_name = "nodes.push.test";
    struct link_pair_node message, session;
    link_pair_open_with(&message, &message_config, ends_for(message_config.tls_name));
    link_pair_open_with(&session, &session_config, ends_for(session_config.tls_name));
    link_pair_view(&session, (struct link_pair_node *[]){&message}, 1);
    LINK_PAIR_IS(&session, 0, peers_up, 1);
    assert_int_equal(link_pair_enrol_status(&session, 0, "ada"), PETREL_E_UNREGISTERED);
    link_pair_close(&session);
    link_pair_close(&message);
}

/* ---- with and without ---- */

struct meeting {
    enum discovery_tls session, message, told; /* told: of the message node, by discovery */
    bool meet, secure;
    const char *said[2]; /* where they don't meet */
};

static void meet(const struct meeting *meeting)
{
    struct link_pair_node message, session;
    logbook_clear();
    open_node(&message, 1, meeting->message);
    open_node(&session, 2, meeting->session);
    struct link_pair_node told = link_pair_behind(&message, message.port);
    told.tls = meeting->told;
    link_pair_view(&session, (struct link_pair_node *[]){&told}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS && meeting->meet; i++) {
        LINK_PAIR_IS(&session, i, peers_up, 1);
        LINK_PAIR_IS(&message, i, known, LINK_PAIR_LOOPS);
        assert_int_equal(link_pair_look(&session, i).secure, meeting->secure ? 1 : 0);
        assert_int_equal(link_pair_look(&session, i).plain, meeting->secure ? 0 : 1);
        assert_int_equal(link_pair_look(&message, i).secure, meeting->secure ? LINK_PAIR_LOOPS : 0);
        assert_int_equal(link_pair_look(&message, i).plain, meeting->secure ? 0 : LINK_PAIR_LOOPS);
        assert_int_equal(link_pair_enrol_status(&session, 0, "ada"), PETREL_E_UNREGISTERED);
    }
    if (!meeting->meet) {
        LINK_PAIR_REACHES(&session, 0, refused, 2);
        expect_said(meeting->said[0]);
        expect_said(meeting->said[1]);
        assert_int_equal(link_pair_look(&session, 0).peers_up + link_pair_look(&message, 0).known, 0);
    }
    link_pair_close(&session);
    link_pair_close(&message);
}

static void nodes_with_and_without_meet_as_they_are_told_to(void **state)
{
    (void)state;
    const enum discovery_tls off = DISCOVERY_TLS_OFF, optional = DISCOVERY_TLS_OPTIONAL,
                             required = DISCOVERY_TLS_REQUIRED;
    const struct meeting meetings[] = {
        {off, off, off, true, false, {NULL}},
        {off, optional, optional, true, false, {NULL}},
        {optional, off, off, true, false, {NULL}},
        {optional, optional, optional, true, true, {NULL}},
        {optional, optional, off, true, false, {NULL}}, /* discovery is behind */
        {optional, required, required, true, true, {NULL}},
        {required, optional, optional, true, true, {NULL}},
        {required, required, required, true, true, {NULL}},
        {off, required, required, false, false, {"it takes links with TLS only, which is off here"}},
        {required, off, off, false, false, {"TLS is off there, and required here"}},
        {off, required, off, false, false, {"it does not speak TLS, which is required here"}},
        {required,
         off,
         optional,
         false,
         false,
         {"it speaks TLS, which is off here", "it ended the connection in TLS's handshake"}},
    };
    for (size_t i = 0; i < sizeof meetings / sizeof meetings[0]; i++)
        meet(&meetings[i]);
}

/* ---- new certificates ---- */

static void new_certificates_are_for_new_links_and_old_ones_go_on(void **state)
{
    (void)state;
    struct link_pair_node message, session;
    open_node(&message, 1, DISCOVERY_TLS_REQUIRED);
    open_node(&session, 2, DISCOVERY_TLS_REQUIRED);
    struct relay *relay = relay_open(message.port);
    assert_non_null(relay);
    struct link_pair_node far = link_pair_behind(&message, relay_port(relay));
    link_pair_view(&session, (struct link_pair_node *[]){&far}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&session, i, dirty, 1);
        LINK_PAIR_IS(&message, i, known, LINK_PAIR_LOOPS);
    }
    assert_int_equal(link_pair_tell(&message, 0, &session, 1, 1, 500, NULL), 500);
    /* Another authority, which those that stand have never heard of. */
    link_pair_change(&message, link_pair_ends_of(&theirs, "DNS:" MESSAGE, &theirs));
    assert_int_equal(link_pair_tell(&message, 0, &session, 1, 501, 500, NULL), 500);
    link_pair_change(&session, link_pair_ends_of(&theirs, "DNS:" SESSION, &theirs));
    assert_int_equal(link_pair_tell(&message, 0, &session, 1, 1001, 500, NULL), 500);
    LINK_PAIR_IS(&session, 1, delivers, 1500);
    assert_int_equal(link_pair_enrol_status(&session, 0, "ada"), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_look(&session, 1).disordered, 0);
    assert_int_equal(link_pair_look(&session, 1).dirty, 1); /* none was made anew */
    relay_close(relay);
    relay = relay_open(message.port);
    assert_non_null(relay);
    far = link_pair_behind(&message, relay_port(relay));
    link_pair_view(&session, (struct link_pair_node *[]){&far}, 1);
    LINK_PAIR_IS(&session, 1, dirty, 2);
    LINK_PAIR_IS(&session, 0, peers_up, 1);
    assert_int_equal(link_pair_enrol_status(&session, 0, "ada"), PETREL_E_UNREGISTERED);
    link_pair_close(&session);
    link_pair_close(&message);
    relay_close(relay);
}

/* ---- a storm of devices ---- */

#define CROWD 16

/* Devices that begin a handshake and say no more, on each loop of a node that lets one begin at a time. */
struct crowd {
    struct link_pair_node *node;
    struct tls_server *tls;
    struct listener *listeners[LINK_PAIR_LOOPS];
    struct stream *streams[LINK_PAIR_LOOPS][CROWD * LINK_PAIR_LOOPS];
    size_t counts[LINK_PAIR_LOOPS];
    uint16_t port;
    int sockets[CROWD];
};

struct crowd_loop {
    struct crowd *crowd;
    size_t index;
};

static void on_nothing(void *owner, struct bytes data)
{
    (void)owner;
    (void)data;
}

static void on_crowd_end(void *owner, int status)
{
    (void)owner;
    (void)status;
}

static void on_crowd_closed(void *owner)
{
    (void)owner;
}

static const struct stream_ops crowd_ops = {
    .on_data = on_nothing, .on_end = on_crowd_end, .on_closed = on_crowd_closed};

static void on_device(void *ctx, struct stream *stream)
{
    struct crowd_loop *at = ctx;
    struct crowd *crowd = at->crowd;
    crowd->streams[at->index][crowd->counts[at->index]++] = stream;
    stream_secure(stream, crowd->tls, (struct bytes){0});
    stream_attach(stream, &crowd_ops, crowd);
}

static void open_door(void *ctx)
{
    struct crowd_loop *at = ctx;
    struct crowd *crowd = at->crowd;
    const struct tls_limits limits = {.handshakes = 1, .handshakes_per_second = 1, .wait_ms = 2 * LINK_PAIR_WAIT_MS};
    const struct listener_config config = {.host = "127.0.0.1", .port = crowd->port};
    tls_loop_limit(crowd->node->loops.loops[at->index], &limits, NULL);
    const int rc =
        listener_open(&crowd->listeners[at->index], crowd->node->loops.loops[at->index], &config, on_device, at);
    petrel_assert(rc == 0);
    crowd->port = listener_port(crowd->listeners[at->index]);
}

static void close_door(void *ctx)
{
    struct crowd_loop *at = ctx;
    struct crowd *crowd = at->crowd;
    listener_close(&crowd->listeners[at->index]);
    for (size_t i = 0; i < crowd->counts[at->index]; i++)
        stream_close(crowd->streams[at->index][i]);
}

static void count_stuck(void *ctx)
{
    struct crowd_loop *at = ctx;
    struct tls_counts counts;
    tls_loop_counts(at->crowd->node->loops.loops[at->index], &counts);
    at->crowd->counts[at->index] = counts.handshaking + counts.waiting;
}

static bool all_are_in(void *ctx)
{
    struct crowd_loop *at = ctx;
    struct crowd seen = {.node = at->crowd->node};
    size_t sum = 0;
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        struct crowd_loop look = {&seen, i};
        loops_run_on(&seen.node->loops, i, count_stuck, &look);
        sum += seen.counts[i];
    }
    return sum == CROWD;
}

static void links_come_up_in_a_storm_of_devices(void **state)
{
    (void)state;
    struct tls_site site;
    struct link_pair_node message, session;
    open_node(&message, 1, DISCOVERY_TLS_REQUIRED);
    open_node(&session, 2, DISCOVERY_TLS_REQUIRED);
    static struct crowd crowd;
    crowd = (struct crowd){.node = &message};
    tls_site_make(&site);
    crowd.tls = tls_site_server(&site, (struct tls_server_config){.compact = false});
    struct crowd_loop loops[LINK_PAIR_LOOPS];
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        loops[i] = (struct crowd_loop){&crowd, i};
        loops_run_on(&message.loops, i, open_door, &loops[i]);
    }
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(crowd.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t hello[1024];
    const size_t size = tls_peer_hello(hello, sizeof hello);
    assert_true(size > 0);
    for (size_t i = 0; i < CROWD; i++) {
        crowd.sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(crowd.sockets[i], (const struct sockaddr *)&to, sizeof to), 0);
        assert_int_equal(send(crowd.sockets[i], hello, size, 0), size);
    }
    assert_true(until(all_are_in, &loops[0], LINK_PAIR_WAIT_MS));
    link_pair_view(&session, (struct link_pair_node *[]){&message}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&session, i, peers_up, 1);
        LINK_PAIR_IS(&message, i, known, LINK_PAIR_LOOPS);
    }
    assert_true(all_are_in(&loops[0])); /* none of them was let in for it */
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        loops_run_on(&message.loops, i, close_door, &loops[i]);
    for (size_t i = 0; i < CROWD; i++)
        close(crowd.sockets[i]);
    link_pair_close(&session);
    link_pair_close(&message);
    tls_server_unref(crowd.tls);
    tls_site_remove(&site);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(who_cannot_prove_to_be_the_node_is_refused),
        cmocka_unit_test(who_shows_no_certificate_is_refused),
        cmocka_unit_test(a_node_with_another_s_number_is_refused),
        cmocka_unit_test(one_name_may_be_all_nodes),
        cmocka_unit_test(nodes_with_and_without_meet_as_they_are_told_to),
        cmocka_unit_test(new_certificates_are_for_new_links_and_old_ones_go_on),
        cmocka_unit_test(links_come_up_in_a_storm_of_devices),
    };
    return cmocka_run_group_tests(cases, set_up, tear_down);
}
