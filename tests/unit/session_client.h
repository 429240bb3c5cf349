/* session_client.h: a device as a blocking socket, for tests of the session role. Main thread. */
#ifndef PETREL_TESTS_SESSION_CLIENT_H
#define PETREL_TESTS_SESSION_CLIENT_H

#include "unit/session_rig.h"
#include "wire/websocket.h"

struct client {
    int fd;
    struct bytebuf in;
    size_t taken; /* bytes of `in` that were frames already */
    struct session_codec *codec;
    struct session_frame frame; /* the last one; borrows from `in` */
    bool is_websocket;          /* what is sent goes out as a message, and what comes is taken out of messages */
    struct bytebuf raw;         /* bytes of packets that were not looked at yet */
    struct bytebuf scratch;
    struct websocket_reader reader;
    uint32_t messages; /* whole ones that came */
    uint32_t closed;   /* the code of the close that came; 0: none did */
    struct bytebuf pong;
};

void client_open(struct client *client, uint16_t port);
/* With a receive buffer of a few KiB. */
void client_open_narrow(struct client *client, uint16_t port);
/* As a WebSocket: the handshake is done. */
void client_open_websocket(struct client *client, uint16_t port);
/* Do it on a connection that is open. */
void client_upgrade(struct client *client);
void client_close(struct client *client);

/* Bytes as they are, also on a WebSocket. */
void client_send_raw(struct client *client, struct bytes data);
/* Take bytes until what came ends with an HTTP head and its body; NUL-terminated, valid until the next call. */
const char *client_take_http(struct client *client);
/* A WebSocket's end: a close with that code, and then nothing. */
void client_take_close(struct client *client, uint32_t code);
/* The payload of the next pong. */
void client_take_pong(struct client *client, struct bytes payload);

void client_send(struct client *client, struct bytes data);
void client_send_frame(struct client *client, uint8_t type, struct bytes body);
void client_connect(struct client *client, struct rig *rig, const char *device, uint64_t attempt, struct position at);
void client_connect_as(struct client *client, const char *token, uint64_t attempt, struct position at);
void client_connect_token(struct client *client, const char *token);
void client_ack(struct client *client, uint64_t epoch, uint64_t seq);
void client_ping(struct client *client, uint64_t echo);
void client_disconnect(struct client *client);

/* The next frame, whatever it is. */
struct session_frame *client_take_any(struct client *client);
/* The next frame, which is of that type. */
struct session_frame *client_take(struct client *client, enum session_type type);
/* A PUSH of that position (RIG_EPOCH), prev and payload. */
void client_take_push(struct client *client, uint64_t seq, uint64_t prev, const char *text);
/* ERROR with that code, then the end of the connection. */
void client_take_error(struct client *client, uint32_t code);
void client_take_end(struct client *client);
/* Nothing but the PONG comes after a PING. */
void client_expect_silence(struct client *client);

/* Connect a device of the user "ada" and have it bound as NEW at (RIG_EPOCH, seq), which is the head. Its route. */
struct route client_go_live(struct client *client, struct rig *rig, const char *device, uint64_t seq);
/* The same on a connection that is open. */
struct route client_go_on_live(struct client *client, struct rig *rig, const char *device, uint64_t seq);

/* A rig with a bystander who is live, and a client that has just been accepted. */
struct scene {
    struct rig *rig;
    struct client bystander;
    struct client client;
    const char *header; /* of a proxy, at the beginning of each fresh client; NULL: none */
};
void scene_open(struct scene *scene, const struct session_config *config);
/* A fresh client in place of one that was refused. */
void scene_reopen(struct scene *scene);
/* The bystander has noticed nothing. */
void scene_close(struct scene *scene);

#endif
