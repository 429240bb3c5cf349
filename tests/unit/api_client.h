/* api_client.h: an HTTP/1.1 client for tests: blocking, plain, and strict about what it reads. */
#ifndef PETREL_TESTS_API_CLIENT_H
#define PETREL_TESTS_API_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct api_client {
    int fd;
    char *got; /* read and not yet taken */
    size_t len;
    size_t cap;
};

struct api_reply {
    unsigned status;
    char *head; /* with its final blank line */
    char *body;
    size_t body_len;
    json_t *json; /* NULL when the body is none */
    bool keep_alive;
};

void api_client_open(struct api_client *client, uint16_t port);
void api_client_close(struct api_client *client);
/* Break the connection off with a reset, as a peer that died does; a close is told from the end of its requests by nothing. */
void api_client_break(struct api_client *client);
void api_client_write(struct api_client *client, const void *data, size_t len);
void api_client_write_text(struct api_client *client, const char *text);
/* Write as much as the socket takes at once; false when the peer has closed. */
bool api_client_try_write(struct api_client *client, const char *text);
/* method, path, extra header lines (each ending in CR LF), body or NULL; Content-Length is added. */
void api_client_request(struct api_client *client, const char *method, const char *path, const char *headers,
                        const char *body);
/* Read one answer; head_only: to a HEAD. Fails the test when there is none. */
struct api_reply api_client_read(struct api_client *client, bool head_only);
/* Read one answer, which must have this status. */
void api_client_expect_status(struct api_client *client, unsigned status);
/* Read exactly this text. */
void api_client_expect_text(struct api_client *client, const char *text);
/* Read until the peer's end; fails the test when bytes come instead. */
void api_client_expect_end(struct api_client *client);

/* The value of a header, into out; false when there is none. */
bool api_client_header(const struct api_reply *reply, const char *name, char *out, size_t size);
/* A text in the JSON body by its path, as in "error.field" or "devices.0.device"; NULL when absent or no text. */
const char *api_client_text(const struct api_reply *reply, const char *path);
json_t *api_client_at(const struct api_reply *reply, const char *path);
void api_client_free(struct api_reply *reply);

#endif
