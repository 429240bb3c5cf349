#include "session/session_role.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "discovery/lookup.h"
#include "session/session_conn.h"
#include "session/session_flow.h"
#include "session/session_list.h"
#include "session/session_topics.h"

#include <stdlib.h>

struct session_config session_role_defaults(void)
{
    return (struct session_config){
        .host = "0.0.0.0",
        .port = 7400,
        .max_sessions = 1000000,
        .max_frame_bytes = FRAME_BODY_DEFAULT,
        .connect_timeout_ms = 10000,
        .max_unauthenticated = 10000,
        .max_unauthenticated_per_address = 256,
        .heartbeat_s = 240,
        .heartbeat_min_s = 10,
        .heartbeat_max_s = 1200,
        .ack_delay_ms = 100,
        .check_interval_s = 300,
        .high_water_bytes = 65536,
        .slow_timeout_ms = 60000,
        .backoff_ms = 1000,
        .max_handshakes = 16384,
        .bind_target_ms = 20,
        .topic_lease_ms = 60000,
        .origins = "*",
        .node_name = "petrel",
        .node = 1,
        .loops = 1,
    };
}

/* ---- what the link brings ---- */

/* The session that the whole route names. */
static struct session *find_route(const struct session_role *role, const struct route *route)
{
    struct session *session = session_table_find(&role->table, route->slot, route->generation);
    if (session == NULL)
        return NULL;
    struct route own = session_route(session);
    return route_equal(route, &own) ? session : NULL;
}

static void on_deliver(struct session_role *role, const struct peer_deliver *deliver)
{
    struct session *session = find_route(role, &deliver->route);
    if (session != NULL)
        session_flow_deliver(session, deliver);
}

static void on_evict(struct session_role *role, const struct peer_evict *evict)
{
    struct session *session = find_route(role, &evict->route);
    if (session != NULL)
        session_conn_fail(session, evict->code, NULL);
}

static void on_resubscribed(struct session_role *role, const struct peer_resubscribed *resubscribed)
{
    struct session *session = find_route(role, &resubscribed->route);
    if (session != NULL)
        session_topics_refresh(session);
}

static void on_apps(struct session_role *role, const struct peer_apps *apps)
{
    if (role->keyring != NULL && apps->version <= role->keyring_version)
        return;
    struct session_keyring *keyring = session_auth_keyring_new(buf_bytes(apps->records), loop_rng(role->loop));
    if (keyring == NULL) {
        log_at(LOG_ERROR, "session", "the list of apps is malformed; the one before it stays",
               LOG_NUM("version", apps->version));
        return;
    }
    if (role->keyring != NULL && session_auth_lacks(keyring, role->keyring))
        session_check_apps(role);
    session_auth_go_on(keyring, role->keyring);
    session_auth_keyring_free(&role->keyring);
    role->keyring = keyring;
    role->keyring_version = apps->version;
}

static void on_tell(void *ctx, const struct peer_msg *msg)
{
    struct session_role *role = ctx;
    object_check(role, SESSION_ROLE_MAGIC);
    if (msg->type == PEER_DELIVER)
        on_deliver(role, &msg->deliver);
    else if (msg->type == PEER_EVICT)
        on_evict(role, &msg->evict);
    else if (msg->type == PEER_APPS)
        on_apps(role, &msg->apps);
    else if (msg->type == PEER_TOPIC_DELIVER)
        session_topics_deliver(role, &msg->topic_deliver);
    else if (msg->type == PEER_RESUBSCRIBED)
        on_resubscribed(role, &msg->resubscribed);
}

static void on_call(void *ctx, struct link_call *call)
{
    struct session_role *role = ctx;
    object_check(role, SESSION_ROLE_MAGIC);
    call->reply.status = role->closing ? PETREL_E_CLOSING : PETREL_E_UNSUPPORTED;
    if (!role->closing && call->in.type == PEER_SESSIONS) {
        call->reply.status = 0;
        call->reply.sessions = session_list_collect(role, &call->in.sessions);
    } else if (!role->closing && call->in.type == PEER_DRAIN) {
        call->reply.status = session_move_serve(role, &call->in.drain, &call->reply.drained);
    }
    link_answer(call);
}

static void on_dirty(void *ctx)
{
    struct session_role *role = ctx;
    object_check(role, SESSION_ROLE_MAGIC);
    session_check_all(role, "a link came up, or dropped hints to this loop");
}

/* ---- life ---- */

