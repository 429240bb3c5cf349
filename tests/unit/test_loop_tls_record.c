#include "base/err.h"
#include "unit/tls_forge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ALERT 21
#define HANDSHAKE 22
#define DATA 23

/* RFC 8448, 3: secrets, the first records of data each way (the server's second, after a ticket), and what ends it. The secrets of
 * the next generation are not in the RFC: Botan's test of RFC 8446, 7.2, on the same secrets has them. */
#define CLIENT_SECRET "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
#define SERVER_SECRET "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
#define CLIENT_DATA                                                                                                    \
    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2" \
    "977014bd1e3deae63aeebb21694915e4"
#define SERVER_DATA                                                                                                    \
    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a2" \
    "1c0047c2abf332540dd032e167c2955d"
#define CLIENT_ALERT "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"
#define SERVER_ALERT "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"
#define NEXT_CLIENT_SECRET "fcdfcc72725aaee48bf64e4fd8b749cdbdbab39d90da0b26e2245ca6ea167207"
#define NEXT_SERVER_SECRET "51921b8aa3001976eb401d0a4319a8516416a6c56001a357e5d162031e84f916"

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = strlen(text) / 2;
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return len;
}

static void assert_hex(struct bytes got, const char *text)
{
    uint8_t want[256];
    size_t len = unhex(text, want);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.ptr, want, len);
}

/* ---- vectors ---- */

struct traced {
    struct tls_cipher *cipher;
    struct tls_record client;
    struct tls_record server;
};

static void start_traced(struct traced *traced)
{
    uint8_t client[TLS_SECRET_MAX], server[TLS_SECRET_MAX];
    assert_int_equal(unhex(CLIENT_SECRET, client), 32);
    assert_int_equal(unhex(SERVER_SECRET, server), 32);
    traced->cipher = tls_cipher_new();
    assert_non_null(traced->cipher);
    tls_record_init(&traced->client, traced->cipher, TLS_AES_128_GCM_SHA256, true, server, client, 1, 0);
    tls_record_init(&traced->server, traced->cipher, TLS_AES_128_GCM_SHA256, false, client, server, 0, 1);
}

static void check_traced(struct traced *traced, struct tls_record *from, struct tls_record *to, const char *data_record,
                         const char *alert_record)
{
    uint8_t buffer[TLS_SEAL_SIZE(50)];
    for (uint8_t i = 0; i < 50; i++)
        buffer[TLS_SEAL_AT + i] = i;
    assert_hex(tls_record_seal(from, traced->cipher, buffer, 50), data_record);
    uint8_t alert[TLS_ALERT_SIZE];
    assert_hex(tls_record_alert(from, traced->cipher, TLS_ALERT_CLOSE_NOTIFY, alert), alert_record);

    uint8_t record[128];
    size_t size = unhex(data_record, record);
    struct bytes data;
    assert_int_equal(tls_record_open(to, traced->cipher, record, size, &data), 0);
    assert_int_equal(data.len, 50);
    for (uint8_t i = 0; i < 50; i++)
        assert_int_equal(data.ptr[i], i);
    size = unhex(alert_record, record);
    assert_int_equal(tls_record_open(to, traced->cipher, record, size, &data), PETREL_E_EOF);
}

static void seals_and_opens_the_records_of_rfc_8448(void **state)
{
    (void)state;
    struct traced traced;
    start_traced(&traced);
    check_traced(&traced, &traced.client, &traced.server, CLIENT_DATA, CLIENT_ALERT);
    check_traced(&traced, &traced.server, &traced.client, SERVER_DATA, SERVER_ALERT);
    tls_cipher_free(&traced.cipher);
}

static void derives_the_keys_of_rfc_8448(void **state)
{
    (void)state;
    struct traced traced;
    start_traced(&traced);
    assert_hex(bytes_of(traced.server.out.key, 16), "9f02283b6c9c07efc26bb9f2ac92e356");
    assert_hex(bytes_of(traced.server.out.iv, 12), "cf782b88dd83549aadf1e984");
    assert_hex(bytes_of(traced.server.in.key, 16), "17422dda596ed5d9acd890e3c63f5051");
    assert_hex(bytes_of(traced.server.in.iv, 12), "5b78923dee08579033e523d9");
    tls_cipher_update(traced.cipher, TLS_AES_128_GCM_SHA256, &traced.server.in);
    tls_cipher_update(traced.cipher, TLS_AES_128_GCM_SHA256, &traced.server.out);
    assert_hex(bytes_of(traced.server.in.secret, 32), NEXT_CLIENT_SECRET);
    assert_hex(bytes_of(traced.server.out.secret, 32), NEXT_SERVER_SECRET);
    tls_cipher_free(&traced.cipher);
}

