#include "unit/api_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S 30

void api_client_open(struct api_client *client, uint16_t port)
{
    *client = (struct api_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(client->fd >= 0);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&to, sizeof to), 0);
}

void api_client_close(struct api_client *client)
{
    (void)close(client->fd);
    free(client->got);
    *client = (struct api_client){.fd = -1};
}

void api_client_break(struct api_client *client)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    api_client_close(client);
}

void api_client_write(struct api_client *client, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t sent = send(client->fd, at, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        len -= (size_t)sent;
    }
}

void api_client_write_text(struct api_client *client, const char *text)
{
    api_client_write(client, text, strlen(text));
}

bool api_client_try_write(struct api_client *client, const char *text)
{
    ssize_t sent = send(client->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent >= 0 || errno == EAGAIN;
}

void api_client_request(struct api_client *client, const char *method, const char *path, const char *headers,
                        const char *body)
{
    char *text = NULL;
    int len = asprintf(&text, "%s %s HTTP/1.1\r\nHost: test\r\n%sContent-Length: %zu\r\n\r\n%s", method, path, headers,
                       body != NULL ? strlen(body) : 0, body != NULL ? body : "");
    assert_true(len > 0);
    api_client_write(client, text, (size_t)len);
    free(text);
}

/* False at the peer's end. */
static bool read_more(struct api_client *client)
{
    if (client->cap - client->len < 65536) {
        client->cap = client->cap * 2 + 131072;
        client->got = realloc(client->got, client->cap);
        assert_non_null(client->got);
    }
    ssize_t got = recv(client->fd, client->got + client->len, client->cap - client->len - 1, 0);
    if (got < 0)
        fail_msg("nothing came: %s", strerror(errno));
    client->len += (size_t)got;
    client->got[client->len] = '\0';
    return got > 0;
}

static char *take(struct api_client *client, size_t len)
{
    char *out = malloc(len + 1);
    assert_non_null(out);
    memcpy(out, client->got, len);
    out[len] = '\0';
    client->len -= len;
    memmove(client->got, client->got + len, client->len + 1);
    return out;
}

struct api_reply api_client_read(struct api_client *client, bool head_only)
{
    struct api_reply reply = {0};
    const char *end;
    while (client->len == 0 || (end = strstr(client->got, "\r\n\r\n")) == NULL) {
        if (!read_more(client))
            fail_msg("the connection ended before an answer");
    }
    reply.head = take(client, (size_t)(end - client->got) + 4);
    assert_int_equal(sscanf(reply.head, "HTTP/1.1 %u ", &reply.status), 1);
    char value[128];
    size_t length = 0;
    if (api_client_header(&reply, "Content-Length", value, sizeof value))
        length = strtoul(value, NULL, 10);
    assert_true(api_client_header(&reply, "Connection", value, sizeof value));
    reply.keep_alive = strcmp(value, "keep-alive") == 0;
    while (!head_only && client->len < length) {
        if (!read_more(client))
            fail_msg("the connection ended in an answer");
    }
    reply.body_len = head_only ? 0 : length;
    if (client->got == NULL)
        assert_true(read_more(client));
    reply.body = take(client, reply.body_len);
    if (api_client_header(&reply, "Content-Type", value, sizeof value) && strcmp(value, "application/json") == 0 &&
        !head_only) {
        json_error_t error;
        reply.json = json_loadb(reply.body, reply.body_len, JSON_REJECT_DUPLICATES, &error);
        if (reply.json == NULL)
            fail_msg("the body is not JSON: %s: %s", error.text, reply.body);
    }
    return reply;
}

void api_client_expect_status(struct api_client *client, unsigned status)
{
    struct api_reply reply = api_client_read(client, false);
    if (reply.status != status)
        fail_msg("expected %u, got %u: %s", status, reply.status, reply.body);
    api_client_free(&reply);
}

void api_client_expect_text(struct api_client *client, const char *text)
{
    const size_t len = strlen(text);
    while (client->len < len) {
        if (!read_more(client))
            fail_msg("the connection ended before: %s", text);
    }
    char *got = take(client, len);
    assert_string_equal(got, text);
    free(got);
}

void api_client_expect_end(struct api_client *client)
{
    assert_int_equal(client->len, 0);
    char byte;
    ssize_t got = recv(client->fd, &byte, 1, 0);
    if (got > 0 || (got < 0 && errno != ECONNRESET))
        fail_msg("the connection goes on");
}

bool api_client_header(const struct api_reply *reply, const char *name, char *out, size_t size)
{
    const size_t len = strlen(name);
    for (const char *line = strstr(reply->head, "\r\n") + 2; *line != '\r'; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            (void)snprintf(out, size, "%.*s", (int)strcspn(line + len + 2, "\r"), line + len + 2);
            return true;
        }
    }
    return false;
}

json_t *api_client_at(const struct api_reply *reply, const char *path)
{
    json_t *at = reply->json;
    while (at != NULL && *path != '\0') {
        char name[64];
        const size_t len = strcspn(path, ".");
        (void)snprintf(name, sizeof name, "%.*s", (int)len, path);
        at = json_is_array(at) ? json_array_get(at, strtoul(name, NULL, 10)) : json_object_get(at, name);
        path += len + (path[len] == '.');
    }
    return at;
}

const char *api_client_text(const struct api_reply *reply, const char *path)
{
    return json_string_value(api_client_at(reply, path));
}

void api_client_free(struct api_reply *reply)
{
    free(reply->head);
    free(reply->body);
    json_decref(reply->json);
    *reply = (struct api_reply){0};
}
