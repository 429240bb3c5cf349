#include "petreld/server_tls.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "loop/tls.h"
#include "petreld/secret_file.h"
#include "petreld/server_impl.h"

#include <stdlib.h>
#include <string.h>

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

/* A secret of their own, or that which all nodes share anyway: what tickets are sealed with is derived from it. */
static int read_secret(const struct config *config, char secret[SECRET_MAX])
{
    const char *path =
        config->tls_ticket_secret_file[0] != '\0' ? config->tls_ticket_secret_file : config->peer_secret_file;
    return secret_file_read(path, secret, SECRET_MAX);
}

static int load(const struct config *config, struct tls_server **out)
{
    struct identities identities;
    char secret[SECRET_MAX] = "";
    char why[TLS_WHY_SIZE] = "";
    int err = read_identities(config, &identities);
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
        err = tls_server_new(out, &tls, why);
        if (err != 0)
            (void)explain(why);
    }
    explicit_bzero(secret, sizeof secret);
    return err;
}

static void log_certificates(const struct tls_server *tls)
{
    struct tls_certificate certificate;
    for (size_t i = 0; tls_server_certificate(tls, i, &certificate); i++) {
        char until[CLOCK_TEXT_SIZE];
        log_at(LOG_INFO, "server", "certificate", LOG_STR("file", certificate.file), LOG_STR("for", certificate.names),
               LOG_STR("key", certificate.key), LOG_STR("until", clock_format(certificate.not_after_s * 1000, until)));
    }
}

int server_tls_load(struct server *server)
{
    if (server->config->tls_cert[0] == '\0')
        return 0;
    int err = load(server->config, &server->tls);
    if (err == 0)
        log_certificates(server->tls);
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

void server_tls_open(struct server_loop *node)
{
    const struct server *server = node->server;
    if (server->tls == NULL)
        return;
    struct tls_limits limits = {
        .handshakes = share(server, server->config->tls_handshakes),
        .handshakes_per_second = share(server, server->config->tls_handshakes_per_second),
        .kept = share(server, server->config->tls_max_openssl),
    };
    tls_loop_limit(node->loop, &limits, metrics_shard(server->metrics, loop_index(node->loop)));
    session_role_set_tls(node->session, server->tls, is_required(server));
}

/* ---- reload ---- */

struct tls_mail {
    struct mail mail;
    struct server_loop *node;
    struct tls_server *tls;
};

static void on_tls_mail(struct mail *mail)
{
    struct tls_mail *letter = container_of(mail, struct tls_mail, mail);
    struct server_loop *node = letter->node;
    if (node->session != NULL)
        session_role_set_tls(node->session, letter->tls, is_required(node->server));
    tls_server_unref(letter->tls);
    free(letter);
}

bool server_tls_certificate(void *ctx, size_t index, struct tls_certificate *out)
{
    const struct server *server = ctx;
    return server->tls != NULL && tls_server_certificate(server->tls, index, out);
}

int server_tls_host_reload(void *ctx)
{
    return server_tls_reload(ctx);
}

int server_tls_reload(struct server *server)
{
    if (server->tls == NULL)
        return 0;
    struct tls_server *tls = NULL;
    if (load(server->config, &tls) != 0) {
        log_event(LOG_WARN, "server", "the certificates before stay in service");
        return PETREL_E_INVALID;
    }
    tls_server_unref(server->tls);
    server->tls = tls;
    log_certificates(tls);
    for (size_t i = 0; i < server->loops_count; i++) {
        struct tls_mail *letter = object_zalloc(sizeof *letter);
        letter->mail.run = on_tls_mail;
        letter->node = &server->loops[i];
        letter->tls = tls_server_ref(tls);
        mailbox_post(server->loops[i].loop, &letter->mail);
    }
    return 0;
}
