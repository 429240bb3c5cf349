/* redis_fake.h: servers that say what a test tells them, on real sockets: for replies that no real Redis gives when asked to.
 *
 * The test's thread serves: redis_fake_next() is where connections are accepted and commands read. ROLE, PING, INFO and CLUSTER
 * SHARDS are answered in passing, all else is the test's. Every wait ends after ten seconds with a failed assertion. */
#ifndef PETREL_TESTS_REDIS_FAKE_H
#define PETREL_TESTS_REDIS_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDIS_FAKE_SERVERS 2
#define REDIS_FAKE_CONNS 32
#define REDIS_FAKE_TEXT 1024

struct redis_fake_conn {
    int fd; /* -1: none */
    size_t server;
    size_t len;
    char in[8192];
};

struct redis_fake {
    int listeners[REDIS_FAKE_SERVERS];
    uint16_t ports[REDIS_FAKE_SERVERS];
    const char *role;  /* the answer to ROLE; NULL: the test's */
    size_t masters;    /* the first so many share the slots in CLUSTER SHARDS */
    unsigned replicas; /* of each master */
    struct redis_fake_conn conns[REDIS_FAKE_CONNS];
    size_t accepted;
    size_t ended; /* connections that the client closed */
};

void redis_fake_open(struct redis_fake *fake);
void redis_fake_close(struct redis_fake *fake);

/* Wait for a command; its words, joined by spaces, into text. The connection on which it came. */
struct redis_fake_conn *redis_fake_next(struct redis_fake *fake, char text[REDIS_FAKE_TEXT]);
/* The same, which has to begin with this. */
struct redis_fake_conn *redis_fake_expect(struct redis_fake *fake, const char *begin);
void redis_fake_say(struct redis_fake_conn *conn, const char *reply);
void redis_fake_hang_up(struct redis_fake_conn *conn);
/* Wait until the client has closed so many connections in all. Commands are an error meanwhile. */
void redis_fake_wait_ended(struct redis_fake *fake, size_t ended);

#endif
