#include "petreld/server_impl.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "loop/capabilities.h"
#include "petreld/server_tls.h"
#include "wire/peer_record.h"

#include <stdlib.h>

#define DRAIN_POLL_MS 50

static uint32_t share(uint64_t whole, size_t parts)
{
    uint64_t each = (whole + parts - 1) / parts;
    return each > UINT32_MAX ? UINT32_MAX : (uint32_t)each;
}

static struct session_config session_config_of(const struct server *server)
{
    const struct config *config = server->config;
    struct session_config out = session_role_defaults();
    out.host = config->session_host;
    out.port = server->session_port;
    out.max_sessions = share(config->session_max_sessions, server->loops_count);
    out.max_frame_bytes = (uint32_t)config->session_max_frame;
    out.connect_timeout_ms = (uint32_t)config->session_connect_timeout;
    out.max_unauthenticated = share(config->session_max_unauthenticated, server->loops_count);
    out.max_unauthenticated_per_address = share(config->session_max_unauthenticated_per_address, server->loops_count);
    out.heartbeat_s = (uint32_t)(config->session_heartbeat / CONFIG_SECOND);
    out.heartbeat_min_s = (uint32_t)(config->session_heartbeat_min / CONFIG_SECOND);
    out.heartbeat_max_s = (uint32_t)(config->session_heartbeat_max / CONFIG_SECOND);
    out.ack_delay_ms = (uint32_t)config->session_ack_delay;
    out.check_interval_s = (uint32_t)(config->session_check_interval / CONFIG_SECOND);
    out.high_water_bytes = (uint32_t)config->session_high_water;
    out.slow_timeout_ms = (uint32_t)config->session_slow_timeout;
    out.backoff_ms = (uint32_t)config->session_backoff;
    out.origins = config->session_origins;
    petrel_assert(netaddr_set_parse(config->session_proxy_from, &out.proxy_from) == 0); /* config_check() saw to it */
    out.node_name = server->node_name;
    out.node = server->backends.node;
    out.incarnation = server->started_ms;
    out.loops = (uint32_t)server->loops_count;
    out.broadcasts = server->broadcasts;
    out.connects_per_second =
        config->session_connects_per_second > 0 ? share(config->session_connects_per_second, server->loops_count) : 0;
    out.address_connects_per_second = config->session_address_connects_per_second > 0
                                          ? share(config->session_address_connects_per_second, server->loops_count)
                                          : 0;
    out.app_connects_per_second = (uint32_t)config->session_app_connects_per_second;
    out.max_handshakes = share(config->session_max_handshakes, server->loops_count);
    out.bind_target_ms = (uint32_t)config->session_bind_target;
    out.memory_short = &server->memory.is_short;
    out.bad_tokens_per_address =
        config->session_bad_tokens > 0 ? share(config->session_bad_tokens, server->loops_count) : 0;
    out.max_frames_per_second = (uint32_t)config->session_max_frames_per_second;
    out.max_bytes_per_second = (uint32_t)config->session_max_bytes_per_second;
    out.on_draining = server_announce_draining;
    return out;
}

static enum api_tls tls_of(const char *choice)
{
    if (strcmp(choice, "required") == 0)
        return API_TLS_REQUIRED;
    return strcmp(choice, "off") == 0 ? API_TLS_OFF : API_TLS_OPTIONAL;
}

static enum api_cleartext cleartext_of(const char *choice)
{
    if (strcmp(choice, "anywhere") == 0)
        return API_CLEARTEXT_ANYWHERE;
    return strcmp(choice, "never") == 0 ? API_CLEARTEXT_NEVER : API_CLEARTEXT_LOOPBACK;
}