/* ---- data ---- */

static void carry(struct tls_forge *forge, struct tls_record *from, struct tls_record *to, size_t len)
{
    uint8_t *buffer = malloc(TLS_SEAL_SIZE(len));
    assert_non_null(buffer);
    for (size_t i = 0; i < len; i++)
        buffer[TLS_SEAL_AT + i] = (uint8_t)(i * 7 + len);
    struct bytes sealed = tls_record_seal(from, forge->cipher, buffer, len);
    size_t at = 0;
    size_t got = 0;
    while (at < sealed.len) {
        size_t size;
        struct bytes rest = bytes_of(sealed.ptr + at, sealed.len - at);
        assert_int_equal(tls_record_size(rest, TLS_SEALED_MAX, &size), 0);
        struct bytes data;
        assert_int_equal(tls_record_open(to, forge->cipher, (uint8_t *)(uintptr_t)rest.ptr, size, &data), 0);
        for (size_t i = 0; i < data.len; i++)
            assert_int_equal(data.ptr[i], (uint8_t)(i * 7 + len));
        got += data.len;
        at += size;
    }
    assert_int_equal(got, len);
    free(buffer);
}

static void data_of_any_size_pass_in_every_suite(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 2, 15, 16, 17, 100, 4096, TLS_DATA_MAX - 1, TLS_DATA_MAX};
    for (int suite = 0; suite < TLS_SUITES; suite++) {
        struct tls_forge forge;
        tls_forge_start(&forge, (enum tls_suite)suite);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            carry(&forge, &forge.client, &forge.server, sizes[i]);
            carry(&forge, &forge.server, &forge.client, sizes[i]);
        }
        tls_forge_stop(&forge);
    }
}

static void padding_is_taken_off(void **state)
{
    (void)state;
    struct tls_forge forge;
    struct bytes data;
    tls_forge_start(&forge, TLS_CHACHA20_POLY1305_SHA256);
    for (size_t padding = 0; padding < 300; padding += 37) {
        size_t size = tls_forge_record(&forge, &forge.client, DATA, bytes_str("hello"), padding);
        assert_int_equal(tls_record_open(&forge.server, forge.cipher, forge.bytes, size, &data), 0);
        assert_true(bytes_equal_str(data, "hello"));
    }
    /* A type and 2^14 of padding is the longest that may be. */
    size_t size = tls_forge_record(&forge, &forge.client, DATA, bytes_of("", 0), TLS_DATA_MAX);
    assert_int_equal(tls_record_open(&forge.server, forge.cipher, forge.bytes, size, &data), 0);
    assert_int_equal(data.len, 0);
    tls_forge_stop(&forge);
}

/* ---- what ends a connection ---- */

static void assert_ends(const struct tls_record *record, int rc, enum tls_alert alert)
{
    assert_int_equal(rc, PETREL_E_PROTOCOL);
    assert_int_equal(record->alert, alert);
    assert_true(record->in_closed);
}

/* One forged record to a fresh server, and the alert it gets. */
static void assert_refused(uint8_t type, struct bytes content, size_t padding, enum tls_alert alert)
{
    struct tls_forge forge;
    struct bytes data;
    tls_forge_start(&forge, TLS_AES_128_GCM_SHA256);
    size_t size = tls_forge_record(&forge, &forge.client, type, content, padding);
    int rc = tls_record_open(&forge.server, forge.cipher, forge.bytes, size, &data);
    assert_ends(&forge.server, rc, alert);
    assert_int_equal(data.len, 0);
    tls_forge_stop(&forge);
}