static void finish(struct loop_task *task)
{
    struct session_role *role = container_of(task, struct session_role, finish);
    object_check(role, SESSION_ROLE_MAGIC);
    void (*done)(void *ctx) = role->done;
    void *ctx = role->done_ctx;
    link_serve(role->link, LINK_SESSION, (struct link_server){0});
    session_drain_reset(role);
    session_topics_free(role->topics);
    session_goaway_reset(role);
    session_check_reset(role);
    session_agenda_reset(role);
    session_call_reset(&role->calls);
    session_window_reset(role);
    session_door_reset(role);
    session_penalty_reset(role);
    session_auth_keyring_free(&role->keyring);
    session_table_reset(&role->table);
    session_identity_reset(&role->identities);
    slab_reset(&role->busies);
    slab_reset(&role->doors);
    slab_reset(&role->edges);
    lookup_pacer_free(&role->pacer);
    session_codec_free(&role->codec);
    tls_server_unref(role->tls);
    bytes_reset(&role->out);
    bytes_reset(&role->unmasked);
    free((char *)role->config.host);
    free((char *)role->config.origins);
    free((char *)role->config.node_name);
    role->magic = 0;
    free(role);
    log_event(LOG_INFO, "session", "role stopped");
    done(ctx);
}

void session_role_trim(struct session_role *role)
{
    slab_trim(&role->table.sessions);
    slab_trim(&role->busies);
    slab_trim(&role->doors);
    slab_trim(&role->edges);
    slab_trim(&role->calls.slab);
    session_agenda_trim(role);
    session_identity_trim(&role->identities);
}

void session_role_finish_if_idle(struct session_role *role)
{
    if (role->closing && role->drain.phase == SESSION_DRAIN_OVER && role->connections == 0 &&
        role->calls.under_way == 0)
        loop_defer(role->loop, &role->finish);
}

int session_role_new(struct session_role **out, struct loop *loop, struct link *link,
                     const struct session_config *config, struct metrics_shard *metrics)
{
    struct session_role *role = object_zalloc(sizeof *role);
    role->magic = SESSION_ROLE_MAGIC;
    role->loop = loop;
    role->link = link;
    role->metrics = metrics;
    role->config = *config;
    role->config.host = object_strdup(config->host);
    role->config.origins = object_strdup(config->origins);
    role->config.node_name = object_strdup(config->node_name);
    role->codec = session_codec_new();
    role->start_ms = loop_now_ms(loop);
    role->finish.run = finish;
    session_table_init(&role->table, role);
    session_identity_init(&role->identities, rng_u64(loop_rng(loop)));
    slab_init(&role->busies, sizeof(struct session_busy), role);
    slab_init(&role->doors, sizeof(struct session_door), role);
    slab_init(&role->edges, sizeof(struct session_edge), role);
    role->pacer = lookup_pacer_new();
    session_door_init(role);
    session_window_init(role);
    session_penalty_init(role);
    session_call_init(role);
    session_agenda_init(role);
    role->topics = session_topics_new(role);
    link_serve(link, LINK_SESSION,
               (struct link_server){.ctx = role, .on_call = on_call, .on_tell = on_tell, .on_dirty = on_dirty});
    *out = role;
    return 0;
}

int session_role_listen(struct session_role *role, uint16_t *port)
{
    object_check(role, SESSION_ROLE_MAGIC);
    int rc = session_listen_open(role, port);
    if (rc != 0)
        return rc;
    session_admission_begin(role);
    log_at(LOG_INFO, "session", "role started", LOG_NUM("loop", loop_index(role->loop)),
           LOG_STR("host", role->config.host), LOG_NUM("port", *port));
    return 0;
}

void session_role_set_tls(struct session_role *role, struct tls_server *tls, bool required)
{
    object_check(role, SESSION_ROLE_MAGIC);
    tls_server_unref(role->tls);
    role->tls = tls != NULL ? tls_server_ref(tls) : NULL;
    role->tls_required = required;
}

void session_role_view(void *ctx, struct discovery_view *view)
{
    struct session_role *role = ctx;
    object_check(role, SESSION_ROLE_MAGIC);
    session_goaway_set_view(role, view);
}

void session_role_drain(struct session_role *role, uint32_t code, uint32_t deadline_ms, uint32_t spread_ms)
{
    object_check(role, SESSION_ROLE_MAGIC);
    petrel_assert(session_code_retry(code) && !role->closing);
    log_at(LOG_INFO, "session", "draining", LOG_NUM("sessions", role->sessions), LOG_NUM("deadline_ms", deadline_ms));
    session_admission_stop(role);
    session_listen_close(role);
    session_drain_begin(role, code, deadline_ms, spread_ms);
}

void session_role_close(struct session_role **inside, void (*done)(void *ctx), void *ctx)
{
    struct session_role *role = *inside;
    *inside = NULL;
    object_check(role, SESSION_ROLE_MAGIC);
    role->closing = true;
    role->done = done;
    role->done_ctx = ctx;
    session_admission_stop(role);
    session_listen_close(role);
    session_check_stop(role);
    session_topics_close(role);
    session_drain_close_all(role);
}

uint32_t session_role_count(const struct session_role *role)
{
    return role->sessions;
}