static struct api_config api_config_of(const struct server *server, enum api_kind kind)
{
    const struct config *config = server->config;
    struct api_config out = api_role_defaults();
    out.tls = tls_of(kind == API_SEND ? config->api_tls : config->admin_tls);
    out.kind = kind;
    out.host = kind == API_SEND ? config->api_host : config->admin_host;
    out.port = kind == API_SEND ? server->api_port : server->admin_port;
    out.loops = server->loops_count;
    out.node = server->backends.node;
    out.node_name = server->node_name;
    out.version = PETREL_VERSION;
    out.started_ms = server->started_ms;
    out.admin_token = datadir_token(server->dir);
    out.socket = server->admin_socket;
    out.operators = server->operators;
    out.max_connections =
        share(config->api_max_connections, kind == API_SEND ? server->api_loops : server->loops_count);
    out.max_body_bytes = (uint32_t)config->api_max_body;
    out.max_message_bytes = (uint32_t)config->api_max_message;
    out.max_batch_lines = (uint32_t)config->api_max_batch_lines;
    out.max_pipeline = (uint32_t)config->api_max_pipeline;
    out.http2_streams = (uint32_t)config->api_http2_streams;
    out.http2_cleartext = cleartext_of(config->api_http2_cleartext);
    out.request_timeout_ms = (uint32_t)config->api_request_timeout;
    out.idle_timeout_ms = (uint32_t)config->api_idle_timeout;
    out.app_rate = (uint32_t)config->api_app_rate;
    out.key_rate = (uint32_t)config->api_key_rate;
    out.rate_burst_ms = config->api_rate_burst;
    out.ttl_default_s = config->api_ttl_default / CONFIG_SECOND;
    out.ttl_max_s = config->api_ttl_max / CONFIG_SECOND;
    out.topics_ttl_max_s = config->topics_ttl_max / CONFIG_SECOND;
    out.replicas = strcmp(config->store_backend, "redis") == 0;
    if (kind == API_SEND)
        petrel_assert(netaddr_set_parse(config->api_proxy_from, &out.proxy_from) == 0);
    out.token_ttl_s = config->api_token_ttl / CONFIG_SECOND;
    return out;
}

void server_loop_free(struct server_loop *node)
{
    petrel_assert(node->message == NULL && node->session == NULL && node->api == NULL && node->admin == NULL);
    loop_free(&node->loop);
}

static void finish(struct server_loop *node, int status)
{
    node->status = status;
    node->to_server.run = server_finished;
    mailbox_post(node->server->loops[0].loop, &node->to_server);
}

/* ---- start ---- */

static int open_api(struct server_loop *node, enum api_kind kind, struct api_role **role, uint16_t *port)
{
    struct server *server = node->server;
    struct api_config config = api_config_of(server, kind);
    int err =
        api_role_new(role, node->loop, node->link, server->backends.registry, server->backends.discovery,
                     server->metrics, metrics_shard(server->metrics, loop_index(node->loop)), &server->host, &config);
    if (err != 0)
        return err;
    if (server->first_snapshot != NULL)
        api_role_set_snapshot(*role, server->first_snapshot);
    server_tls_open(node);
    return api_role_listen(*role, port);
}

static int open_socket(const struct server_loop *node)
{
    const struct server *server = node->server;
    const int err = api_role_listen_local(node->admin);
    if (err != 0)
        log_at(LOG_ERROR, "server", "the admin socket can't be opened", LOG_STR("path", server->admin_socket),
               LOG_STR("error",
                       err == PETREL_E_EXISTS      ? "another process serves there; give each its own admin.socket"
                       : err == PETREL_E_INVALID   ? "something else than a socket stands there"
                       : err == PETREL_E_NOT_FOUND ? "no such directory"
                       : err == PETREL_E_FORBIDDEN
                           ? "the directory must be the server's to write, and admin.socket_group one of its groups"
                           : err_text(err)));
    return err;
}

static int explain(int err, const char *what, const char *host, uint64_t port)
{
    const char *why = err == PETREL_E_EXISTS      ? "address in use"
                      : err == PETREL_E_FORBIDDEN ? "ports below 1024 are root's to open: start petreld as root (it "
                                                    "becomes user), or with CAP_NET_BIND_SERVICE"
                                                  : err_text(err);
    if (err != 0)
        log_at(LOG_ERROR, "server", "a listener can't be opened", LOG_STR("for", what), LOG_STR("host", host),
               LOG_NUM("port", port), LOG_STR("error", why));
    return err;
}

/* Before the first listener: nobody else may have the ports. */
static int probe_ports(const struct server *server)
{
    const struct config *config = server->config;
    const struct {
        const char *what;
        const char *host;
        uint64_t port;
    } wanted[] = {
        {"sessions", config->session_host, (server->roles & DISCOVERY_SESSION) != 0 ? config->session_port : 0},
        {"send API", config->api_host, (server->roles & DISCOVERY_API) != 0 ? config->api_port : 0},
        {"admin API", config->admin_host, config->admin_port},
        {"other nodes", config->peer_host, server_links_called(server) ? config->peer_port : 0},
    };
    int err = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && err == 0; i++) {
        if (wanted[i].host[0] == '\0')
            continue;
        struct listener_config listener = {.host = wanted[i].host, .port = (uint16_t)wanted[i].port};
        err = explain(listener_probe(&listener), wanted[i].what, wanted[i].host, wanted[i].port);
    }
    return err;
}

