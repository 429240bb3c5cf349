/* A connection's TLS without sockets, and with a clock of the test's: how its bytes are cut, which tickets are taken and when, what
 * its memory is. */
#include "base/err.h"
#include "unit/tls_ends.h"
#include "unit/tls_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIFETIME_S 3600U
#define SECRET "sixteen bytes of it"
#define HOUR_MS UINT64_C(3600000)

struct place {
    struct tls_site site;
    struct clock_manual clock;
    struct loop *loop;
    struct tls_client *client;
    struct tls_server *server;
};

static struct tls_server *new_server(const struct place *place, struct tls_server_config config)
{
    config.ticket_secret = bytes_str(SECRET);
    config.ticket_lifetime_s = LIFETIME_S;
    return tls_site_server(&place->site, config);
}

static struct tls_client *new_client(const struct place *place, struct tls_client_config config)
{
    char why[TLS_WHY_SIZE];
    struct tls_client *client = NULL;
    config.ca_file = place->site.files.ca;
    assert_int_equal(tls_client_new(&client, &config, why), 0);
    return client;
}

static struct tls_counts counts_of(const struct place *place)
{
    struct tls_counts counts;
    tls_loop_counts(place->loop, &counts);
    return counts;
}

static void assert_talks(struct tls_ends *ends)
{
    assert_true(tls_ends_write(ends, &ends->client, bytes_str("question")));
    tls_ends_run(ends);
    assert_true(bytes_equal_str(bytes_view(&ends->server.got), "question"));
    assert_true(tls_ends_write(ends, &ends->server, bytes_str("answer")));
    tls_ends_run(ends);
    assert_true(bytes_equal_str(bytes_view(&ends->client.got), "answer"));
    ends->server.got.len = ends->client.got.len = 0;
}

/* ---- cut anyhow ---- */

static void bytes_may_be_cut_anywhere(void **state)
{
    struct place *place = *state;
    static uint8_t large[100000];
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 13);
    const size_t pieces[] = {0, 1, 3, 100, 5000};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct tls_ends ends;
        tls_ends_start(&ends, place->loop, place->client, place->server, bytes_of("", 0));
        ends.piece = pieces[i];
        tls_ends_run(&ends);
        assert_true(tls_conn_open(ends.client.conn) && tls_conn_open(ends.server.conn));
        assert_talks(&ends);
        ends.piece = pieces[i] * 7;
        assert_true(tls_ends_write(&ends, &ends.server, bytes_of(large, sizeof large)));
        tls_ends_run(&ends);
        assert_true(bytes_equal(bytes_view(&ends.client.got), bytes_of(large, sizeof large)));
        tls_conn_close(ends.server.conn);
        bytes_append(&ends.server.wire, ends.tls->out.ptr, ends.tls->out.len);
        ends.tls->out.len = 0;
        tls_ends_run(&ends);
        assert_int_equal(ends.client.status, PETREL_E_EOF);
        tls_ends_stop(&ends);
    }
}

/* What a client may have to read at once: the end of the handshake, a ticket, data, and the end. */
static void all_of_it_may_come_at_once(void **state)
{
    struct place *place = *state;
    struct tls_client *client = new_client(place, (struct tls_client_config){.compact = true, .sessions = true});
    struct tls_ends ends;
    tls_ends_start(&ends, place->loop, client, place->server, bytes_of("", 0));
    while (!tls_conn_open(ends.client.conn)) {
        ends.piece = 0;
        tls_ends_run(&ends);
    }
    assert_true(ends.session.len > 0);
    assert_int_equal(ends.client.conn->stage, TLS_COMPACT);
    assert_talks(&ends);
    tls_ends_stop(&ends);
    tls_client_unref(client);
}

/* ---- tickets ---- */

/* A connection that wants to resume; whether it did. What it got to resume with the next time is put into session. */
static bool resumes(struct place *place, struct tls_server *server, struct bytebuf *session)
{
    struct tls_client *client = new_client(place, (struct tls_client_config){.compact = true, .sessions = true});
    uint64_t before = counts_of(place).resumed;
    struct tls_ends ends;
    tls_ends_start(&ends, place->loop, client, server, bytes_view(session));
    tls_ends_run(&ends);
    assert_talks(&ends);
    assert_true(ends.session.len > 0);
    session->len = 0;
    bytes_append(session, ends.session.ptr, ends.session.len);
    tls_ends_stop(&ends);
    tls_client_unref(client);
    return counts_of(place).resumed > before;
}

