#include "petreld/server_peer_tls.h"

#include "base/err.h"
#include "base/log.h"
#include "petreld/server_impl.h"
#include "petreld/server_tls.h"

#include <string.h>

struct ends {
    struct tls_server *server;
    struct tls_client *client;
};

static void unref(struct ends *ends)
{
    tls_server_unref(ends->server);
    tls_client_unref(ends->client);
    *ends = (struct ends){0};
}

enum discovery_tls server_peer_tls_mode(const struct config *config)
{
    if (strcmp(config->peer_tls, "required") == 0)
        return DISCOVERY_TLS_REQUIRED;
    return strcmp(config->peer_tls, "optional") == 0 ? DISCOVERY_TLS_OPTIONAL : DISCOVERY_TLS_OFF;
}

const char *server_peer_tls_name(const struct config *config)
{
    return config->peer_tls_name[0] != '\0' ? config->peer_tls_name : NULL;
}

static int make_server(const struct config *config, struct tls_server **out, char *why)
{
    const struct tls_identity identity = {config->peer_tls_cert, config->peer_tls_key};
    const struct tls_server_config tls = {
        .identities = &identity,
        .identities_count = 1,
        .min_version = TLS_VERSION_1_3,
        .client_ca_file = config->peer_tls_ca,
        .client_cert_required = true,
        .nodes = true,
        .compact = true,
    };
    return tls_server_new(out, &tls, why);
}

static int make_client(const struct config *config, struct tls_client **out, char *why)
{
    const struct tls_client_config tls = {
        .ca_file = config->peer_tls_ca,
        .cert_file = config->peer_tls_cert,
        .key_file = config->peer_tls_key,
        .compact = true,
    };
    return tls_client_new(out, &tls, why);
}

/* The other nodes' refusals would only be read in their logs, so the certificate is looked at here as they will look at it. */
static int load(const struct server *server, struct ends *out)
{
    const struct config *config = server->config;
    const char *name = server_peer_tls_name(config);
    char why[TLS_WHY_SIZE] = "";
    *out = (struct ends){0};
    int err = make_server(config, &out->server, why);
    if (err == 0)
        err = make_client(config, &out->client, why);
    if (err == 0)
        err = tls_client_check(out->client, name != NULL ? name : server->node_name, why);
    if (err != 0) {
        log_at(LOG_ERROR, "server", "links to other nodes can't speak TLS: they would refuse this certificate",
               LOG_STR("file", config->peer_tls_cert), LOG_STR("ca", config->peer_tls_ca), LOG_STR("why", why));
        unref(out);
    }
    return err;
}

static void take(struct server *server, struct ends ends)
{
    struct ends before = {server->peer_tls, server->peer_tls_client};
    unref(&before);
    server->peer_tls = ends.server;
    server->peer_tls_client = ends.client;
    server_tls_log(ends.server);
}

int server_peer_tls_load(struct server *server)
{
    struct ends ends;
    if (server_peer_tls_mode(server->config) == DISCOVERY_TLS_OFF)
        return 0;
    const int err = load(server, &ends);
    if (err == 0)
        take(server, ends);
    return err;
}

void server_peer_tls_open(struct server_loop *node)
{
    const struct server *server = node->server;
    if (server->peer_tls != NULL)
        link_tcp_secure(node->link, server->peer_tls, server->peer_tls_client);
}

int server_peer_tls_reload(struct server *server)
{
    struct ends ends;
    if (server->peer_tls == NULL)
        return 0;
    if (load(server, &ends) != 0) {
        log_event(LOG_WARN, "server", "links go on with the certificate before");
        return PETREL_E_INVALID;
    }
    take(server, ends);
    return 0;
}
