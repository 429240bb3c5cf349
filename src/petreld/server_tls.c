#include "petreld/server_tls.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "loop/tls.h"
#include "petreld/privileges.h"
#include "petreld/secret_file.h"
#include "petreld/server_impl.h"
#include "petreld/server_peer_tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET_MAX 256
#define IDENTITIES_MAX 16

/* The values of the two lists, each cut at its commas. */
struct identities {
    char certs[CONFIG_TEXT_MAX + 1];
    char keys[CONFIG_TEXT_MAX + 1];
    struct tls_identity list[IDENTITIES_MAX];
    size_t count;
};

static int explain(const char *why)
{
    log_at(LOG_ERROR, "server", "TLS can't be served", LOG_STR("why", why));
    return PETREL_E_INVALID;
}

static int read_identities(const struct config *config, struct identities *out)
{
    memcpy(out->certs, config->tls_cert, sizeof out->certs);
    memcpy(out->keys, config->tls_key, sizeof out->keys);
    char *certs_rest;
    char *keys_rest;
    const char *cert = strtok_r(out->certs, ", ", &certs_rest);
    const char *key = strtok_r(out->keys, ", ", &keys_rest);
    for (out->count = 0; cert != NULL && key != NULL; out->count++) {
        if (out->count == IDENTITIES_MAX)
            return explain("tls.cert names more than 16 files");
        out->list[out->count] = (struct tls_identity){cert, key};
        cert = strtok_r(NULL, ", ", &certs_rest);
        key = strtok_r(NULL, ", ", &keys_rest);
    }
    return cert == NULL && key == NULL ? 0 : explain("tls.cert and tls.key do not name as many files");
}

/* Before OpenSSL says it in its way: as who it is read, on a reload, too, when petreld is not root any more. */
static int check_readable(const struct identities *identities)
{
    for (size_t i = 0; i < identities->count; i++) {
        const char *path = access(identities->list[i].cert_file, R_OK) != 0  ? identities->list[i].cert_file
                           : access(identities->list[i].key_file, R_OK) != 0 ? identities->list[i].key_file
                                                                             : NULL;
        if (path == NULL)
            continue;
        const int errnum = errno;
        char why[512], name[PRIVILEGES_NAME_SIZE];
        privileges_name(name);
        (void)snprintf(why, sizeof why, "%s: %s; petreld runs as %s (uid %u), who has to be able to read it", path,
                       strerror(errnum), name, (unsigned)geteuid());
        return explain(why);
    }
    return 0;
}

/* A secret of their own, or that which all nodes share anyway: what tickets are sealed with is derived from it. */
static int read_secret(const struct config *config, char secret[SECRET_MAX])
{
    const char *path =
        config->tls_ticket_secret_file[0] != '\0' ? config->tls_ticket_secret_file : config->peer_secret_file;
    return secret_file_read(path, secret, SECRET_MAX);
}

/* What devices and backends are shown: the same, but for what may be spoken within. */
struct servers {
    struct tls_server *sessions;
    struct tls_server *apis;
};

static void unref(struct servers *servers)
{
    tls_server_unref(servers->sessions);
    tls_server_unref(servers->apis);
    *servers = (struct servers){0};
}

static int load(const struct config *config, struct servers *out)
{
    struct identities identities;
    char secret[SECRET_MAX] = "";
    char why[TLS_WHY_SIZE] = "";
    *out = (struct servers){0};
    int err = read_identities(config, &identities);
    if (err == 0)
        err = check_readable(&identities);
    if (err == 0)
        err = read_secret(config, secret);
    if (err == 0) {
        struct tls_server_config tls = {
            .identities = identities.list,
            .identities_count = identities.count,
            .min_version = strcmp(config->tls_min_version, "1.3") == 0 ? TLS_VERSION_1_3 : TLS_VERSION_1_2,
            .ticket_secret = bytes_str(secret),
            .ticket_lifetime_s = (uint32_t)(config->tls_ticket_lifetime / CONFIG_SECOND),
            .alpn = {TLS_ALPN_PETREL_1, TLS_ALPN_HTTP_1_1},
            .client_ca_file = config->tls_client_ca[0] != '\0' ? config->tls_client_ca : NULL,
            .client_cert_required = strcmp(config->tls_client_cert, "required") == 0,
            .compact = strcmp(config->tls_compact, "yes") == 0,
        };
        err = tls_server_new(&out->sessions, &tls, why);
        memcpy(tls.alpn, (enum tls_alpn[TLS_ALPN_MAX]){TLS_ALPN_H2, TLS_ALPN_HTTP_1_1}, sizeof tls.alpn);
        if (err == 0)
            err = tls_server_new(&out->apis, &tls, why);
        if (err != 0)
            (void)explain(why);
    }
    explicit_bzero(secret, sizeof secret);
    if (err != 0)
        unref(out);
    return err;
}

