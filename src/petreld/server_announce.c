/* server_announce.c: what the world is told of this node: its run file, its entry in discovery. */
#include "petreld/server_impl.h"

#include "base/err.h"
#include "base/log.h"
#include "petreld/server_peer_tls.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define TICK_MS 500
#define LOAD_TICKS 10         /* lookup ranks servers by their sessions as of 5 s ago at most, */
#define LOAD_CHANGE_PART 20   /* or as of now when they changed by a twentieth */
#define LOAD_CHANGE_LEAST 100 /* and by more than so many */

/* Where a client on this machine reaches a listener. */
static void put_address(struct bytebuf *out, const char *host, uint16_t port)
{
    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    bytes_printf(out, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
}

static void put_json_text(struct bytebuf *out, const char *text)
{
    bytes_append_str(out, "\"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            bytes_append_str(out, "\\");
        if ((unsigned char)*text < 0x20)
            bytes_printf(out, "\\u%04x", (unsigned char)*text);
        else
            bytes_append(out, text, 1);
    }
    bytes_append_str(out, "\"");
}

int server_announce_run_file(struct server *server)
{
    struct bytebuf out = {0};
    const struct {
        const char *name;
        const char *host;
        uint16_t port;
        bool open;
    } listeners[] = {
        {"session", server->config->session_host, server->session_port, (server->roles & DISCOVERY_SESSION) != 0},
        {"api", server->config->api_host, server->api_port, (server->roles & DISCOVERY_API) != 0},
        {"admin", server->config->admin_host, server->admin_port, server->config->admin_host[0] != '\0'},
        {"peer", server->config->peer_host, server->peer_port, server_links_called(server)},
    };
    bytes_printf(&out, "{\"pid\":%ld,\"version\":\"%s\"", (long)getpid(), PETREL_VERSION);
    for (size_t i = 0; i < sizeof listeners / sizeof listeners[0]; i++) {
        if (!listeners[i].open)
            continue;
        bytes_printf(&out, ",\"%s\":\"", listeners[i].name);
        put_address(&out, listeners[i].host, listeners[i].port);
        bytes_append_str(&out, "\"");
    }
    if (server->admin_socket[0] != '\0') {
        bytes_append_str(&out, ",\"admin_socket\":");
        put_json_text(&out, server->admin_socket);
    }
    bytes_append_str(&out, "}\n");
    int err = datadir_write(server->dir, "petreld.json", bytes_view(&out));
    bytes_reset(&out);
    return err;
}

/* What others are told of a listener: what the configuration says, or where it is. */
static void advertise(const char *told, const char *host, uint16_t port, char out[DISCOVERY_ADDRESS_MAX + 1])
{
    struct bytebuf address = {0};
    if (told[0] != '\0')
        bytes_append_str(&address, told);
    else
        put_address(&address, host, port);
    snprintf(out, DISCOVERY_ADDRESS_MAX + 1, "%.*s", (int)address.len, (const char *)address.ptr);
    bytes_reset(&address);
}

bool server_announce_is_draining(const struct server *server)
{
    for (size_t i = 0; i < server->loops_count; i++) {
        if (atomic_load(&server->loops[i].draining))
            return true;
    }
    return false;
}

int server_announce_publish(struct server *server)
{
    const struct config *config = server->config;
    const bool holds_sessions = (server->roles & DISCOVERY_SESSION) != 0;
    const bool stays = atomic_load(&server->phase) <= SERVER_SERVE && !server_announce_is_draining(server);
    struct discovery_node self = {
        .number = server->backends.node,
        .roles = server->roles,
        .incarnation = server->started_ms,
        .state = stays ? DISCOVERY_UP : DISCOVERY_DRAINING,
        .sessions = (uint64_t)metrics_get(server->metrics, METRIC_SESSIONS),
        .max_sessions = config->session_max_sessions,
        .connects_per_second = holds_sessions ? (uint32_t)config->session_connects_per_second : 0,
        .loops = holds_sessions ? (uint16_t)server->loops_count : 0,
        .peer_tls = server_peer_tls_mode(config),
    };
    snprintf(self.name, sizeof self.name, "%.*s", DISCOVERY_NAME_MAX, server->node_name);
    if (holds_sessions)
        advertise(config->session_advertise, config->session_host, server->session_port, self.session_address);
    if (server_links_called(server))
        advertise(config->peer_advertise, config->peer_host, server->peer_port, self.peer_address);
    server->told_sessions = self.sessions;
    return server->backends.discovery->ops->publish(server->backends.discovery, &self);
}

static void on_draining_mail(struct mail *mail)
{
    struct server_loop *node = container_of(mail, struct server_loop, draining_mail);
    atomic_flag_clear(&node->draining_posted);
    if (atomic_load(&node->server->phase) == SERVER_SERVE)
        (void)server_announce_publish(node->server);
}

void server_announce_draining(void *ctx, bool draining)
{
    struct server_loop *node = ctx;
    atomic_store(&node->draining, draining);
    if (atomic_flag_test_and_set(&node->draining_posted))
        return; /* the letter on its way will see it */
    node->draining_mail.run = on_draining_mail;
    mailbox_post(node->server->loops[0].loop, &node->draining_mail);
}

/* Devices elsewhere would be sent to themselves. */
static bool is_every_address(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* Lookup and whoever balances by the views should not send a crowd where another has just come. */
static bool has_changed_much(const struct server *server)
{
    const uint64_t now = (uint64_t)metrics_get(server->metrics, METRIC_SESSIONS);
    const uint64_t told = server->told_sessions;
    const uint64_t change = now > told ? now - told : told - now;
    return change > told / LOAD_CHANGE_PART + LOAD_CHANGE_LEAST;
}

static void on_tick(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, tick);
    server_health_measure(server);
    if (++server->ticks % LOAD_TICKS == 0 || has_changed_much(server))
        (void)server_announce_publish(server);
    timer_start(server->loops[0].loop, timer, TICK_MS, on_tick);
}

void server_announce_stop(struct server *server)
{
    timer_stop(&server->tick);
    server_memory_stop(server);
}

void server_announce_ready(struct server *server)
{
    server_health_measure(server);
    timer_start(server->loops[0].loop, &server->tick, TICK_MS, on_tick);
    bool sessions = (server->roles & DISCOVERY_SESSION) != 0, api = (server->roles & DISCOVERY_API) != 0;
    log_at(LOG_INFO, "server", "ready", LOG_STR("node", server->node_name), LOG_STR("version", PETREL_VERSION),
           LOG_NUM("session_port", sessions ? server->session_port : 0),
           LOG_NUM("api_port", api ? server->api_port : 0), LOG_NUM("admin_port", server->admin_port),
           LOG_NUM("loops", server->loops_count));
    if (sessions && server->config->session_advertise[0] == '\0' && is_every_address(server->config->session_host))
        log_event(LOG_INFO, "server", "lookup names the loopback address; set session.advertise to what devices reach");
    if (server->signals)
        sd_notify(0, "READY=1");
}
