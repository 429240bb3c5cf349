#include "base/err.h"
#include "wire/peer_record.h"
#include "wire/token_public.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct peer_session SESSION = {
    .route = {.incarnation = 1800000000000, .node = 7, .loop = 65535, .slot = 4000000000, .generation = 9},
    .app = {(const uint8_t *)"demo", 4},
    .user = {(const uint8_t *)"ana", 3},
    .device = {(const uint8_t *)"phone-1", 7},
    .address = {(const uint8_t *)"127.0.0.1:4000", 14},
    .since_ms = 1700000000000,
    .at = {0x167a1b2c3, 300},
    .acked = 299,
    .behind = true,
    .client = {(const uint8_t *)"test/1", 6},
};

struct seen {
    size_t count;
    size_t matching;
};

static void see_session(void *ctx, const struct peer_session *session)
{
    struct seen *seen = ctx;
    bool same = route_equal(&session->route, &SESSION.route) && bytes_equal(session->app, SESSION.app) &&
                bytes_equal(session->user, SESSION.user) && bytes_equal(session->device, SESSION.device) &&
                bytes_equal(session->address, SESSION.address) && session->since_ms == SESSION.since_ms + seen->count &&
                session->at.epoch == SESSION.at.epoch && session->at.seq == SESSION.at.seq &&
                session->acked == SESSION.acked && session->behind && bytes_equal(session->client, SESSION.client);
    seen->count++;
    seen->matching += same;
}

static void sessions_come_back_in_order(void **state)
{
    (void)state;
    struct peer_session sessions[100];
    for (size_t i = 0; i < 100; i++) {
        sessions[i] = SESSION;
        sessions[i].since_ms += i;
    }
    struct buf *packed = peer_record_pack_sessions(sessions, 100);
    struct seen seen = {0};
    assert_int_equal(peer_record_each_session(buf_bytes(packed), see_session, &seen), 0);
    assert_int_equal(seen.count, 100);
    assert_int_equal(seen.matching, 100);
    buf_unref(packed);

    packed = peer_record_pack_sessions(NULL, 0);
    assert_int_equal(packed->len, 0);
    assert_int_equal(peer_record_each_session(buf_bytes(packed), see_session, &seen), 0);
    buf_unref(packed);
}

static void see_app(void *ctx, const struct peer_app *app)
{
    struct seen *seen = ctx;
    bool same = bytes_equal_str(app->name, seen->count == 0 ? "demo" : "other") &&
                app->keys_count == (seen->count == 0 ? 2 : 0);
    if (same && seen->count == 0)
        same = bytes_equal_str(app->keys[0].kid, "k1") && bytes_equal(app->keys[0].secret, bytes_of("\0\xff", 2)) &&
               app->keys[1].kid.len == 0 && app->keys[1].secret.len == PEER_SECRET_MAX && app->public_keys_count == 1 &&
               bytes_equal_str(app->public_keys[0].kid, "es") && app->public_keys[0].algorithm == TOKEN_ES256 &&
               app->public_keys[0].der.len == TOKEN_PUBLIC_DER_MAX;
    seen->count++;
    seen->matching += same;
}

static const uint8_t SECRET[PEER_SECRET_MAX + 1];

static const uint8_t DER[TOKEN_PUBLIC_DER_MAX + 1];

static struct buf *packed_apps(size_t secret_len, size_t der_len)
{
    struct peer_app apps[2] = {{.name = bytes_str("demo"), .keys_count = 2}, {.name = bytes_str("other")}};
    apps[0].keys[0] = (struct peer_app_key){bytes_str("k1"), bytes_of("\0\xff", 2)};
    apps[0].keys[1] = (struct peer_app_key){bytes_str(""), bytes_of(SECRET, secret_len)};
    apps[0].public_keys_count = 1;
    apps[0].public_keys[0] = (struct peer_public_key){bytes_str("es"), TOKEN_ES256, bytes_of(DER, der_len)};
    return peer_record_pack_apps(apps, 2);
}

static void apps_come_back_in_order(void **state)
{
    (void)state;
    struct buf *packed = packed_apps(PEER_SECRET_MAX, TOKEN_PUBLIC_DER_MAX);
    struct seen seen = {0};
    assert_int_equal(peer_record_each_app(buf_bytes(packed), see_app, &seen), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.matching, 2);
    buf_unref(packed);
    packed = packed_apps(PEER_SECRET_MAX + 1, TOKEN_PUBLIC_DER_MAX);
    assert_int_equal(peer_record_each_app(buf_bytes(packed), see_app, &seen), PETREL_E_PROTOCOL);
    buf_unref(packed);
    packed = packed_apps(PEER_SECRET_MAX, TOKEN_PUBLIC_DER_MAX + 1);
    assert_int_equal(peer_record_each_app(buf_bytes(packed), see_app, &seen), PETREL_E_PROTOCOL);
    buf_unref(packed);
}

static void lists_cut_short_are_refused(void **state)
{
    (void)state;
    struct buf *packed = peer_record_pack_sessions(&SESSION, 1);
    struct seen seen = {0};
    for (size_t len = 1; len < packed->len; len++)
        assert_int_equal(peer_record_each_session(bytes_of(packed->data, len), see_session, &seen), PETREL_E_PROTOCOL);
    assert_int_equal(seen.count, 0);
    buf_unref(packed);
    packed = packed_apps(PEER_SECRET_MAX, TOKEN_PUBLIC_DER_MAX);
    for (size_t len = 1; len < packed->len; len++) {
        seen.count = 0;
        int rc = peer_record_each_app(bytes_of(packed->data, len), see_app, &seen);
        /* Between the two records, the list is one of one. */
        assert_true(rc == PETREL_E_PROTOCOL ? seen.count <= 1 : seen.count == 1);
    }
    buf_unref(packed);
}

static int each_session_with(struct peer_session session)
{
    struct buf *packed = peer_record_pack_sessions(&session, 1);
    struct seen seen = {0};
    int rc = peer_record_each_session(buf_bytes(packed), see_session, &seen);
    assert_int_equal(seen.count, rc == 0 ? 1 : 0);
    buf_unref(packed);
    return rc;
}

static void records_with_bad_names_are_refused(void **state)
{
    (void)state;
    struct peer_session session = SESSION;
    assert_int_equal(each_session_with(session), 0);
    session.app = bytes_str("Demo");
    assert_int_equal(each_session_with(session), PETREL_E_PROTOCOL);
    session = SESSION;
    session.user = bytes_str("\xff");
    assert_int_equal(each_session_with(session), PETREL_E_PROTOCOL);
    session = SESSION;
    session.device = bytes_str("");
    assert_int_equal(each_session_with(session), PETREL_E_PROTOCOL);
    session = SESSION;
    session.client = bytes_str("a\nb");
    assert_int_equal(each_session_with(session), PETREL_E_PROTOCOL);

    struct seen seen = {0};
    assert_int_equal(peer_record_each_session(bytes_str("\x0a"), see_session, &seen), PETREL_E_PROTOCOL);
    assert_int_equal(peer_record_each_session(bytes_str("\x12\x01x"), see_session, &seen), PETREL_E_PROTOCOL);
    assert_int_equal(peer_record_each_session(bytes_of("\x0a\x00", 2), see_session, &seen), PETREL_E_PROTOCOL);
    assert_int_equal(seen.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_come_back_in_order),
        cmocka_unit_test(apps_come_back_in_order),
        cmocka_unit_test(lists_cut_short_are_refused),
        cmocka_unit_test(records_with_bad_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
