/* zookeeper.h: a ZooKeeper session as discovery uses it. Thin: the blocking calls of libzookeeper_mt with errors as petrel_err. The
 * only user of zookeeper/zookeeper.h.
 *
 * Everything is called on one thread of the owner's, which may be held up: a call returns when the answer is there or the
 * connection broke, at the latest after the session's timeout. Events come on ZooKeeper's own thread, where nothing of this file
 * may be called: the callee posts them elsewhere and returns. */
#ifndef PETREL_DRIVER_ZOOKEEPER_H
#define PETREL_DRIVER_ZOOKEEPER_H

#include "base/bytes.h"

struct zookeeper;

#define ZOOKEEPER_VALUE_MAX 4096
#define ZOOKEEPER_PATH_MAX 512 /* bytes, with the final NUL */

enum zookeeper_state {
    ZOOKEEPER_CONNECTING, /* the session may live on: its server is looked for */
    ZOOKEEPER_CONNECTED,
    ZOOKEEPER_ENDED, /* expired, or refused: disconnect, connect anew */
};

struct zookeeper_config {
    const char *servers; /* "zk1:2181,zk2:2181/chroot" */
    uint32_t session_timeout_ms;
    /* The session's state changed (path NULL), or what was watched at path did; that watch is over. Not after
     * zookeeper_disconnect(). */
    void (*on_event)(void *ctx, enum zookeeper_state state, const char *path);
    void *ctx;
};

/* Begin a session; it is CONNECTING. Resolves names. 0; PETREL_E_UNAVAILABLE: no name has an address; PETREL_E_INVALID: servers is no
 * such list. */
int zookeeper_connect(struct zookeeper **out, const struct zookeeper_config *config);
/* End the session, and with it what it holds, if a server can be reached; at most about 5 s. NULL inside is fine. */
void zookeeper_disconnect(struct zookeeper **zk);

enum zookeeper_state zookeeper_state(const struct zookeeper *zk);
/* What zookeeper_stat.owner is for this session's own; 0 before it was first connected. */
int64_t zookeeper_session(const struct zookeeper *zk);
/* Wait until the state is not CONNECTING, at most so long; returns it. */
enum zookeeper_state zookeeper_await(struct zookeeper *zk, uint32_t timeout_ms);

/* Of all that follow: 0; PETREL_E_UNAVAILABLE: connection or session lost, done or not is unknown; PETREL_E_NOT_FOUND: no such path, or
 * no parent; PETREL_E_EXISTS; PETREL_E_STALE: another version; PETREL_E_FORBIDDEN; PETREL_E_INVALID: not a path; PETREL_E_IO: anything
 * else. version -1 is any. */

enum zookeeper_life { ZOOKEEPER_KEPT, ZOOKEEPER_EPHEMERAL };
int zookeeper_create(struct zookeeper *zk, const char *path, struct bytes value, enum zookeeper_life life);
/* The path and all above it, kept and empty, where they are missing. */
int zookeeper_create_all(struct zookeeper *zk, const char *path);
int zookeeper_set(struct zookeeper *zk, const char *path, struct bytes value, int32_t version);
int zookeeper_remove(struct zookeeper *zk, const char *path, int32_t version);
/* Both or neither: set `counter` at that version, create `path`, kept. */
int zookeeper_set_and_create(struct zookeeper *zk, const char *counter, struct bytes count, int32_t version,
                             const char *path, struct bytes value);

struct zookeeper_stat {
    int32_t version;
    int64_t owner; /* the session that an ephemeral belongs to; 0: kept */
};
/* The value, appended to out, at most ZOOKEEPER_VALUE_MAX bytes, else PETREL_E_TOO_LARGE; stat then stands, too. */
int zookeeper_get(struct zookeeper *zk, const char *path, bool watch, struct bytebuf *out, struct zookeeper_stat *stat);

struct zookeeper_names {
    size_t count;
    char **names;
};
/* The names below path; zookeeper_names_reset() after 0. */
int zookeeper_children(struct zookeeper *zk, const char *path, bool watch, struct zookeeper_names *out);
void zookeeper_names_reset(struct zookeeper_names *names);

#endif