static void what_no_client_may_send_ends_the_connection(void **state)
{
    (void)state;
    static const uint8_t large[TLS_DATA_MAX + 1] = {1};
    assert_refused(0, bytes_of("", 0), 40, TLS_ALERT_UNEXPECTED_MESSAGE); /* nothing but padding */
    assert_refused(20, bytes_of("\1", 1), 0, TLS_ALERT_UNEXPECTED_MESSAGE);
    assert_refused(24, bytes_str("heartbeat"), 0, TLS_ALERT_UNEXPECTED_MESSAGE);
    assert_refused(DATA, bytes_of(large, sizeof large), 0, TLS_ALERT_RECORD_OVERFLOW);
    assert_refused(DATA, bytes_of("x", 1), TLS_DATA_MAX, TLS_ALERT_RECORD_OVERFLOW);
    assert_refused(HANDSHAKE, bytes_of("", 0), 0, TLS_ALERT_UNEXPECTED_MESSAGE);
    assert_refused(HANDSHAKE, bytes_of("\1\0\0\4", 4), 0, TLS_ALERT_UNEXPECTED_MESSAGE);  /* ClientHello */
    assert_refused(HANDSHAKE, bytes_of("\4\0\0\4", 4), 0, TLS_ALERT_UNEXPECTED_MESSAGE);  /* NewSessionTicket */
    assert_refused(HANDSHAKE, bytes_of("\13\0\0\4", 4), 0, TLS_ALERT_UNEXPECTED_MESSAGE); /* Certificate */
    assert_refused(HANDSHAKE, bytes_of("\30\0\0\2\0\0", 6), 0, TLS_ALERT_DECODE_ERROR);
    assert_refused(HANDSHAKE, bytes_of("\30\0\0\1\2", 5), 0, TLS_ALERT_ILLEGAL_PARAMETER);
    assert_refused(HANDSHAKE, bytes_of("\30\0\0\1\0\30", 6), 0, TLS_ALERT_UNEXPECTED_MESSAGE); /* goes on behind */
    assert_refused(ALERT, bytes_of("", 0), 0, TLS_ALERT_UNEXPECTED_MESSAGE);
    assert_refused(ALERT, bytes_of("\1", 1), 0, TLS_ALERT_DECODE_ERROR);
    assert_refused(ALERT, bytes_of("\1\0\1\0", 4), 0, TLS_ALERT_DECODE_ERROR);
}

static void alerts_end_it_but_for_a_cancel(void **state)
{
    (void)state;
    struct tls_forge forge;
    struct bytes data;
    tls_forge_start(&forge, TLS_AES_256_GCM_SHA384);
    assert_int_equal(tls_forge_to_server(&forge, ALERT, bytes_of("\1\132", 2), &data), 0);
    assert_int_equal(tls_forge_to_server(&forge, ALERT, bytes_of("\1\0", 2), &data), PETREL_E_EOF);
    assert_int_equal(forge.server.alert, 0);
    /* Half closed: the other way goes on. */
    carry(&forge, &forge.server, &forge.client, 100);
    /* Fatal, whatever level it says. */
    assert_int_equal(tls_forge_to_client(&forge, ALERT, bytes_of("\1\52", 2), &data), PETREL_E_PROTOCOL);
    assert_int_equal(forge.client.alert, 0);
    assert_true(forge.client.in_closed);
    tls_forge_stop(&forge);
}

static int flip_and_open(struct tls_forge *forge, size_t place, uint8_t bit)
{
    struct bytes data;
    tls_forge_start(forge, TLS_AES_128_GCM_SHA256);
    size_t size = tls_forge_record(forge, &forge->client, DATA, bytes_str("hello"), 3);
    forge->bytes[place] ^= bit;
    return tls_record_open(&forge->server, forge->cipher, forge->bytes, size, &data);
}

static void a_flipped_bit_anywhere_is_a_bad_mac(void **state)
{
    (void)state;
    struct tls_forge forge;
    const size_t size = TLS_OVERHEAD + 5 + 3;
    for (size_t place = 1; place < size; place++) {
        int rc = flip_and_open(&forge, place, 0x10);
        assert_ends(&forge.server, rc, TLS_ALERT_BAD_RECORD_MAC);
        tls_forge_stop(&forge);
    }
    int rc = flip_and_open(&forge, 0, 1); /* of another outer type */
    assert_ends(&forge.server, rc, TLS_ALERT_UNEXPECTED_MESSAGE);
    tls_forge_stop(&forge);
}

