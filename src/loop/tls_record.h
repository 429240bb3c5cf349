/* tls_record.h: the record layer of TLS 1.3 (RFC 8446, 5) for connections whose handshake OpenSSL has done. No sockets, no clock.
 * Private to this room.
 *
 * record   five bytes of header and at most 2^14 + 256 that are sealed: data, the true type of content, padding, tag
 * idle     a record without data for the owner: an empty one, a KeyUpdate, a ticket. So many in a row end the connection
 *
 * This is all that a connection keeps: no handshake and no primitive is made here. What it takes after the handshake are data, alerts
 * and KeyUpdate; a client passes over tickets; the rest ends the connection, and so does renegotiation in any form. */
#ifndef PETREL_LOOP_TLS_RECORD_H
#define PETREL_LOOP_TLS_RECORD_H

#include "base/bytes.h"
#include "loop/tls_cipher.h"

#define TLS_HEADER_SIZE 5U
#define TLS_DATA_MAX 16384U
/* Of what follows the header: sealed by 1.3; and in any record of a handshake or of an older version. */
#define TLS_SEALED_MAX (TLS_DATA_MAX + 256U)
#define TLS_ANY_MAX (TLS_DATA_MAX + 2048U)
/* A header, a type and a tag around the content. */
#define TLS_OVERHEAD (TLS_HEADER_SIZE + 1U + TLS_TAG_SIZE)
#define TLS_ALERT_SIZE (TLS_OVERHEAD + 2U)
#define TLS_KEY_UPDATE_SIZE (TLS_OVERHEAD + 5U)

/* Where the data lie in a buffer that tls_record_seal() is given, and how large that is for len bytes of them. */
#define TLS_SEAL_AT (TLS_KEY_UPDATE_SIZE + TLS_HEADER_SIZE)
#define TLS_SEAL_SIZE(len) (TLS_KEY_UPDATE_SIZE + TLS_OVERHEAD + (len))

#define TLS_IDLE_MAX 32U
/* Records under one key: what AES-GCM allows is 2^24.5 (5.5). */
#define TLS_SEALED_PER_KEY (UINT64_C(1) << 24)

enum tls_alert {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_BAD_RECORD_MAC = 20,
    TLS_ALERT_RECORD_OVERFLOW = 22,
    TLS_ALERT_ILLEGAL_PARAMETER = 47,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_INTERNAL_ERROR = 80,
    TLS_ALERT_USER_CANCELED = 90,
};

struct tls_record {
    uint64_t in_seq;
    uint64_t out_seq;
    struct tls_keys in;
    struct tls_keys out;
    uint32_t skip;         /* bytes of a ticket that is passed over */
    uint8_t message[5];    /* the begin of a message of the handshake's kind, as far as it has come */
    uint8_t message_len;   /* of them */
    uint8_t idle;          /* records in a row */
    uint8_t alert;         /* what the peer is to be told about an error of its own; 0: nothing */
    uint8_t suite : 2;     /* enum tls_suite */
    uint8_t client : 1;    /* we are */
    uint8_t update : 1;    /* the peer asked for a KeyUpdate of ours: due before the next data */
    uint8_t in_closed : 1; /* close_notify or an error: nothing more is read */
    uint8_t out_closed : 1;
};

_Static_assert(sizeof(struct tls_record) <= 216, "a million idle sessions are a million of these");

/* Begin with the traffic secrets of a handshake; the numbers are those of the next record each way. */
void tls_record_init(struct tls_record *record, struct tls_cipher *cipher, enum tls_suite suite, bool client,
                     const uint8_t *in_secret, const uint8_t *out_secret, uint64_t in_seq, uint64_t out_seq);
/* Wipe all of it. */
void tls_record_wipe(struct tls_record *record);

/* How long the record is that data begin with, header and all. 0; PETREL_E_NEED_MORE: the header is not whole; PETREL_E_TOO_LARGE: more
 * than max after the header. */
int tls_record_size(struct bytes data, size_t max, size_t *size);

/* Open a whole record in place. data then lie in it; empty when it held none for the owner. 0; PETREL_E_EOF: the peer ends its side;
 * PETREL_E_PROTOCOL: it broke the protocol, and record->alert says how, or sent a fatal alert itself. After either, nothing more
 * may be read. */
int tls_record_open(struct tls_record *record, struct tls_cipher *cipher, uint8_t *bytes, size_t size,
                    struct bytes *data);

/* Seal 1 to TLS_DATA_MAX bytes that lie at buffer + TLS_SEAL_AT, in place, with a KeyUpdate before them when one is due. What is
 * returned lies in buffer. Not after tls_record_alert(). */
struct bytes tls_record_seal(struct tls_record *record, struct tls_cipher *cipher, uint8_t *buffer, size_t len);
/* Seal an alert; it is the last record. */
struct bytes tls_record_alert(struct tls_record *record, struct tls_cipher *cipher, enum tls_alert alert,
                              uint8_t out[TLS_ALERT_SIZE]);

#endif
