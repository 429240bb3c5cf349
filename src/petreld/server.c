#include "petreld/server_impl.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "petreld/privileges.h"
#include "petreld/roles.h"
#include "petreld/server_peer_tls.h"
#include "petreld/server_tls.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static void enter(struct server *server, enum server_phase phase);
static void hand_out(struct server *server, struct snapshot *snapshot);
static void hand_out_waiting(struct server *server);

/* ---- api_host ---- */

static void render_config(void *ctx, struct bytebuf *out)
{
    const struct server *server = ctx;
    config_render_json(server->config, out);
}

/* ---- phases ---- */

static void close_watches(struct server *server)
{
    for (size_t i = 0; i < sizeof server->watches / sizeof server->watches[0]; i++)
        signal_watch_close(&server->watches[i]);
}

static void on_phase(struct mail *mail)
{
    struct server_loop *node = container_of(mail, struct server_loop, to_loop);
    server_loop_enter(node, (enum server_phase)atomic_load(&node->server->phase));
}

static void enter(struct server *server, enum server_phase phase)
{
    atomic_store(&server->phase, phase);
    if (phase == SERVER_DRAIN) {
        server_announce_stop(server);
        log_event(LOG_INFO, "server", "shutting down");
        (void)server_announce_publish(server);
        if (server->signals)
            sd_notify(0, "STOPPING=1");
    }
    if (phase == SERVER_END)
        close_watches(server);
    server->unfinished = (unsigned)server->loops_count;
    if (phase == SERVER_START) { /* the others ask for the ports that loop 0 got */
        server->loops[0].to_loop.run = on_phase;
        mailbox_post(server->loops[0].loop, &server->loops[0].to_loop);
        return;
    }
    for (size_t i = 0; i < server->loops_count; i++) {
        server->loops[i].to_loop.run = on_phase;
        mailbox_post(server->loops[i].loop, &server->loops[i].to_loop);
    }
}

static void end_start(struct server *server)
{
    if (server->status == 0)
        server->status = server_announce_publish(server);
    if (server->status == 0)
        server->status = server_announce_run_file(server);
    if (server->status != 0 || server->stop_wanted) {
        enter(server, SERVER_DRAIN);
        return;
    }
    if (server->first_snapshot != NULL)
        hand_out(server, server->first_snapshot); /* the session roles hear of it by this only */
    atomic_store(&server->takes_snapshots, true);
    hand_out_waiting(server);
    enter(server, SERVER_SERVE);
}

static void begin_service(struct server *server)
{
    server->serving = true;
    if (server->stop_wanted)
        enter(server, SERVER_DRAIN);
    else
        server_announce_ready(server);
}

void server_finished(struct mail *mail)
{
    struct server_loop *node = container_of(mail, struct server_loop, to_server);
    struct server *server = node->server;
    enum server_phase phase = (enum server_phase)atomic_load(&server->phase);
    if (server->status == 0)
        server->status = node->status;
    if (phase == SERVER_START && node == &server->loops[0]) {
        if (server->status != 0) { /* the others have nothing to take back, but take every phase alike */
            server->unfinished = 1;
        } else {
            for (size_t i = 1; i < server->loops_count; i++) {
                server->loops[i].to_loop.run = on_phase;
                mailbox_post(server->loops[i].loop, &server->loops[i].to_loop);
            }
        }
    }
    if (--server->unfinished > 0)
        return;
    if (phase == SERVER_START)
        end_start(server);
    else if (phase == SERVER_SERVE)
        begin_service(server);
    else
        enter(server, (enum server_phase)(phase + 1));
}

static void on_stop(struct mail *mail)
{
    struct server *server = container_of(mail, struct server, stop_mail);
    /* A loop has one letter for all phases: the next is not begun before each has finished the last. */
    if (server->serving)
        enter(server, SERVER_DRAIN);
    else
        server->stop_wanted = true;
}

void server_stop(struct server *server, bool at_once)
{
    if (at_once)
        atomic_store(&server->at_once, true);
    if (!atomic_flag_test_and_set(&server->stop_posted)) {
        server->stop_mail.run = on_stop;
        mailbox_post(server->loops[0].loop, &server->stop_mail);
    }
}

