#include "system/ledger/server.h"

#include "lib/until.h"
#include "system/ledger/tenant.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 60000
#define POLL_MS 10
#define STOP_MS 20000

static bool up_or_ended(void *ctx)
{
    return daemon_has_ended(ctx) || daemon_is_up(ctx);
}

static void adopt(struct server *server)
{
    struct ledger *ledger = server->ledger;
    ledger->apis_count = 1;
    snprintf(ledger->apis[0], LEDGER_ADDRESS_MAX, "%s", server->daemon.api);
    snprintf(ledger->session, sizeof ledger->session, "%s", server->daemon.session);
}

/* Certificate, key and secret, and the words that name them. */
static bool set_up_tls(struct server *server)
{
    static const char secret[] = "what the tickets of a ledger are sealed with";
    tls_files_make(&server->tls);
    tls_files_issue(&server->tls, "server", "IP:127.0.0.1", false, &server->pair);
    snprintf(server->ledger->ca, sizeof server->ledger->ca, "%s", server->tls.ca);
    snprintf(server->tickets, sizeof server->tickets, "%s/tickets", server->tls.dir.path);
    const int fd = open(server->tickets, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const bool written = fd >= 0 && write(fd, secret, sizeof secret - 1) == (ssize_t)sizeof secret - 1;
    if (fd >= 0)
        close(fd);
    return written;
}

static bool fill_args(struct server *server)
{
    const char *const words[] = {"--log-level",
                                 "warn",
                                 "--tls-cert",
                                 server->pair.cert,
                                 "--tls-key",
                                 server->pair.key,
                                 "--tls-ticket-secret-file",
                                 server->tickets,
                                 "--tls-sessions",
                                 "required"};
    const bool tls = server->ledger->options.tls;
    memcpy(server->args, words, tls ? sizeof words : 2 * sizeof words[0]);
    return !tls || set_up_tls(server);
}

bool server_set_up(struct server *server, struct ledger *ledger, char **tokens)
{
    struct daemon *daemon = &server->daemon;
    *server = (struct server){.ledger = ledger, .phase = SERVER_UP};
    if (!fill_args(server) || !daemon_init(daemon) || !daemon_spawn(daemon, ledger->options.petreld, server->args) ||
        !until(up_or_ended, daemon, START_MS) || daemon->pid == 0) {
        ledger_fail(ledger, "petreld did not start");
        return false;
    }
    adopt(server);
    return tenant_set_up(ledger, daemon->admin, daemon->token, tokens);
}

static void start_again(struct server *server)
{
    server->phase = SERVER_STARTING;
    server->deadline_ms = until_now_ms() + START_MS;
    if (!daemon_spawn(&server->daemon, server->ledger->options.petreld, server->args))
        ledger_fail(server->ledger, "petreld could not be forked");
}

static void on_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct ledger *ledger = server->ledger;
    if (ledger->failure[0] != '\0')
        return;
    bool ended = daemon_has_ended(&server->daemon);
    if (server->phase == SERVER_DYING && ended) {
        start_again(server);
    } else if (ended) {
        ledger_fail(ledger, "petreld ended by itself");
    } else if (server->phase == SERVER_STARTING && daemon_is_up(&server->daemon)) {
        adopt(server);
        server->phase = SERVER_UP;
    } else if (server->phase == SERVER_STARTING && until_now_ms() > server->deadline_ms) {
        ledger_fail(ledger, "petreld did not come up again");
    }
}

void server_watch(struct server *server)
{
    uv_timer_init(&server->ledger->loop, &server->timer);
    server->timer.data = server;
    uv_timer_start(&server->timer, on_timer, POLL_MS, POLL_MS);
}

void server_kill(struct server *server)
{
    server->phase = SERVER_DYING;
    server->ledger->kills++;
    server->ledger->apis[0][0] = server->ledger->session[0] = '\0';
    kill(server->daemon.pid, SIGKILL);
}

void server_unwatch(struct server *server)
{
    uv_close((uv_handle_t *)&server->timer, NULL);
}

void server_print_log(const struct server *server)
{
    char tail[2000];
    printf("the end of petreld's log:\n%s\n", daemon_log_tail(&server->daemon, tail, sizeof tail));
}

void server_clean_up(struct server *server)
{
    daemon_free(&server->daemon);
    if (server->tls.ca_key != NULL)
        tls_files_remove(&server->tls);
}

bool server_stop(struct server *server)
{
    struct daemon *daemon = &server->daemon;
    bool stopped = daemon_stop(daemon, SIGTERM, STOP_MS);
    if (stopped && WIFEXITED(daemon->status) && WEXITSTATUS(daemon->status) == 0)
        return true;
    server_print_log(server);
    printf(stopped ? "petreld ended with status %d\n" : "petreld did not end within %d s of SIGTERM\n",
           stopped ? daemon->status : STOP_MS / 1000);
    return false;
}