static void a_record_lost_or_repeated_is_a_bad_mac(void **state)
{
    (void)state;
    for (int repeat = 0; repeat < 2; repeat++) {
        struct tls_forge forge;
        struct bytes data;
        tls_forge_start(&forge, TLS_CHACHA20_POLY1305_SHA256);
        size_t size = tls_forge_record(&forge, &forge.client, DATA, bytes_str("one"), 0);
        if (repeat == 1) {
            uint8_t again[64];
            memcpy(again, forge.bytes, size);
            assert_int_equal(tls_record_open(&forge.server, forge.cipher, forge.bytes, size, &data), 0);
            memcpy(forge.bytes, again, size);
        } else {
            size = tls_forge_record(&forge, &forge.client, DATA, bytes_str("two"), 0);
        }
        int rc = tls_record_open(&forge.server, forge.cipher, forge.bytes, size, &data);
        assert_ends(&forge.server, rc, TLS_ALERT_BAD_RECORD_MAC);
        tls_forge_stop(&forge);
    }
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    size_t size;
    assert_int_equal(tls_record_size(bytes_of("\27\3\3\0", 4), TLS_SEALED_MAX, &size), PETREL_E_NEED_MORE);
    assert_int_equal(tls_record_size(bytes_of("\27\3\3\101\0", 5), TLS_SEALED_MAX, &size), 0);
    assert_int_equal(size, TLS_HEADER_SIZE + TLS_SEALED_MAX);
    assert_int_equal(tls_record_size(bytes_of("\27\3\3\101\1", 5), TLS_SEALED_MAX, &size), PETREL_E_TOO_LARGE);
    struct tls_forge forge;
    struct bytes data;
    for (size_t sealed = 0; sealed <= TLS_TAG_SIZE; sealed += TLS_TAG_SIZE) {
        tls_forge_start(&forge, TLS_AES_128_GCM_SHA256);
        memcpy(forge.bytes, "\27\3\3\0", 4);
        memset(forge.bytes + 4, (int)sealed, 1 + sealed);
        int rc = tls_record_open(&forge.server, forge.cipher, forge.bytes, TLS_HEADER_SIZE + sealed, &data);
        assert_ends(&forge.server, rc, TLS_ALERT_DECODE_ERROR);
        tls_forge_stop(&forge);
    }
}

/* ---- messages after the handshake ---- */

/* As an honest end does that wants new keys. */
static int update_to_server(struct tls_forge *forge, uint8_t request)
{
    const uint8_t message[] = {24, 0, 0, 1, request};
    struct bytes data;
    int rc = tls_forge_to_server(forge, HANDSHAKE, bytes_of(message, sizeof message), &data);
    tls_cipher_update(forge->cipher, forge->client.suite, &forge->client.out);
    forge->client.out_seq = 0;
    return rc;
}

static void keys_are_updated_both_ways(void **state)
{
    (void)state;
    for (int suite = 0; suite < TLS_SUITES; suite++) {
        struct tls_forge forge;
        tls_forge_start(&forge, (enum tls_suite)suite);
        struct tls_keys before = forge.server.out;
        assert_int_equal(update_to_server(&forge, 0), 0);
        carry(&forge, &forge.client, &forge.server, 100);
        carry(&forge, &forge.server, &forge.client, 100);
        assert_memory_equal(&before, &forge.server.out, sizeof before);
        /* Asked three times, answered once, before the next data. */
        for (int i = 0; i < 3; i++)
            assert_int_equal(update_to_server(&forge, 1), 0);
        uint64_t sealed = forge.server.out_seq;
        carry(&forge, &forge.server, &forge.client, 100);
        assert_int_equal(forge.server.out_seq, 1);
        assert_int_equal(sealed, 1);
        assert_memory_not_equal(&before, &forge.server.out, sizeof before);
        carry(&forge, &forge.server, &forge.client, 100);
        carry(&forge, &forge.client, &forge.server, 100);
        assert_int_equal(forge.server.out_seq, 2);
        tls_forge_stop(&forge);
    }
}

static void a_key_seals_no_more_than_it_may(void **state)
{
    (void)state;
    struct tls_forge forge;
    tls_forge_start(&forge, TLS_AES_128_GCM_SHA256);
    forge.server.out_seq = forge.client.in_seq = TLS_SEALED_PER_KEY - 3;
    carry(&forge, &forge.server, &forge.client, 10);
    assert_int_equal(forge.server.out_seq, TLS_SEALED_PER_KEY - 2);
    carry(&forge, &forge.server, &forge.client, 10); /* with a KeyUpdate before it */
    assert_int_equal(forge.server.out_seq, 1);
    carry(&forge, &forge.server, &forge.client, 10);
    tls_forge_stop(&forge);
}

