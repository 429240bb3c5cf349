#include "petreld/server_impl.h"

#include "base/err.h"
#include "base/log.h"
#include "petreld/secret_file.h"
#include "petreld/server_peer_tls.h"

#include <string.h>

#define SECRET_MAX 256

static int make_tcp(struct server *server, struct loop *const *loops)
{
    char secret[SECRET_MAX];
    int err = secret_file_read(server->config->peer_secret_file, secret, sizeof secret);
    if (err == 0) {
        struct link_tcp_config config = link_tcp_defaults();
        config.node = server->backends.node;
        config.incarnation = server->started_ms;
        config.name = server->node_name;
        config.roles = server->roles;
        config.secret = bytes_str(secret);
        config.tls = server_peer_tls_mode(server->config);
        config.tls_name = server_peer_tls_name(server->config);
        config.call_timeout_ms = (uint32_t)server->config->peer_call_timeout;
        config.silence_ms = (uint32_t)server->config->peer_silence;
        err = link_tcp_new(&server->peers, &config, loops, server->loops_count);
        if (err != 0)
            log_at(LOG_ERROR, "server", "links to other nodes can't be made; the secret needs 16 bytes or more",
                   LOG_STR("file", server->config->peer_secret_file), LOG_STR("error", err_text(err)));
    }
    explicit_bzero(secret, sizeof secret);
    return err;
}

int server_links_new(struct server *server, struct loop *const *loops)
{
    if (server->config->peer_secret_file[0] != '\0')
        return make_tcp(server, loops);
    server->links = link_local_new(server->backends.node, server->started_ms, loops, server->loops_count);
    return 0;
}

struct link *server_links_at(struct server *server, size_t index)
{
    return server->peers != NULL ? link_tcp_at(server->peers, index) : link_local_at(server->links, index);
}

/* Session roles connect to who has messages for them and to who asks them (link_tcp.h). */
bool server_links_called(const struct server *server)
{
    return server->peers != NULL && (server->roles & (DISCOVERY_MESSAGE | DISCOVERY_API)) != 0;
}

int server_links_open(struct server_loop *node)
{
    struct server *server = node->server;
    server_peer_tls_open(node);
    if (!server_links_called(server))
        return 0;
    uint16_t port = 0;
    int err = link_tcp_listen(node->link, server->config->peer_host, server->peer_port, &port);
    if (err == 0 && loop_index(node->loop) == 0)
        server->peer_port = port;
    return err;
}

static void on_view(void *ctx, struct discovery_view *view)
{
    struct server_loop *node = ctx;
    if (node->session != NULL)
        session_role_view(node->session, view);
    if (node->server->peers == NULL)
        return; /* alone: it only has itself to name to who looks up */
    link_tcp_view(node->link, view);
    if (node->message != NULL)
        message_role_view(node->message, view);
}

/* Watch first, then look: no view is missed between the two. */
int server_links_watch(struct server_loop *node)
{
    struct discovery *discovery = node->server->backends.discovery;
    int err = discovery->ops->watch(discovery, node->loop, on_view, node);
    if (err == 0) {
        struct discovery_view *view = discovery->ops->view(discovery);
        on_view(node, view);
        discovery_view_unref(view);
    }
    return err;
}

bool server_links_reach(void *ctx, const struct discovery_node *node)
{
    const struct server *server = ctx;
    return server->peers != NULL && link_tcp_reaches(link_tcp_at(server->peers, 0), node->number, node->incarnation);
}

void server_links_close(struct server_loop *node)
{
    if (node->server->peers != NULL)
        node->link->ops->close(node->link);
}

void server_links_free(struct server *server)
{
    link_local_free(&server->links);
    link_tcp_free(&server->peers);
}
