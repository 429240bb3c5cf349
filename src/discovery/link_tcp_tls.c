/* link_tcp_tls.c: which connections speak TLS, and whether who does is the node it says it is. */
#include "base/err.h"
#include "base/log.h"
#include "discovery/link_tcp_impl.h"
#include "discovery/link_tcp_peer.h"
#include "driver/tls_refusal.h"

#include <stdio.h>

#define TLS_FIRST_BYTE 0x16 /* of a handshake; no frame of ours begins with it that may be a connection's first */

static const struct link_tcp_config *config_of(const struct link_tcp_conn *conn)
{
    return &conn->home->set->config;
}

/* NULL: they agree. */
static const char *disagreement(enum discovery_tls ours, enum discovery_tls theirs)
{
    if (theirs == DISCOVERY_TLS_REQUIRED && ours == DISCOVERY_TLS_OFF)
        return "it takes links with TLS only, which is off here (peer.tls)";
    if (theirs == DISCOVERY_TLS_OFF && ours == DISCOVERY_TLS_REQUIRED)
        return "TLS is off there, and required here (peer.tls)";
    return NULL;
}

/* Who is called with TLS: what its certificate has to say. NULL: without. */
static const char *called_name(const struct link_tcp_conn *conn)
{
    const struct link_tcp_config *config = config_of(conn);
    if (conn->peer == NULL || config->tls == DISCOVERY_TLS_OFF || link_tcp_peer_tls(conn->peer) == DISCOVERY_TLS_OFF)
        return NULL;
    return config->tls_name != NULL ? config->tls_name : link_tcp_peer_name(conn->peer);
}

bool link_tcp_tls_call(struct link_tcp_conn *conn)
{
    const char *why = disagreement(config_of(conn)->tls, link_tcp_peer_tls(conn->peer));
    const char *name = called_name(conn);
    if (why == NULL && name != NULL) {
        const int rc = stream_secure_client(conn->stream, conn->home->tls_client, name, (struct bytes){0});
        if (rc != 0)
            why = rc == PETREL_E_INVALID ? "its name can't be one in a certificate" : err_text(rc);
    }
    if (why != NULL)
        link_tcp_conn_drop(conn, why);
    return why == NULL;
}

bool link_tcp_tls_begin(struct link_tcp_conn *conn, struct bytes first)
{
    const enum discovery_tls ours = config_of(conn)->tls;
    const bool secure = first.ptr[0] == TLS_FIRST_BYTE;
    conn->begun = true;
    if (secure && ours != DISCOVERY_TLS_OFF)
        stream_secure(conn->stream, conn->home->tls_server, first);
    else if (secure)
        link_tcp_conn_drop(conn, "it speaks TLS, which is off here (peer.tls)");
    else if (ours == DISCOVERY_TLS_REQUIRED)
        link_tcp_conn_drop(conn, "it does not speak TLS, which is required here (peer.tls)");
    else
        return false;
    return true;
}

/* What discovery calls that node; NULL: it does not know it, or not yet. */
static const char *known_as(const struct link_tcp_loop *home, uint32_t number)
{
    for (size_t i = 0; home->view != NULL && i < home->view->count; i++) {
        if (home->view->nodes[i].number == number)
            return home->view->nodes[i].name;
    }
    return NULL;
}

static void log_names(const struct link_tcp_conn *conn, const char *name)
{
    char names[TLS_NAMES_SIZE];
    tls_peer_names(conn->caller, names);
    log_at(LOG_DEBUG, "link", "a certificate is another node's", LOG_NUM("node", conn->other), LOG_STR("name", name),
           LOG_STR("certified", names));
}

/* The number is what messages are routed by, so a node must not take another's. */
static const char *check_caller(struct link_tcp_conn *conn, const struct peer_hello *hello)
{
    char name[PEER_CODEC_NAME_MAX + 1];
    const char *known = known_as(conn->home, hello->node);
    petrel_assert(hello->name.len <= PEER_CODEC_NAME_MAX);
    (void)snprintf(name, sizeof name, "%.*s", (int)hello->name.len,
                   hello->name.len > 0 ? (const char *)hello->name.ptr : "");
    if (strlen(name) != hello->name.len || (known != NULL && strcmp(name, known) != 0))
        return "it has another name than the node of that number";
    const char *expected = config_of(conn)->tls_name != NULL ? config_of(conn)->tls_name : name;
    if (tls_peer_is(conn->caller, expected))
        return NULL;
    log_names(conn, expected);
    return "its certificate is not for its name";
}

const char *link_tcp_tls_check(struct link_tcp_conn *conn, const struct peer_hello *hello)
{
    if (conn->peer != NULL || !stream_is_secure(conn->stream))
        return NULL; /* who is called was checked in the handshake */
    petrel_assert(conn->caller != NULL && "a server for nodes asks for certificates");
    const char *why = check_caller(conn, hello);
    tls_peer_free(&conn->caller);
    return why;
}

const char *link_tcp_tls_why(const struct link_tcp_conn *conn, int status, char out[LINK_TCP_TLS_WHY_SIZE])
{
    const char *why = tls_loop_why(conn->home->loop);
    const char *name = called_name(conn);
    if (why != NULL && status == PETREL_E_UNAUTHENTICATED && name != NULL)
        (void)snprintf(out, LINK_TCP_TLS_WHY_SIZE, "TLS: its certificate, expected for %.64s, is refused: %s", name,
                       why);
    else if (why != NULL && status == PETREL_E_UNAUTHENTICATED)
        (void)snprintf(out, LINK_TCP_TLS_WHY_SIZE, "TLS: its certificate is refused: %s", why);
    else if (why != NULL && tls_refusal_is_of_ours(why))
        (void)snprintf(out, LINK_TCP_TLS_WHY_SIZE, "TLS: it refuses our certificate: %s", why);
    else if (why != NULL)
        (void)snprintf(out, LINK_TCP_TLS_WHY_SIZE, "TLS: %s", why);
    else if (name != NULL && !conn->open && status == PETREL_E_EOF)
        return "it ended the connection in TLS's handshake";
    else if (name != NULL && !conn->open && status == PETREL_E_PROTOCOL)
        return "it does not speak TLS";
    else
        return err_text(status);
    return out;
}
