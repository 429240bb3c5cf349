/* client.h: libpetrel, a device's side of Petrel, in two layers.
 *
 * petrel_core    the protocol without sockets, threads or clocks, in core.h, with the words, the callbacks and the state
 * petrel_client  the core on a libuv loop of the application's: finds servers, connects, resumes, reconnects, asks for tokens
 *
 * From inside a callback every petrel_client_* may be called; petrel_client_state() holds in on_message what having the message means.
 * One thread: that of the loop. Nothing here is global. */
#ifndef PETREL_CLIENT_H
#define PETREL_CLIENT_H

#include "petrel/core.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PETREL_LOOKUP_SERVERS 16 /* in a config's list, at most */

struct uv_loop_s;
struct petrel_client;
/* Give the token to petrel_client_token(), now or later; NULL there means none could be had. */
typedef void petrel_token_fn(void *ctx, struct petrel_client *client);

/* TLS (1.2 or later) with every server, those of lookup too: then none is spoken to without, and none whose certificate does not prove
 * what it should. Connections resume by tickets, which live as long as the client. */
struct petrel_tls {
    const char *ca_file; /* PEM: whose certificates are trusted; NULL: those that the system trusts */
    const char *name;    /* what servers have to prove to be; NULL: the host, name or address, that was connected to */
    bool insecure;       /* believe any server: for tests alone */
};

struct petrel_client_config {
    struct uv_loop_s *loop; /* the application's; it runs it */
    /* Listeners of the send API or of sessions, "host:port[,host:port...]", at most PETREL_LOOKUP_SERVERS: they name session servers to
     * the client, which goes from one that fails to the next by itself. NULL: there is one session server, at host and port. */
    const char *lookup;
    const char *host; /* name or numeric address; NULL with lookup */
    uint16_t port;
    const char *token;            /* used until it is refused; NULL: fetch_token is asked first */
    petrel_token_fn *fetch_token; /* asked when there is no token or it has expired or was refused; may be NULL */
    struct petrel_core_config core;
    uint32_t connect_timeout_ms;  /* 0: 10,000; less where there are other servers to try */
    const struct petrel_tls *tls; /* NULL: without */
};

/* Begins to connect when the loop runs. NULL: memory is out, or the config lacks loop or on_message, or has neither or both of host and
 * lookup, or lookup is no such list, or tls->ca_file holds no certificates. Texts are copied. The application ignores SIGPIPE. */
struct petrel_client *petrel_client_new(const struct petrel_client_config *config, const struct petrel_state *state);
/* The answer to fetch_token, and a way to hand over a new token at any time: it counts from the next connect on, which begins at
 * once if the client had stopped. NULL: none now; it is asked again after a backoff. */
void petrel_client_token(struct petrel_client *client, const char *token);
/* Stop reading for the moment and go on: back-pressure against a fast server. */
void petrel_client_pause(struct petrel_client *client);
void petrel_client_resume(struct petrel_client *client);
/* As petrel_core_topic(). In on_connected, for instance: petrel_client_topic(client, "news", true). */
int petrel_client_topic(struct petrel_client *client, const char *topic, bool follow);
/* Ack what was processed, say goodbye, close; then on_closed(ctx) from the loop, after which the client is gone. No other callback
 * comes meanwhile, but on_save for messages that are being handled when it is called. */
void petrel_client_close(struct petrel_client *client, void (*on_closed)(void *ctx));
const struct petrel_state *petrel_client_state(const struct petrel_client *client);
/* "host:port" of the server that it is, or was last, connecting or connected to; "" before. Valid until the client connects again. */
const char *petrel_client_server(const struct petrel_client *client);

#ifdef __cplusplus
}
#endif
#endif