static void a_flood_without_data_ends_the_connection(void **state)
{
    (void)state;
    struct tls_forge forge;
    struct bytes data;
    tls_forge_start(&forge, TLS_AES_128_GCM_SHA256);
    for (int round = 0; round < 3; round++) { /* data between them make it no flood */
        for (unsigned i = 0; i < TLS_IDLE_MAX / 2; i++) {
            assert_int_equal(update_to_server(&forge, 1), 0);
            assert_int_equal(tls_forge_to_server(&forge, DATA, bytes_of("", 0), &data), 0);
        }
        carry(&forge, &forge.client, &forge.server, 1);
    }
    for (unsigned i = 0; i < TLS_IDLE_MAX; i++)
        assert_int_equal(update_to_server(&forge, 1), 0);
    int rc = update_to_server(&forge, 1);
    assert_ends(&forge.server, rc, TLS_ALERT_UNEXPECTED_MESSAGE);
    tls_forge_stop(&forge);
}

/* The five bytes of a KeyUpdate, one a record. */
static void a_message_may_be_spread_over_records(void **state)
{
    (void)state;
    const uint8_t message[] = {24, 0, 0, 1, 0};
    struct tls_forge forge;
    struct bytes data;
    tls_forge_start(&forge, TLS_AES_128_GCM_SHA256);
    for (size_t i = 0; i < sizeof message; i++)
        assert_int_equal(tls_forge_to_server(&forge, HANDSHAKE, bytes_of(message + i, 1), &data), 0);
    tls_cipher_update(forge.cipher, forge.client.suite, &forge.client.out);
    forge.client.out_seq = 0;
    carry(&forge, &forge.client, &forge.server, 1);
    /* But nothing else may come between its parts. */
    assert_int_equal(tls_forge_to_server(&forge, HANDSHAKE, bytes_of(message, 1), &data), 0);
    int rc = tls_forge_to_server(&forge, DATA, bytes_str("x"), &data);
    assert_ends(&forge.server, rc, TLS_ALERT_UNEXPECTED_MESSAGE);
    tls_forge_stop(&forge);
}

static void a_client_passes_over_tickets(void **state)
{
    (void)state;
    static const uint8_t filler[4000] = {1, 2, 3};
    uint8_t both[300] = {4, 0, 0, 10, [14] = 4, 0, 1, 0x1a}; /* of 10 bytes, and of 282 */
    struct tls_forge forge;
    struct bytes data;
    tls_forge_start(&forge, TLS_AES_128_GCM_SHA256);
    assert_int_equal(tls_forge_to_client(&forge, HANDSHAKE, bytes_of(both, sizeof both), &data), 0);
    carry(&forge, &forge.server, &forge.client, 10);
    /* One of 8,000 bytes in three records. */
    assert_int_equal(tls_forge_to_client(&forge, HANDSHAKE, bytes_of("\4\0\37\100", 4), &data), 0);
    assert_int_equal(tls_forge_to_client(&forge, HANDSHAKE, bytes_of(filler, sizeof filler), &data), 0);
    assert_int_equal(tls_forge_to_client(&forge, HANDSHAKE, bytes_of(filler, sizeof filler), &data), 0);
    carry(&forge, &forge.server, &forge.client, 10);
    int rc = tls_forge_to_client(&forge, HANDSHAKE, bytes_of("\4\377\377\377", 4), &data);
    assert_ends(&forge.client, rc, TLS_ALERT_DECODE_ERROR);
    tls_forge_stop(&forge);
}

static void wiping_leaves_nothing(void **state)
{
    (void)state;
    static const struct tls_record zero;
    struct tls_forge forge;
    tls_forge_start(&forge, TLS_AES_256_GCM_SHA384);
    struct tls_record record = forge.server;
    tls_record_wipe(&record);
    assert_memory_equal(&record, &zero, sizeof zero);
    tls_forge_stop(&forge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals_and_opens_the_records_of_rfc_8448),
        cmocka_unit_test(derives_the_keys_of_rfc_8448),
        cmocka_unit_test(data_of_any_size_pass_in_every_suite),
        cmocka_unit_test(padding_is_taken_off),
        cmocka_unit_test(what_no_client_may_send_ends_the_connection),
        cmocka_unit_test(alerts_end_it_but_for_a_cancel),
        cmocka_unit_test(a_flipped_bit_anywhere_is_a_bad_mac),
        cmocka_unit_test(a_record_lost_or_repeated_is_a_bad_mac),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(keys_are_updated_both_ways),
        cmocka_unit_test(a_key_seals_no_more_than_it_may),
        cmocka_unit_test(a_flood_without_data_ends_the_connection),
        cmocka_unit_test(a_message_may_be_spread_over_records),
        cmocka_unit_test(a_client_passes_over_tickets),
        cmocka_unit_test(wiping_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
