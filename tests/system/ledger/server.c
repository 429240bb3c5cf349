#include "system/ledger/server.h"

#include "lib/http_call.h"
#include "lib/until.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MS 60000
#define POLL_MS 10
#define PROGRESS_MS 5000

static const char *const ARGS[] = {"--log-level", "warn", NULL};

static bool up_or_ended(void *ctx)
{
    return daemon_has_ended(ctx) || daemon_is_up(ctx);
}

static bool refused(struct ledger *ledger, const struct http_call *call, const char *what)
{
    char text[200];
    snprintf(text, sizeof text, "%s was answered %ld: %.120s", what, call->status,
             call->text != NULL ? call->text : "");
    ledger_fail(ledger, text);
    return false;
}

static bool make_app(struct ledger *ledger, struct http_call *call)
{
    const struct daemon *daemon = &ledger->daemon;
    if (http_call(call, "POST", daemon->admin, "/admin/v1/apps", daemon->token, "{\"name\":\"" LEDGER_APP "\"}") /
            100 !=
        2)
        return refused(ledger, call, "making the app");
    if (http_call(call, "POST", daemon->admin, "/admin/v1/apps/" LEDGER_APP "/keys", daemon->token,
                  "{\"label\":\"ledger\"}") /
            100 !=
        2)
        return refused(ledger, call, "making the key");
    snprintf(ledger->key, sizeof ledger->key, "%s", http_call_text(call, "key"));
    return true;
}

static bool register_devices(struct ledger *ledger, struct http_call *call, char **tokens)
{
    uint64_t told = until_now_ms();
    for (uint32_t i = 0; i < ledger->options.devices; i++) {
        struct book_device device = book_device(ledger->book, i);
        char path[160], body[64];
        snprintf(path, sizeof path, "/v1/apps/" LEDGER_APP "/users/u%" PRIu32 "/devices", device.user);
        snprintf(body, sizeof body, "{\"device\":\"d%u\"}", (unsigned)device.mate);
        if (http_call(call, "POST", ledger->daemon.api, path, ledger->key, body) / 100 != 2)
            return refused(ledger, call, "registering a device");
        tokens[i] = strdup(http_call_text(call, "token"));
        if (until_now_ms() - told >= PROGRESS_MS) {
            told = until_now_ms();
            printf("  %" PRIu32 " of %" PRIu32 " devices registered\n", i + 1, ledger->options.devices);
        }
    }
    return true;
}

bool server_set_up(struct ledger *ledger, char **tokens)
{
    struct daemon *daemon = &ledger->daemon;
    if (!daemon_spawn(daemon, ledger->options.petreld, ARGS) || !until(up_or_ended, daemon, START_MS) ||
        daemon->pid == 0) {
        ledger_fail(ledger, "petreld did not start");
        return false;
    }
    struct http_call call = {0};
    bool done = make_app(ledger, &call) && register_devices(ledger, &call, tokens);
    http_call_reset(&call);
    return done;
}

static void start_again(struct server *server)
{
    server->phase = SERVER_STARTING;
    server->deadline_ms = until_now_ms() + START_MS;
    if (!daemon_spawn(&server->ledger->daemon, server->ledger->options.petreld, ARGS))
        ledger_fail(server->ledger, "petreld could not be forked");
}

static void on_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct ledger *ledger = server->ledger;
    if (ledger->failure[0] != '\0')
        return;
    bool ended = daemon_has_ended(&ledger->daemon);
    if (server->phase == SERVER_DYING && ended)
        start_again(server);
    else if (ended)
        ledger_fail(ledger, "petreld ended by itself");
    else if (server->phase == SERVER_STARTING && daemon_is_up(&ledger->daemon))
        server->phase = SERVER_UP;
    else if (server->phase == SERVER_STARTING && until_now_ms() > server->deadline_ms)
        ledger_fail(ledger, "petreld did not come up again");
}

void server_watch(struct server *server, struct ledger *ledger)
{
    *server = (struct server){.ledger = ledger, .phase = SERVER_UP};
    uv_timer_init(&ledger->loop, &server->timer);
    server->timer.data = server;
    uv_timer_start(&server->timer, on_timer, POLL_MS, POLL_MS);
}

void server_kill(struct server *server)
{
    server->phase = SERVER_DYING;
    server->ledger->kills++;
    kill(server->ledger->daemon.pid, SIGKILL);
}

void server_unwatch(struct server *server)
{
    uv_close((uv_handle_t *)&server->timer, NULL);
}
