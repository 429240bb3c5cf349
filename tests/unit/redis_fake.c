#include "unit/redis_fake.h"

#include "lib/until.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 10000

void redis_fake_open(struct redis_fake *fake)
{
    *fake = (struct redis_fake){.role = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", .masters = 1};
    for (size_t i = 0; i < REDIS_FAKE_CONNS; i++)
        fake->conns[i].fd = -1;
    for (size_t i = 0; i < REDIS_FAKE_SERVERS; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        fake->listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fake->listeners[i], (struct sockaddr *)&address, size), 0);
        assert_int_equal(listen(fake->listeners[i], 64), 0);
        assert_int_equal(getsockname(fake->listeners[i], (struct sockaddr *)&address, &size), 0);
        fake->ports[i] = ntohs(address.sin_port);
    }
}

void redis_fake_hang_up(struct redis_fake_conn *conn)
{
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

void redis_fake_close(struct redis_fake *fake)
{
    for (size_t i = 0; i < REDIS_FAKE_CONNS; i++)
        redis_fake_hang_up(&fake->conns[i]);
    for (size_t i = 0; i < REDIS_FAKE_SERVERS; i++)
        close(fake->listeners[i]);
}

void redis_fake_say(struct redis_fake_conn *conn, const char *reply)
{
    /* The client may have hung up already: then nobody hears it. */
    (void)send(conn->fd, reply, strlen(reply), MSG_NOSIGNAL);
}

/* Take one whole command off what was read. Whether there was one. */
static bool take_command(struct redis_fake_conn *conn, char text[REDIS_FAKE_TEXT])
{
    conn->in[conn->len] = '\0';
    char *at = conn->in;
    char *end = strstr(at, "\r\n");
    if (at[0] != '*' || end == NULL)
        return false;
    text[0] = '\0';
    unsigned long words = strtoul(at + 1, NULL, 10);
    at = end + 2;
    for (unsigned long i = 0; i < words; i++) {
        end = at[0] == '$' ? strstr(at, "\r\n") : NULL;
        size_t len = end != NULL ? strtoul(at + 1, NULL, 10) : 0;
        if (end == NULL || end + 2 + len + 2 > conn->in + conn->len)
            return false;
        size_t used = strlen(text);
        snprintf(text + used, REDIS_FAKE_TEXT - used, "%s%.*s", i > 0 ? " " : "", (int)len, end + 2);
        at = end + 2 + len + 2;
    }
    conn->len -= (size_t)(at - conn->in);
    memmove(conn->in, at, conn->len);
    return true;
}

/* CLUSTER SHARDS: the masters share the slots evenly; their replicas are at addresses where nobody is. */
static void say_shards(const struct redis_fake *fake, struct redis_fake_conn *conn)
{
    char text[4096];
    int used = snprintf(text, sizeof text, "*%zu\r\n", fake->masters);
    for (size_t i = 0; i < fake->masters; i++) {
        size_t first = 16384 * i / fake->masters, last = 16384 * (i + 1) / fake->masters - 1;
        used += snprintf(text + used, sizeof text - (size_t)used,
                         "*4\r\n$5\r\nslots\r\n*2\r\n:%zu\r\n:%zu\r\n$5\r\nnodes\r\n*%u\r\n", first, last,
                         fake->replicas + 1);
        for (unsigned j = 0; j <= fake->replicas; j++)
            used += snprintf(text + used, sizeof text - (size_t)used,
                             "*8\r\n$4\r\nport\r\n:%u\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nrole\r\n%s\r\n"
                             "$6\r\nhealth\r\n$6\r\nonline\r\n",
                             j == 0 ? fake->ports[i] : j, j == 0 ? "$6\r\nmaster" : "$7\r\nreplica");
    }
    redis_fake_say(conn, text);
}

static bool answer_in_passing(const struct redis_fake *fake, struct redis_fake_conn *conn, const char *text)
{
    if (strcmp(text, "CLUSTER SHARDS") == 0)
        say_shards(fake, conn);
    else if (strcmp(text, "ROLE") == 0 && fake->role != NULL)
        redis_fake_say(conn, fake->role);
    else if (strcmp(text, "PING") == 0)
        redis_fake_say(conn, "+PONG\r\n");
    else if (strcmp(text, "INFO persistence memory") == 0)
        redis_fake_say(conn, "-NOPERM this user has no permissions\r\n");
    else
        return false;
    return true;
}

static void accept_one(struct redis_fake *fake, size_t server)
{
    for (size_t i = 0; i < REDIS_FAKE_CONNS; i++) {
        struct redis_fake_conn *conn = &fake->conns[i];
        if (conn->fd >= 0)
            continue;
        *conn = (struct redis_fake_conn){.fd = accept(fake->listeners[server], NULL, NULL), .server = server};
        assert_true(conn->fd >= 0);
        fake->accepted++;
        return;
    }
    fail_msg("too many connections");
}

static void read_some(struct redis_fake *fake, struct redis_fake_conn *conn)
{
    ssize_t got = recv(conn->fd, conn->in + conn->len, sizeof conn->in - 1 - conn->len, 0);
    if (got > 0) {
        conn->len += (size_t)got;
        return;
    }
    redis_fake_hang_up(conn);
    fake->ended++;
}

/* Wait for something on the sockets, up to the deadline, and take it in. */
static void wait_some(struct redis_fake *fake, uint64_t deadline_ms)
{
    struct pollfd polled[REDIS_FAKE_SERVERS + REDIS_FAKE_CONNS];
    for (size_t i = 0; i < REDIS_FAKE_SERVERS; i++)
        polled[i] = (struct pollfd){.fd = fake->listeners[i], .events = POLLIN};
    for (size_t i = 0; i < REDIS_FAKE_CONNS; i++)
        polled[REDIS_FAKE_SERVERS + i] = (struct pollfd){.fd = fake->conns[i].fd, .events = POLLIN};
    uint64_t now_ms = until_now_ms();
    assert_true(now_ms < deadline_ms);
    (void)poll(polled, REDIS_FAKE_SERVERS + REDIS_FAKE_CONNS, (int)(deadline_ms - now_ms));
    for (size_t i = 0; i < REDIS_FAKE_CONNS; i++) {
        if (polled[REDIS_FAKE_SERVERS + i].revents != 0)
            read_some(fake, &fake->conns[i]);
    }
    for (size_t i = 0; i < REDIS_FAKE_SERVERS; i++) {
        if (polled[i].revents != 0)
            accept_one(fake, i);
    }
}

static struct redis_fake_conn *take_any(struct redis_fake *fake, char text[REDIS_FAKE_TEXT])
{
    for (size_t i = 0; i < REDIS_FAKE_CONNS; i++) {
        struct redis_fake_conn *conn = &fake->conns[i];
        while (conn->fd >= 0 && take_command(conn, text)) {
            if (!answer_in_passing(fake, conn, text))
                return conn;
        }
    }
    return NULL;
}

struct redis_fake_conn *redis_fake_next(struct redis_fake *fake, char text[REDIS_FAKE_TEXT])
{
    const uint64_t deadline_ms = until_now_ms() + PATIENCE_MS;
    for (;;) {
        struct redis_fake_conn *conn = take_any(fake, text);
        if (conn != NULL)
            return conn;
        wait_some(fake, deadline_ms);
    }
}

struct redis_fake_conn *redis_fake_expect(struct redis_fake *fake, const char *begin)
{
    char text[REDIS_FAKE_TEXT];
    struct redis_fake_conn *conn = redis_fake_next(fake, text);
    if (strncmp(text, begin, strlen(begin)) != 0)
        fail_msg("expected %s, got %s", begin, text);
    return conn;
}

void redis_fake_wait_ended(struct redis_fake *fake, size_t ended)
{
    char text[REDIS_FAKE_TEXT];
    const uint64_t deadline_ms = until_now_ms() + PATIENCE_MS;
    while (fake->ended < ended) {
        assert_null(take_any(fake, text));
        wait_some(fake, deadline_ms);
    }
}