static void on_signal(void *ctx, int signum)
{
    struct server *server = ctx;
    if (signum == SIGHUP) {
        logfile_reopen(server->log);
        if (server->serving)
            (void)server_tls_reload(server);
        return;
    }
    server_stop(server, atomic_load(&server->phase) > SERVER_SERVE);
}

/* ---- life ---- */

static void hand_out(struct server *server, struct snapshot *snapshot)
{
    for (size_t i = 0; i < server->loops_count; i++)
        server_loop_snapshot(&server->loops[i], snapshot);
}

static void hand_out_waiting(struct server *server)
{
    struct snapshot *snapshot = atomic_exchange(&server->snapshot_waiting, NULL);
    if (snapshot != NULL)
        hand_out(server, snapshot);
    snapshot_unref(snapshot);
}

/* On the registry's worker, or on the main thread while it opens. Until the loops have roles the newest waits; whoever comes second, this or
 * end_start(), hands it out. */
static void on_snapshot(void *ctx, struct snapshot *snapshot)
{
    struct server *server = ctx;
    if (atomic_load(&server->takes_snapshots)) {
        hand_out(server, snapshot);
        return;
    }
    snapshot_unref(atomic_exchange(&server->snapshot_waiting, snapshot_ref(snapshot)));
    if (atomic_load(&server->takes_snapshots))
        hand_out_waiting(server);
}

static void name_node(struct server *server)
{
    char host[SERVER_NAME_SIZE] = "petrel";
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    const char *name = server->config->node_name[0] != '\0' ? server->config->node_name : host;
    snprintf(server->node_name, sizeof server->node_name, "%.*s", SERVER_NAME_SIZE - 1, name);
}

/* Where the admin socket is and who may use it: looking names up can take a while, so it is done once, here. */
static int name_operators(struct server *server)
{
    const struct config *config = server->config;
    struct api_operators *who = &server->operators;
    char path[PATH_MAX];
    who->uid = geteuid();
    who->gid = LISTENER_NO_GROUP;
    privileges_name(who->name);
    if (config->admin_socket[0] == '\0')
        return 0;
    if (config->admin_socket[0] == '/')
        snprintf(path, sizeof path, "%s", config->admin_socket);
    else
        datadir_path(server->dir, config->admin_socket, path, sizeof path);
    if (strlen(path) >= sizeof server->admin_socket) {
        log_at(LOG_ERROR, "server", "the admin socket's path is too long: set admin.socket to a shorter one",
               LOG_STR("path", path), LOG_NUM("longest", sizeof server->admin_socket - 1));
        return PETREL_E_TOO_LARGE;
    }
    memcpy(server->admin_socket, path, strlen(path) + 1);
    return config->admin_socket_group[0] != '\0' ? privileges_group(config->admin_socket_group, &who->gid) : 0;
}

static int open_backends(struct server *server, struct loop *main_loop, bool restored)
{
    restored = restored || datadir_has(server->dir, "restored");
    struct backends_env env = {
        .config = server->config,
        .dir = server->dir,
        .clock = server->clock,
        .metrics = metrics_shard(server->metrics, server->loops_count),
        .registry_metrics = metrics_shard(server->metrics, server->loops_count + 1),
        .restored = restored,
        .roles = server->roles,
        .all_metrics = server->metrics,
        .loops_count = server->loops_count,
        .main_loop = main_loop,
        .node_name = server->node_name,
        .on_snapshot = on_snapshot,
        .is_link_up = server_links_reach,
        .ctx = server,
    };
    int err = backends_open(&server->backends, &env);
    if (err == 0 && restored) {
        log_event(LOG_WARN, "server", "the stores came from a backup: a new epoch begins");
        datadir_remove(server->dir, "restored");
    }
    return err;
}

/* The loops, then what hangs on them: discovery watches from loop 0, and gives the number that the links need. */
static int make_loops(struct server *server, bool restored)
{
    struct loop **bare = object_zalloc(server->loops_count * sizeof *bare);
    struct server_loop *loops = object_zalloc(server->loops_count * sizeof *loops);
    int err = 0;
    for (size_t i = 0; i < server->loops_count && err == 0; i++) {
        struct loop_config config = {.index = (uint16_t)i,
                                     .clock = server->clock,
                                     .opens_low_ports = true,
                                     .own_descriptors = server->own_descriptors && i > 0,
                                     .crowds = server->crowds};
        loops[i].server = server;
        err = loop_new(&bare[i], &config);
        loops[i].loop = bare[i];
    }
    server->loops = loops;
    if (err == 0)
        err = open_backends(server, bare[0], restored);
    if (err == 0)
        err = server_links_new(server, bare);
    for (size_t i = 0; i < server->loops_count && err == 0; i++)
        loops[i].link = server_links_at(server, i);
    free(bare);
    return err;
}

