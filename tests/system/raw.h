/* raw.h: a socket of a test that says what it likes, and reads frames. Blocking, each step bounded in time. */
#ifndef PETREL_SYSTEM_RAW_H
#define PETREL_SYSTEM_RAW_H

#include "wire/session.h"

#include <stdbool.h>

#define RAW_WAIT_S 30

struct raw {
    int fd;
    struct session_codec *codec;
    struct bytebuf in; /* what came */
    size_t taken;      /* of it, as frames */
};

/* Connect to "host:port"; receive_bytes: a small SO_RCVBUF, 0: the system's. */
bool raw_open(struct raw *raw, const char *address, int receive_bytes);
void raw_close(struct raw *raw);
/* As raw_close(), but with a reset instead of an orderly end. */
void raw_reset(struct raw *raw);

/* All of it. False: the other side is gone. */
bool raw_write(struct raw *raw, struct bytes bytes);
bool raw_write_text(struct raw *raw, const char *text);
/* Nothing more will be written. */
void raw_shut(struct raw *raw);
/* Read some more into raw->in. False: ended, or nothing came in time. */
bool raw_read(struct raw *raw);
/* Read until the other side ends the connection; what came is in raw->in. False: it does not end it. */
bool raw_read_end(struct raw *raw);

/* CONNECT with this token, attempt and position, and read CONNECTED. */
bool raw_connect(struct raw *raw, const char *token, uint64_t attempt, struct position position);
/* The next frame; it borrows until the next call. False: ended, nothing in time, or none that can be decoded. */
bool raw_frame(struct raw *raw, struct session_frame *out);
/* The next frame of this type, passing over others. */
bool raw_frame_of(struct raw *raw, enum session_type type, struct session_frame *out);
/* PING, and PONG comes back. */
bool raw_ping(struct raw *raw, uint64_t echo);
/* The code of the ERROR with which the server ends the connection; 0: none came. */
uint32_t raw_error(struct raw *raw);

#endif