void server_tls_log(const struct tls_server *tls)
{
    struct tls_certificate certificate;
    for (size_t i = 0; tls_server_certificate(tls, i, &certificate); i++) {
        char until[CLOCK_TEXT_SIZE];
        log_at(LOG_INFO, "server", "certificate", LOG_STR("file", certificate.file), LOG_STR("for", certificate.names),
               LOG_STR("key", certificate.key), LOG_STR("until", clock_format(certificate.not_after_s * 1000, until)));
    }
}

static void take(struct server *server, struct servers servers)
{
    struct servers before = {server->tls, server->api_tls};
    unref(&before);
    server->tls = servers.sessions;
    server->api_tls = servers.apis;
    server_tls_log(server->tls);
}

int server_tls_load(struct server *server)
{
    if (server->config->tls_cert[0] == '\0')
        return 0;
    struct servers servers;
    const int err = load(server->config, &servers);
    if (err == 0)
        take(server, servers);
    return err;
}

static uint32_t share(const struct server *server, uint64_t whole)
{
    return (uint32_t)((whole + server->loops_count - 1) / server->loops_count);
}

static bool is_required(const struct server *server)
{
    return strcmp(server->config->tls_sessions, "required") == 0;
}

/* Those roles of the loop that there are. */
static void show(struct server_loop *node, const struct servers *servers)
{
    if (node->session != NULL)
        session_role_set_tls(node->session, servers->sessions, is_required(node->server));
    if (node->api != NULL)
        api_role_set_tls(node->api, servers->apis);
    if (node->admin != NULL)
        api_role_set_tls(node->admin, servers->apis);
}

void server_tls_open(struct server_loop *node)
{
    const struct server *server = node->server;
    if (server->tls == NULL)
        return;
    struct tls_limits limits = {
        .handshakes = share(server, server->config->tls_handshakes),
        .handshakes_per_second = share(server, server->config->tls_handshakes_per_second),
        .wait_ms = (uint32_t)server->config->session_connect_timeout,
        .kept = share(server, server->config->tls_max_openssl),
    };
    tls_loop_limit(node->loop, &limits, metrics_shard(server->metrics, loop_index(node->loop)));
    show(node, &(struct servers){server->tls, server->api_tls});
}

bool server_tls_certificate(void *ctx, size_t index, struct tls_certificate *out, const char **use)
{
    const struct server *server = ctx;
    size_t clients = 0;
    while (server->tls != NULL && tls_server_certificate(server->tls, clients, out)) {
        *use = "clients";
        if (clients++ == index)
            return true;
    }
    *use = "nodes";
    return server->peer_tls != NULL && tls_server_certificate(server->peer_tls, index - clients, out);
}

/* ---- reload ---- */

static int reload_for_clients(struct server *server)
{
    if (server->tls == NULL)
        return 0;
    struct servers servers;
    if (load(server->config, &servers) != 0) {
        log_event(LOG_WARN, "server", "the certificates before stay in service");
        return PETREL_E_INVALID;
    }
    take(server, servers);
    return 0;
}

/* All that a loop is to show from now on, to clients and to nodes, with references; NULL: it shows none. */
struct tls_mail {
    struct mail mail;
    struct server_loop *node;
    struct servers servers;
    struct tls_server *peer_tls;
    struct tls_client *peer_tls_client;
};

static void on_tls_mail(struct mail *mail)
{
    struct tls_mail *letter = container_of(mail, struct tls_mail, mail);
    if (letter->servers.sessions != NULL)
        show(letter->node, &letter->servers);
    if (letter->peer_tls != NULL)
        link_tcp_secure(letter->node->link, letter->peer_tls, letter->peer_tls_client);
    unref(&letter->servers);
    tls_server_unref(letter->peer_tls);
    tls_client_unref(letter->peer_tls_client);
    free(letter);
}

static void tell_loop(const struct server *server, struct server_loop *node)
{
    struct tls_mail *letter = object_zalloc(sizeof *letter);
    letter->mail.run = on_tls_mail;
    letter->node = node;
    if (server->tls != NULL)
        letter->servers = (struct servers){tls_server_ref(server->tls), tls_server_ref(server->api_tls)};
    if (server->peer_tls != NULL) {
        letter->peer_tls = tls_server_ref(server->peer_tls);
        letter->peer_tls_client = tls_client_ref(server->peer_tls_client);
    }
    mailbox_post(node->loop, &letter->mail);
}

int server_tls_reload(struct server *server)
{
    const int clients = reload_for_clients(server);
    const int nodes = server_peer_tls_reload(server);
    const int stores = backends_reload_tls(&server->backends, server->config);
    for (size_t i = 0; i < server->loops_count; i++)
        tell_loop(server, &server->loops[i]);
    if (clients != 0)
        return clients;
    return nodes != 0 ? nodes : stores;
}

int server_tls_host_reload(void *ctx)
{
    return server_tls_reload(ctx);
}