/* Routes may be among what it forgot: sessions check, and bind again (PROMISE §3). */
static void on_store_lost(void *link)
{
    link_lost(link);
}

static int open_message(struct server_loop *node, struct metrics_shard *shard)
{
    backends_watch_store(&node->server->backends, node->loop, on_store_lost, node->link);
    struct message_config config = {.max_inflight = 16384, .topics = node->server->backends.topics};
    return message_role_new(&node->message, node->loop, node->link, node->server->backends.store, &config, shard);
}

static int open_sessions(struct server_loop *node, struct metrics_shard *shard)
{
    struct server *server = node->server;
    struct session_config config = session_config_of(server);
    config.ctx = node;
    uint16_t port;
    int err = session_role_new(&node->session, node->loop, node->link, &config, shard);
    if (err == 0)
        server_tls_open(node);
    if (err == 0)
        err = explain(session_role_listen(node->session, &port), "sessions", config.host, config.port);
    if (err == 0 && loop_index(node->loop) == 0)
        server->session_port = port;
    return err;
}

static int open_apis(struct server_loop *node)
{
    struct server *server = node->server;
    const struct config *config = server->config;
    bool first = loop_index(node->loop) == 0;
    uint16_t port;
    int err = 0;
    if ((server->roles & DISCOVERY_API) != 0 && loop_index(node->loop) < server->api_loops)
        err = explain(open_api(node, API_SEND, &node->api, &port), "send API", config->api_host, config->api_port);
    if (err == 0 && first && node->api != NULL)
        server->api_port = port;
    if (err == 0 && first)
        err = explain(open_api(node, API_ADMIN, &node->admin, &server->admin_port), "admin API", config->admin_host,
                      config->admin_port);
    if (err == 0 && first)
        err = open_socket(node);
    return err;
}

/* Where the kernel may choose the ports, those of loop 0 decide for all. */
static int open_roles(struct server_loop *node)
{
    struct server *server = node->server;
    struct metrics_shard *shard = metrics_shard(server->metrics, loop_index(node->loop));
    const bool first = loop_index(node->loop) == 0;
    int err = first ? probe_ports(server) : 0;
    if (err == 0 && first)
        server_memory_begin(server);
    if (err == 0 && (server->roles & DISCOVERY_MESSAGE) != 0)
        err = open_message(node, shard);
    if (err == 0)
        err = explain(server_links_open(node), "other nodes", server->config->peer_host, server->config->peer_port);
    if (err == 0 && (server->roles & DISCOVERY_SESSION) != 0)
        err = open_sessions(node, shard);
    if (err == 0)
        err = server_links_watch(node);
    return err == 0 ? open_apis(node) : err;
}

/* ---- end ---- */

static void on_role_closed(void *ctx)
{
    struct server_loop *node = ctx;
    petrel_assert(node->waiting > 0);
    if (--node->waiting == 0)
        finish(node, 0);
}

static void on_drain_poll(struct timer *timer)
{
    struct server_loop *node = container_of(timer, struct server_loop, timer);
    bool empty = node->session == NULL || session_role_count(node->session) == 0;
    if (empty || atomic_load(&node->server->at_once) || loop_now_ms(node->loop) >= node->drain_until)
        on_role_closed(node);
    else
        timer_start(node->loop, timer, DRAIN_POLL_MS, on_drain_poll);
}

static void drain(struct server_loop *node)
{
    const struct config *config = node->server->config;
    uint32_t grace = (uint32_t)config->shutdown_grace;
    node->waiting = 1U + (node->api != NULL ? 1U : 0U) + (node->admin != NULL ? 1U : 0U);
    node->drain_until = loop_now_ms(node->loop) + grace;
    if (node->session != NULL)
        session_role_drain(node->session, SESSION_CODE_SHUTDOWN, grace, (uint32_t)config->shutdown_spread);
    if (node->api != NULL)
        api_role_close(&node->api, on_role_closed, node);
    if (node->admin != NULL)
        api_role_close(&node->admin, on_role_closed, node);
    timer_start(node->loop, &node->timer, 0, on_drain_poll);
}

