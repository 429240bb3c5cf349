#include "contract/redis_rig.h"

#include "base/object.h"

#include <stdio.h>
#include <string.h>

static const char once_text[] = "redis.call('HSETNX', KEYS[1], ARGV[1], '1') return ARGV[1]";
static const char echo_text[] = "local all = {KEYS[1]} for i, v in ipairs(ARGV) do all[i + 1] = v end return all";

struct opening {
    struct redis_rig *rig;
    const struct redis_config *config;
    int rc;
};

static void on_change(void *ctx, bool is_lost)
{
    struct redis_rig *rig = ctx;
    loops_tally_add(&rig->changes, 1);
    if (is_lost)
        loops_tally_add(&rig->losses, 1);
}

static void open_client(void *arg)
{
    struct opening *opening = arg;
    struct redis_rig *rig = opening->rig;
    opening->rc = redis_new(&rig->redis, rig->loops.loops[0], opening->config, metrics_shard(rig->metrics, 0));
    if (opening->rc != 0)
        return;
    rig->once = redis_script_add(rig->redis, bytes_str(once_text));
    rig->echo = redis_script_add(rig->redis, bytes_str(echo_text));
    redis_watch(rig->redis, on_change, rig);
}

void redis_rig_config(struct redis_config *config, uint16_t port, bool cluster)
{
    *config =
        (struct redis_config){.seeds_count = 1, .seeds = {{.host = "127.0.0.1", .port = port}}, .cluster = cluster};
}

void redis_rig_open(struct redis_rig *rig, const struct redis_config *config)
{
    *rig = (struct redis_rig){0};
    struct opening opening = {.rig = rig, .config = config};
    rig->metrics = metrics_new(1);
    loops_tally_init(&rig->changes);
    loops_tally_init(&rig->losses);
    loops_open(&rig->loops, 1);
    loops_start(&rig->loops);
    loops_run_on(&rig->loops, 0, open_client, &opening);
    petrel_assert(opening.rc == 0);
}

struct closing {
    struct redis_rig *rig;
    struct loops_tally done;
};

static void on_closed(void *ctx)
{
    struct closing *closing = ctx;
    loops_tally_add(&closing->done, 1);
}

static void close_client(void *arg)
{
    struct closing *closing = arg;
    redis_close(&closing->rig->redis, on_closed, closing);
}

void redis_rig_close_client(struct redis_rig *rig)
{
    struct closing closing = {.rig = rig};
    loops_tally_init(&closing.done);
    loops_run_on(&rig->loops, 0, close_client, &closing);
    const bool closed = loops_tally_wait(&closing.done, 1);
    petrel_assert(closed);
    loops_tally_destroy(&closing.done);
}

void redis_rig_close(struct redis_rig *rig)
{
    if (rig->redis != NULL)
        redis_rig_close_client(rig);
    loops_stop(&rig->loops);
    loops_free(&rig->loops);
    loops_tally_destroy(&rig->changes);
    loops_tally_destroy(&rig->losses);
    metrics_free(&rig->metrics);
}

struct adding {
    struct redis_rig *rig;
    const char *text;
};

static void add_script(void *arg)
{
    struct adding *adding = arg;
    adding->rig->extra = redis_script_add(adding->rig->redis, bytes_str(adding->text));
}

void redis_rig_script(struct redis_rig *rig, const char *text)
{
    struct adding adding = {rig, text};
    loops_run_on(&rig->loops, 0, add_script, &adding);
}

static void add_library(void *arg)
{
    struct adding *adding = arg;
    struct redis *redis = adding->rig->redis;
    adding->rig->extra = redis_function_add(redis, redis_library_add(redis, "test", bytes_str(adding->text)), "run");
}

void redis_rig_library(struct redis_rig *rig, const char *text)
{
    struct adding adding = {rig, text};
    loops_run_on(&rig->loops, 0, add_library, &adding);
}

static void append(struct redis_rig_call *call, struct bytes text)
{
    size_t used = strlen(call->text);
    size_t room = sizeof call->text - 1 - used;
    size_t len = text.len < room ? text.len : room;
    if (len > 0)
        memcpy(call->text + used, text.ptr, len);
    call->text[used + len] = '\0';
}

static void on_done(struct redis_request *request)
{
    struct redis_rig_call *call = container_of(request, struct redis_rig_call, request);
    const struct redis_value *reply = request->reply;
    call->calls++;
    call->status = request->status;
    call->text[0] = '\0';
    if (reply != NULL) {
        call->type = reply->type;
        call->integer = reply->integer;
        append(call, reply->text);
        for (size_t i = 0; i < reply->count; i++) {
            append(call, bytes_of(" ", i > 0));
            append(call, reply->items[i].text);
        }
    }
    loops_tally_add(call->done, 1);
}

void redis_rig_make(struct redis_rig *rig, struct redis_rig_call *call, const struct redis_script *script,
                    const char *key, const char *arg)
{
    *call = (struct redis_rig_call){.rig = rig};
    snprintf(call->key, sizeof call->key, "%s", key);
    snprintf(call->args[0], sizeof call->args[0], "%s", arg);
    call->request.script = script;
    call->request.key = bytes_str(call->key);
    call->request.argc = 1;
    call->request.argv[0] = bytes_str(call->args[0]);
    call->request.done = on_done;
}

void redis_rig_command(struct redis_rig *rig, struct redis_rig_call *call, const char *word, const char *key,
                       const char *arg)
{
    redis_rig_make(rig, call, NULL, key, word);
    call->request.argv[call->request.argc++] = call->request.key;
    if (arg == NULL)
        return;
    snprintf(call->args[1], sizeof call->args[1], "%s", arg);
    call->request.argv[call->request.argc++] = bytes_str(call->args[1]);
}

struct asking {
    struct redis_rig_call *calls;
    size_t count;
    struct loops_tally *done;
};

static void ask(void *arg)
{
    const struct asking *asking = arg;
    for (size_t i = 0; i < asking->count; i++) {
        struct redis_rig_call *call = &asking->calls[i];
        call->done = asking->done;
        call->accepted = redis_ask(call->rig->redis, &call->request);
        if (call->accepted != 0)
            loops_tally_add(asking->done, 1);
    }
}

void redis_rig_ask(struct redis_rig *rig, struct redis_rig_call *calls, size_t count, struct loops_tally *done)
{
    struct asking asking = {calls, count, done};
    loops_run_on(&rig->loops, 0, ask, &asking);
}

int redis_rig_run(struct redis_rig *rig, struct redis_rig_call *calls, size_t count)
{
    struct loops_tally done;
    loops_tally_init(&done);
    redis_rig_ask(rig, calls, count, &done);
    const bool all = loops_tally_wait(&done, count);
    petrel_assert(all);
    loops_tally_destroy(&done);
    return calls[0].status;
}

int redis_rig_one(struct redis_rig *rig, struct redis_rig_call *call, const struct redis_script *script,
                  const char *key, const char *arg)
{
    redis_rig_make(rig, call, script, key, arg);
    return redis_rig_run(rig, call, 1);
}
