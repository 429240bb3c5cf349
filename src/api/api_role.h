/* api_role.h: the HTTP API: the send API under /v1 and, on a listener of its own, the admin API under /admin/v1. One object per
 * loop and listener kind. README.md in this room lists every route, error and header; openapi.json is the same for
 * machines.
 *
 * conn      one connection, of HTTP/1.1 or HTTP/2: a parser, and the requests under way; in HTTP/1.1 answers are held back
 *           until those before them are written (pipelining)
 * exchange  one request and its answer: owns copies of what it needs beyond the parser
 * route     method, path pattern, handler: one table
 *
 * To add a route: its line in api_routes.c, a handler in the file of its theme, its rows in README.md and openapi.json. */
#ifndef PETREL_API_API_ROLE_H
#define PETREL_API_API_ROLE_H

#include "api/api_health.h"
#include "base/metrics.h"
#include "base/netaddr.h"
#include "discovery/discovery.h"
#include "discovery/link.h"
#include "loop/listener.h"
#include "registry/registry.h"

struct api_role;

enum api_kind { API_SEND, API_ADMIN };

#define API_OPERATOR_NAME_SIZE 33

/* What the admin API can have done by the process around it. Each answers on the loop that asked. */
struct api_host {
    void *ctx;
    /* The configuration in force as a JSON object text (secrets left out), appended. */
    void (*render_config)(void *ctx, struct bytebuf *out);
    /* Copy all stores into the directory (absolute path, made by the caller's request, must not exist). */
    int (*backup)(void *ctx, struct loop *home, const char *directory, void (*done)(void *arg, int status), void *arg);
    /* The certificate number index that is served, and to whom ("clients", "nodes"); whether there is one. On the admin API's loop, as
     * reload. */
    bool (*certificate)(void *ctx, size_t index, struct tls_certificate *out, const char **use);
    /* Read the certificates again. 0, or PETREL_E_INVALID: they are of no use, and those before stay. */
    int (*reload)(void *ctx);
    /* How well the node can do its job; out is zeroed. */
    void (*health)(void *ctx, struct api_health *out);
};

/* Whether the listener's connections may, must or can't begin TLS. */
enum api_tls { API_TLS_OPTIONAL, API_TLS_REQUIRED, API_TLS_OFF };

/* From whom HTTP/2 without TLS is taken. */
enum api_cleartext { API_CLEARTEXT_LOOPBACK, API_CLEARTEXT_ANYWHERE, API_CLEARTEXT_NEVER };

/* Whose processes may do everything through the Unix socket, besides root's: the kernel says who they are. */
struct api_operators {
    uint32_t uid;
    char name[API_OPERATOR_NAME_SIZE]; /* of that user; empty: it has none */
    uint32_t gid;                      /* whose members; LISTENER_NO_GROUP: nobody else */
};

struct api_config {
    enum api_kind kind;
    const char *host; /* API_ADMIN: empty: only the socket */
    uint16_t port;
    const char *socket;             /* API_ADMIN: path of a Unix socket; empty: none */
    struct api_operators operators; /* who needs no token there */
    struct netaddr_set proxy_from;  /* who begins with a PROXY header, and must; default: nobody */
    enum api_tls tls;               /* default API_TLS_OPTIONAL: where there are certificates */
    size_t loops;                   /* of this process: where sessions live */
    uint32_t node;
    const char *node_name;
    const char *version;
    uint64_t started_ms;
    const char *admin_token;  /* API_ADMIN */
    uint32_t max_connections; /* of this loop; default 4,096 */
    uint32_t
        max_strangers_per_address; /* connections of this loop that showed no valid key, of IPv6 from a network of 64 bits; default 256 */
    uint32_t max_body_bytes;    /* default 4 MiB: a batch */
    uint64_t max_held_bytes;    /* requests under way, of all connections; 0: 256 MiB, or two bodies if more */
    uint32_t max_message_bytes; /* payload, or data as JSON text; default 16,384 */
    uint32_t max_batch_lines;   /* default 1,000 */
    uint32_t max_pipeline;      /* requests under way per connection; default 64 */
    uint32_t http2_streams; /* requests open on a connection of HTTP/2; beyond max_pipeline they wait; default 128 */
    enum api_cleartext http2_cleartext; /* default API_CLEARTEXT_LOOPBACK */
    uint32_t request_timeout_ms;        /* from the first byte to the last of a request; default 15,000 */
    uint32_t idle_timeout_ms;           /* keep-alive; default 75,000 */
    uint64_t ttl_default_s;             /* 4 weeks */
    uint64_t ttl_max_s;                 /* 4 weeks */
    uint64_t topics_ttl_max_s;          /* of messages to topics: 4 weeks */
    bool replicas;                      /* the store has some to wait for: durability "replicated" is taken */
    uint32_t app_rate;         /* requests a second of an app that has no limit of its own; 0: as many as come */
    uint32_t key_rate;         /* the same of a key */
    uint64_t rate_burst_ms;    /* what of a limit may come at once; 1,000 */
    uint64_t token_ttl_s;      /* device tokens that register mints: 30 days */
    uint32_t heartbeat_hint_s; /* lookup: how long an answer may be cached; 300 */
};

struct api_config api_role_defaults(void);

/* Borrowed for the role's life: link, registry, discovery, metrics, host. config is copied, texts too. registry NULL, of API_ADMIN
 * only: this node keeps none, and what needs it is answered NO_REGISTRY. */
int api_role_new(struct api_role **out, struct loop *loop, struct link *link, struct registry *registry,
                 struct discovery *discovery, const struct metrics *metrics, struct metrics_shard *shard,
                 const struct api_host *host, const struct api_config *config);
/* The registry's newest snapshot; a reference is taken. On the loop. Until the first, requests are 503. */
void api_role_set_snapshot(struct api_role *role, struct snapshot *snapshot);
/* The certificates that are shown from now on; a reference is taken. NULL: no TLS, as before the first. On the loop. */
void api_role_set_tls(struct api_role *role, struct tls_server *tls);
/* The address, if there is one (*port is 0 else), and the socket. Errors of listener_open() and listener_open_local(). */
int api_role_listen(struct api_role *role, uint16_t *port);
int api_role_listen_local(struct api_role *role);
/* Stop accepting; answer what is under way with "Connection: close"; then close, free, done(ctx). On the loop. */
void api_role_close(struct api_role **role, void (*done)(void *ctx), void *ctx);

#endif
