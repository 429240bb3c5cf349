#include "system/ledger/tenant.h"

#include "lib/http_call.h"
#include "lib/until.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_MS 20000 /* for the key to be known everywhere */
#define PROGRESS_MS 5000

static bool refused(struct ledger *ledger, const struct http_call *call, const char *what)
{
    char text[200];
    snprintf(text, sizeof text, "%s was answered %ld: %.120s", what, call->status,
             call->text != NULL ? call->text : "");
    ledger_fail(ledger, text);
    return false;
}

static bool make_app(struct ledger *ledger, struct http_call *call, const char *admin, const char *token)
{
    if (http_call(call, "POST", admin, "/admin/v1/apps", token, "{\"name\":\"" LEDGER_APP "\"}") / 100 != 2)
        return refused(ledger, call, "making the app");
    if (http_call(call, "POST", admin, "/admin/v1/apps/" LEDGER_APP "/keys", token, "{\"label\":\"ledger\"}") / 100 !=
        2)
        return refused(ledger, call, "making the key");
    snprintf(ledger->key, sizeof ledger->key, "%s", http_call_text(call, "key"));
    return true;
}

struct asked {
    struct http_call *call;
    const char *api;
    const char *key;
};

static bool takes_key(void *ctx)
{
    struct asked *asked = ctx;
    return http_call(asked->call, "POST", asked->api, "/v1/apps/" LEDGER_APP "/messages", asked->key,
                     "{\"to\":{\"user\":\"u0\"},\"data\":1,\"validate_only\":true}") /
               100 ==
           2;
}

static bool await_key(struct ledger *ledger, struct http_call *call)
{
    for (uint32_t i = 0; i < ledger->apis_count; i++) {
        struct asked asked = {call, ledger->apis[i], ledger->key};
        if (!until(takes_key, &asked, KEY_MS))
            return refused(ledger, call, "the use of a new key");
    }
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
        if (http_call(call, "POST", ledger->apis[0], path, ledger->key, body) / 100 != 2)
            return refused(ledger, call, "registering a device");
        tokens[i] = strdup(http_call_text(call, "token"));
        if (until_now_ms() - told >= PROGRESS_MS) {
            told = until_now_ms();
            printf("  %" PRIu32 " of %" PRIu32 " devices registered\n", i + 1, ledger->options.devices);
        }
    }
    return true;
}

bool tenant_set_up(struct ledger *ledger, const char *admin, const char *admin_token, char **tokens)
{
    struct http_call call = {0};
    bool done = make_app(ledger, &call, admin, admin_token) && await_key(ledger, &call) &&
                register_devices(ledger, &call, tokens);
    http_call_reset(&call);
    return done;
}
