/* client_uv.h: what the client needs of libuv, and nothing else of it: one timer and at most one connection on the application's
 * loop. Private to this room.
 *
 * A connection is opened (name lookup, then each address in turn, then TLS), read, written, dropped. What is dropped goes on closing by
 * itself and is never heard of again. All calls on the loop's thread; callbacks come from the loop, never from inside a call. */
#ifndef PETREL_CLIENT_CLIENT_UV_H
#define PETREL_CLIENT_CLIENT_UV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uv_loop_s;
struct client_tls;
struct client_uv;

struct client_uv_ops {
    void (*on_timer)(void *owner);
    void (*on_open)(void *owner);
    void (*on_read)(void *owner, const uint8_t *bytes, size_t len);
    /* What client_uv_write() took has gone to the socket: it takes more. */
    void (*on_sent)(void *owner);
    /* The connection could not be made, or is gone; it is dropped already. text says why. */
    void (*on_end)(void *owner, const char *text);
};

/* tls: what each connection speaks; NULL: none does. It, ops and owner are borrowed. NULL: memory is out. */
struct client_uv *client_uv_new(struct uv_loop_s *loop, struct client_tls *tls, const struct client_uv_ops *ops,
                                void *owner);
/* Drop the connection, stop the timer, then done(owner) from the loop and uv is gone. A name lookup under way is waited for. */
void client_uv_close(struct client_uv **uv, void (*done)(void *owner));

/* The loop's time in ms. */
uint64_t client_uv_now(const struct client_uv *uv);
/* The timer's next and only firing; UINT64_MAX: none. */
void client_uv_timer(struct client_uv *uv, uint64_t at_ms);

/* Open a connection; there is none. on_open or on_end comes within timeout_ms. protocol: what it carries, as TLS calls it. */
void client_uv_open(struct client_uv *uv, const char *host, uint16_t port, const char *protocol, uint32_t timeout_ms);
/* Start or stop reading; an open connection reads. */
void client_uv_read(struct client_uv *uv, bool on);
/* Write all of it: true, and on_sent comes unless it has gone at once; or false: earlier bytes are still on their way. */
bool client_uv_write(struct client_uv *uv, const uint8_t *bytes, size_t len);
void client_uv_drop(struct client_uv *uv);

#endif