static int watch_signals(struct server *server)
{
    static const int signums[] = {SIGTERM, SIGINT, SIGHUP};
    int err = 0;
    for (size_t i = 0; i < sizeof signums / sizeof signums[0] && err == 0 && server->signals; i++)
        err = signal_watch_open(&server->watches[i], server->loops[0].loop, signums[i], on_signal, server);
    return err;
}

int server_new(struct server **out, const struct server_options *options)
{
    struct server *server = object_zalloc(sizeof *server);
    const struct config *config = options->config;
    server->config = config;
    server->clock = clock_system();
    server->signals = options->signals;
    server->started_ms = clock_wall_ms(server->clock);
    server->session_port = (uint16_t)config->session_port;
    server->api_port = (uint16_t)config->api_port;
    server->admin_port = (uint16_t)config->admin_port;
    server->peer_port = (uint16_t)config->peer_port;
    int err = roles_parse(config->roles, &server->roles);
    server_size(server);
    server->metrics = metrics_new(server->loops_count + 2);
    server->host = (struct api_host){.ctx = server,
                                     .render_config = render_config,
                                     .backup = server_backup_run,
                                     .health = server_health,
                                     .certificate = server_tls_certificate,
                                     .reload = server_tls_host_reload};
    atomic_flag_clear(&server->stop_posted);
    name_node(server);
    if (err == 0 && config->log_file[0] != '\0')
        err = logfile_open(&server->log, config->log_file);
    if (err == 0)
        err = datadir_open(&server->dir, config->data_dir);
    if (err == 0)
        err = name_operators(server);
    if (err == 0)
        err = server_tls_load(server);
    if (err == 0)
        err = server_peer_tls_load(server);
    if (err == 0)
        err = make_loops(server, options->restored);
    if (err == 0)
        err = watch_signals(server);
    if (err != 0)
        server_free(&server);
    *out = server;
    return err;
}

int server_run(struct server *server)
{
    size_t started = 1;
    while (started < server->loops_count && server->status == 0) {
        char name[16];
        snprintf(name, sizeof name, "loop-%hu", loop_index(server->loops[started].loop));
        server->status = loop_start_thread(server->loops[started].loop, name);
        if (server->status == 0)
            started++;
    }
    if (started == server->loops_count) {
        server->first_snapshot = atomic_exchange(&server->snapshot_waiting, NULL);
        enter(server, SERVER_START);
    } else { /* no roles are there yet: the loops that run have nothing to close */
        log_at(LOG_ERROR, "server", "a thread can't be started", LOG_NUM("loop", started));
        close_watches(server);
        for (size_t i = 0; i < started; i++)
            loop_stop(server->loops[i].loop);
    }
    loop_run(server->loops[0].loop);
    for (size_t i = 1; i < started; i++)
        loop_join_thread(server->loops[i].loop);
    log_event(LOG_INFO, "server", "stopped");
    return server->status;
}

/* The workers of the backends post their last mail to loops that are freed after them. */
void server_free(struct server **server_ref)
{
    struct server *server = *server_ref;
    *server_ref = NULL;
    if (server == NULL)
        return;
    close_watches(server);
    backends_close(&server->backends);
    for (size_t i = 0; i < server->loops_count && server->loops != NULL; i++)
        server_loop_free(&server->loops[i]);
    server_links_free(server);
    free(server->loops);
    turnstile_free(&server->crowds);
    turnstile_free(&server->broadcasts);
    snapshot_unref(atomic_load(&server->snapshot_waiting));
    snapshot_unref(server->first_snapshot);
    metrics_free(&server->metrics);
    tls_server_unref(server->tls);
    tls_server_unref(server->api_tls);
    tls_server_unref(server->peer_tls);
    tls_client_unref(server->peer_tls_client);
    datadir_close(&server->dir);
    logfile_close(&server->log);
    free(server);
}