/* By the server's clock: the client's own, which is OpenSSL's, stands still meanwhile. */
static void tickets_are_taken_in_their_period_and_the_next(void **state)
{
    struct place *place = *state;
    struct bytebuf first = {0};
    struct bytebuf session = {0};
    assert_false(resumes(place, place->server, &first));
    const struct {
        uint64_t later_ms;
        bool taken;
    } cases[] = {{0, true}, {HOUR_MS, true}, {HOUR_MS, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clock_manual_advance(&place->clock, cases[i].later_ms);
        bytes_append(&session, first.ptr, first.len);
        assert_int_equal(resumes(place, place->server, &session), cases[i].taken);
        session.len = 0;
    }
    bytes_reset(&first);
    bytes_reset(&session);
}

static void a_node_whose_clock_is_behind_takes_tickets_too(void **state)
{
    struct place *place = *state;
    struct bytebuf session = {0};
    clock_manual_advance(&place->clock, HOUR_MS);
    assert_false(resumes(place, place->server, &session));
    place->clock.wall -= HOUR_MS;
    assert_true(resumes(place, place->server, &session));
    place->clock.wall += HOUR_MS;
    struct bytebuf ahead = {0};
    place->clock.wall += 2 * HOUR_MS;
    assert_false(resumes(place, place->server, &ahead));
    place->clock.wall -= 2 * HOUR_MS;
    assert_false(resumes(place, place->server, &ahead)); /* that is no clock's error any more */
    bytes_reset(&session);
    bytes_reset(&ahead);
}

/* ---- what can go wrong ---- */

/* The server's answer to what the client said first. */
static void answer(struct tls_ends *ends)
{
    uint8_t *buffer = calloc(1, 65536);
    assert_non_null(buffer);
    struct bytebuf *hello = &ends->client.wire;
    memcpy(buffer, hello->ptr, hello->len);
    struct bytes data;
    assert_int_equal(tls_conn_read(ends->server.conn, buffer, hello->len, &data), 0);
    bytes_append(&ends->server.wire, ends->tls->out.ptr, ends->tls->out.len);
    ends->tls->out.len = hello->len = 0;
    free(buffer);
}

/* Headers of records that are not sealed say nothing that anyone goes by, and so does the record that hides 1.3 from old boxes. */
static bool matters(struct bytes wire, size_t at)
{
    size_t size = 0;
    while (tls_record_size(wire, TLS_ANY_MAX, &size) == 0 && at >= size) {
        at -= size;
        wire = bytes_of(wire.ptr + size, wire.len - size);
    }
    return wire.len > 0 && (wire.ptr[0] == 23 || (wire.ptr[0] == 22 && at >= TLS_HEADER_SIZE));
}

/* Whether a byte of the client's first flight, or of the server's, is one that may be touched. */
static bool is_noticed(struct place *place, size_t at, bool of_client)
{
    struct tls_ends ends;
    tls_ends_start(&ends, place->loop, place->client, place->server, bytes_of("", 0));
    if (!of_client)
        answer(&ends);
    struct bytebuf *wire = of_client ? &ends.client.wire : &ends.server.wire;
    bool touched = at < wire->len && matters(bytes_view(wire), at);
    if (touched)
        wire->ptr[at] ^= 0x40;
    tls_ends_run(&ends);
    /* A touched length may leave one waiting; but never do both take each other for who they are. */
    bool agreed = tls_conn_open(ends.client.conn) && tls_conn_open(ends.server.conn) && ends.server.status == 0 &&
                  ends.client.status == 0;
    tls_ends_stop(&ends);
    return agreed != touched;
}

static void a_handshake_that_was_touched_comes_to_nothing(void **state)
{
    struct place *place = *state;
    for (size_t at = 0; at < 700; at += 11) {
        assert_true(is_noticed(place, at, true));
        assert_true(is_noticed(place, at, false));
    }
    assert_int_equal(counts_of(place).handshaking, 0);
}

static void keys_are_gone_when_a_connection_is(void **state)
{
    struct place *place = *state;
    struct tls_ends ends;
    tls_ends_start(&ends, place->loop, place->client, place->server, bytes_of("", 0));
    tls_ends_run(&ends);
    assert_int_equal(counts_of(place).compact, 2);
    assert_true(sizeof *ends.server.conn <= 232);
    assert_memory_equal(ends.server.conn->record.in.key, ends.client.conn->record.out.key, 16);
    tls_ends_stop(&ends);
    assert_int_equal(counts_of(place).compact, 0);
}

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    tls_site_make(&place->site);
    clock_manual_init(&place->clock, 1000, clock_wall_ms(clock_system()));
    assert_int_equal(loop_new(&place->loop, &(struct loop_config){.clock = &place->clock.clock}), 0);
    place->client = new_client(place, (struct tls_client_config){.compact = true});
    place->server = new_server(place, (struct tls_server_config){.compact = true});
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    loop_free(&place->loop);
    tls_client_unref(place->client);
    tls_server_unref(place->server);
    tls_site_remove(&place->site);
    free(place);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_may_be_cut_anywhere, make_place, remove_place),
        cmocka_unit_test_setup_teardown(all_of_it_may_come_at_once, make_place, remove_place),
        cmocka_unit_test_setup_teardown(tickets_are_taken_in_their_period_and_the_next, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_node_whose_clock_is_behind_takes_tickets_too, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_handshake_that_was_touched_comes_to_nothing, make_place, remove_place),
        cmocka_unit_test_setup_teardown(keys_are_gone_when_a_connection_is, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