void server_loop_enter(struct server_loop *node, enum server_phase phase)
{
    switch (phase) {
    case SERVER_START:
        finish(node, open_roles(node));
        break;
    case SERVER_DRAIN:
        drain(node);
        break;
    case SERVER_SESSIONS:
        node->waiting = 1;
        if (node->session != NULL)
            session_role_close(&node->session, on_role_closed, node);
        else
            on_role_closed(node);
        break;
    case SERVER_MESSAGES:
        node->waiting = 1;
        if (node->message != NULL)
            message_role_close(&node->message, on_role_closed, node);
        else
            on_role_closed(node);
        break;
    case SERVER_END:
        server_links_close(node);
        backends_leave(&node->server->backends, node->loop);
        loop_stop(node->loop);
        break;
    case SERVER_SERVE:
        capabilities_shed();
        finish(node, 0);
        break;
    }
}

/* ---- snapshots ---- */

struct snapshot_mail {
    struct mail mail;
    struct server_loop *node;
    struct snapshot *snapshot;
};

_Static_assert(SNAPSHOT_SECRETS_MAX <= PEER_APP_KEYS_MAX && SNAPSHOT_PUBLIC_KEYS_MAX <= PEER_APP_PUBLIC_KEYS_MAX,
               "what the registry holds of an app fits what nodes are told");

/* to borrows from the snapshot. */
static void lend_app(const struct snapshot *snapshot, const struct snapshot_app *from, struct peer_app *to)
{
    const struct snapshot_public_key *keys = snapshot_public_keys(snapshot, from, &to->public_keys_count);
    to->name = bytes_str(from->name);
    to->keys_count = from->secrets_count;
    for (size_t i = 0; i < from->secrets_count; i++)
        to->keys[i] = (struct peer_app_key){bytes_str(from->secrets[i].kid),
                                            bytes_of(from->secrets[i].secret, sizeof from->secrets[i].secret)};
    to->origins = bytes_str(from->edge.origins);
    to->connects_per_second = from->edge.connects_per_second;
    for (size_t i = 0; i < to->public_keys_count; i++)
        to->public_keys[i] =
            (struct peer_public_key){bytes_str(keys[i].kid), keys[i].algorithm, bytes_of(keys[i].der, keys[i].der_len)};
}

/* Every loop tells every session role which apps there are: each of them so hears of an app by mail that was posted before the
 * API could answer that it was created, and mail is run before the sockets are looked at. */
static void publish_apps(struct server_loop *node, const struct snapshot *snapshot)
{
    size_t count = snapshot_apps_count(snapshot);
    struct peer_app *apps = object_zalloc((count > 0 ? count : 1) * sizeof *apps);
    for (size_t i = 0; i < count; i++)
        lend_app(snapshot, snapshot_app_at(snapshot, i), &apps[i]);
    struct buf *records = peer_record_pack_apps(apps, count);
    message_role_publish_apps(node->message, snapshot_version(snapshot), records);
    buf_unref(records);
    free(apps);
}

static void on_snapshot_mail(struct mail *mail)
{
    struct snapshot_mail *letter = container_of(mail, struct snapshot_mail, mail);
    struct server_loop *node = letter->node;
    uint64_t version = snapshot_version(letter->snapshot);
    bool newer = version >= node->snapshot_version; /* the one of the start may be overtaken */
    node->snapshot_version = newer ? version : node->snapshot_version;
    if (newer && node->api != NULL)
        api_role_set_snapshot(node->api, letter->snapshot);
    if (newer && node->admin != NULL)
        api_role_set_snapshot(node->admin, letter->snapshot);
    if (newer && node->message != NULL)
        publish_apps(node, letter->snapshot);
    snapshot_unref(letter->snapshot);
    free(letter);
}

void server_loop_snapshot(struct server_loop *node, struct snapshot *snapshot)
{
    struct snapshot_mail *letter = object_zalloc(sizeof *letter);
    letter->mail.run = on_snapshot_mail;
    letter->node = node;
    letter->snapshot = snapshot_ref(snapshot);
    mailbox_post(node->loop, &letter->mail);
}
