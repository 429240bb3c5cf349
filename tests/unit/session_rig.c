#include "unit/session_rig.h"

#include "base/err.h"
#include "base/object.h"
#include "unit/token_samples.h"
#include "wire/peer_check.h"
#include "wire/peer_record.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 30000

static const uint8_t secret[TOKEN_SECRET_BYTES] = "a secret of thirty-two bytes ...";

/* ---- time ---- */

static uint64_t offset_of(const struct clock *clock)
{
    const struct rig *rig = container_of(clock, const struct rig, clock);
    return atomic_load(&rig->offset_ms);
}

static uint64_t rig_mono_ms(const struct clock *clock)
{
    const struct rig *rig = container_of(clock, const struct rig, clock);
    const uint64_t stopped_ms = atomic_load(&rig->stopped_ms);
    return (stopped_ms != 0 ? stopped_ms : clock_mono_ms(clock_system())) + offset_of(clock);
}

static uint64_t rig_wall_ms(const struct clock *clock)
{
    return clock_wall_ms(clock_system()) + offset_of(clock);
}

uint64_t rig_wall_s(struct rig *rig)
{
    return rig_wall_ms(&rig->clock) / 1000;
}

/* ---- between the threads ---- */

static bool readable(int fd, int wait_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, wait_ms) == 1;
}

static void say_done(struct rig *rig)
{
    petrel_assert(write(rig->ran[1], "", 1) == 1);
}

static void wait_done(struct rig *rig)
{
    char byte;
    assert_true(readable(rig->ran[0], WAIT_MS));
    assert_int_equal(read(rig->ran[0], &byte, 1), 1);
}

struct job {
    struct mail mail;
    struct rig *rig;
    void (*fn)(struct rig *rig, void *arg);
    void *arg;
};

static void on_job(struct mail *mail)
{
    struct job *job = container_of(mail, struct job, mail);
    struct rig *rig = job->rig;
    job->fn(rig, job->arg);
    say_done(rig);
}

void rig_run(struct rig *rig, void (*fn)(struct rig *rig, void *arg), void *arg)
{
    struct job job = {.mail.run = on_job, .rig = rig, .fn = fn, .arg = arg};
    mailbox_post(rig->loop, &job.mail);
    wait_done(rig);
}

static void do_nothing(struct rig *rig, void *arg)
{
    (void)rig;
    (void)arg;
}

void rig_turns(struct rig *rig)
{
    for (int i = 0; i < 4; i++)
        rig_run(rig, do_nothing, NULL);
}

static void do_advance(struct rig *rig, void *arg)
{
    atomic_fetch_add(&rig->offset_ms, *(uint64_t *)arg);
}

void rig_advance(struct rig *rig, uint64_t ms)
{
    rig_run(rig, do_advance, &ms);
    rig_turns(rig);
}

static void do_stop_clock(struct rig *rig, void *arg)
{
    (void)arg;
    atomic_store(&rig->stopped_ms, clock_mono_ms(clock_system()));
}

void rig_stop_clock(struct rig *rig)
{
    rig_run(rig, do_stop_clock, NULL);
    rig_turns(rig);
}

void rig_wait_sweep(struct rig *rig)
{
    rig_advance(rig, 600);
    rig_advance(rig, 600);
}

void rig_wait_metric(struct rig *rig, enum metric metric, int64_t value)
{
    for (int i = 0; i < WAIT_MS && metrics_get(rig->metrics, metric) != value; i++)
        (void)poll(NULL, 0, 1);
    assert_int_equal(metrics_get(rig->metrics, metric), value);
}

/* ---- calls ---- */

static const struct peer_checked all_same = {.count = 0};

/* On the loop. */
static void on_call(void *ctx, struct link_call *call)
{
    struct rig *rig = ctx;
    if (call->in.type == PEER_CHECK && atomic_load(&rig->answers_checks)) {
        atomic_fetch_add(&rig->checks, 1);
        call->reply.status = 0;
        call->reply.checked = &all_same;
        link_answer(call);
    } else if (atomic_load(&rig->answers_all)) {
        call->reply.status = PETREL_E_UNAVAILABLE;
        link_answer(call);
    } else {
        petrel_assert(write(rig->calls[1], &call, sizeof(void *)) == (ssize_t)sizeof(void *));
    }
}

static void on_tell(void *ctx, const struct peer_msg *msg)
{
    (void)ctx;
    (void)msg;
}

static struct link_call *next_call(struct rig *rig, int wait_ms)
{
    struct link_call *call = NULL;
    if (readable(rig->calls[0], wait_ms))
        assert_int_equal(read(rig->calls[0], &call, sizeof(void *)), sizeof(void *));
    return call;
}

struct link_call *rig_take_any(struct rig *rig)
{
    struct link_call *call = next_call(rig, WAIT_MS);
    assert_non_null(call);
    return call;
}

struct answer {
    struct link_call *call;
    struct peer_reply reply;
};

static void do_answer(struct rig *rig, void *arg)
{
    (void)rig;
    struct answer *answer = arg;
    answer->call->reply = answer->reply;
    link_answer(answer->call);
}

void rig_answer(struct rig *rig, struct link_call *call, int status)
{
    struct answer answer = {call, {.status = status}};
    rig_run(rig, do_answer, &answer);
}

/* A machine that stands still for a second has all sessions check, whatever the test is about. */
static bool is_of_a_stall(struct rig *rig, const struct link_call *call)
{
    return call->in.type == PEER_CHECK && metrics_get(rig->metrics, METRIC_LOOP_STALLS) > 0;
}

struct link_call *rig_take(struct rig *rig, enum peer_type type)
{
    struct link_call *call = rig_take_any(rig);
    while (call->in.type != type && is_of_a_stall(rig, call)) {
        rig_answer_checked(rig, call, PEER_SAME);
        call = rig_take_any(rig);
    }
    assert_int_equal(call->in.type, type);
    return call;
}

void rig_expect_no_call(struct rig *rig)
{
    rig_turns(rig);
    struct link_call *call;
    while ((call = next_call(rig, 0)) != NULL && is_of_a_stall(rig, call))
        rig_answer_checked(rig, call, PEER_SAME);
    assert_null(call);
}

void rig_answer_bound(struct rig *rig, struct link_call *call, const struct peer_bound *bound)
{
    struct answer answer = {call, {.bound = bound}};
    rig_run(rig, do_answer, &answer);
}

void rig_answer_page(struct rig *rig, struct link_call *call, const struct peer_page *page)
{
    struct answer answer = {call, {.fetched = page}};
    rig_run(rig, do_answer, &answer);
}

struct peer_check rig_check(const struct link_call *call, uint32_t entry)
{
    struct bytes rest = call->in.check.entries;
    struct peer_check check = {.attempt = 0};
    assert_true(entry < call->in.check.count);
    for (uint32_t i = 0; i <= entry; i++)
        assert_int_equal(peer_check_take(&call->in.check, &rest, &check), 0);
    return check;
}

void rig_answer_differing(struct rig *rig, struct link_call *call, const struct peer_checked *checked)
{
    struct answer answer = {call, {.checked = checked}};
    rig_run(rig, do_answer, &answer);
}

void rig_answer_checked(struct rig *rig, struct link_call *call, enum peer_verdict verdict)
{
    struct peer_checked checked = {.count = 0};
    for (uint32_t i = 0; i < call->in.check.count; i++)
        peer_checked_add(&checked, i, verdict);
    rig_answer_differing(rig, call, &checked);
}

/* ---- tells ---- */

/* To the role itself, as a link from another node would: which routes are its own is for it to see. */
static void do_tell(struct rig *rig, void *arg)
{
    const struct link_server *server = &rig->link->servers[LINK_SESSION];
    server->on_tell(server->ctx, arg);
}

void rig_deliver(struct rig *rig, struct route route, struct position at, uint64_t prev, const char *text)
{
    struct peer_msg msg = {.type = PEER_DELIVER};
    struct buf *message = text != NULL ? rig_message(text) : NULL;
    msg.deliver = (struct peer_deliver){.route = route, .position = at, .prev = prev, .message = message};
    rig_run(rig, do_tell, &msg);
    buf_unref(message);
}

void rig_evict(struct rig *rig, struct route route, uint32_t code)
{
    struct peer_msg msg = {.type = PEER_EVICT};
    msg.evict = (struct peer_evict){.route = route, .code = code};
    rig_run(rig, do_tell, &msg);
}

static void do_dirty(struct rig *rig, void *arg)
{
    (void)arg;
    const struct link_server *server = &rig->link->servers[LINK_SESSION];
    server->on_dirty(server->ctx);
}

void rig_dirty(struct rig *rig)
{
    rig_run(rig, do_dirty, NULL);
}

struct link_call *rig_provoke_check(struct rig *rig)
{
    rig_dirty(rig);
    struct link_call *check = rig_take(rig, PEER_CHECK);
    assert_int_equal(rig_check(check, 0).position.epoch, RIG_EPOCH);
    return check;
}

/* ---- tokens ---- */

void rig_token_with(const struct token_key *key, const struct token_claims *claims, struct bytebuf *out)
{
    assert_int_equal(token_mint(key, claims, out), 0);
    bytes_put_u8(out, 0);
}

void rig_token(struct rig *rig, const char *user, const char *device, struct bytebuf *out)
{
    struct token_claims claims = {.app = "demo", .issued_s = rig_wall_s(rig), .expires_s = rig_wall_s(rig) + 3600};
    strncpy(claims.user, user, sizeof claims.user - 1);
    strncpy(claims.device, device, sizeof claims.device - 1);
    rig_token_with(rig->key, &claims, out);
}

/* ---- life ---- */

struct session_config rig_config(void)
{
    struct session_config config = session_role_defaults();
    config.host = "127.0.0.1";
    config.port = 0;
    config.ack_delay_ms = 10;
    config.node_name = "rig";
    config.node = RIG_NODE;
    config.incarnation = RIG_INCARNATION;
    return config;
}

struct apps_args {
    const char *app;
    uint64_t version;
    uint32_t connects_per_second;
};

static void do_tell_app(struct rig *rig, void *arg)
{
    const struct apps_args *args = arg;
    struct peer_app app = {
        .name = bytes_str(args->app), .keys_count = 1, .connects_per_second = args->connects_per_second};
    app.keys[0] = (struct peer_app_key){.kid = bytes_str("k1"), .secret = bytes_of(secret, sizeof secret)};
    static const char *const pems[] = {TOKEN_SAMPLES_PEM_EC, TOKEN_SAMPLES_PEM_RSA};
    static const char *const kids[] = {"es-1", "rs-1"};
    struct bytebuf ders[2] = {{0}};
    for (size_t i = 0; i < 2; i++) {
        enum token_algorithm algorithm;
        const char *why;
        petrel_assert(token_public_from_pem(bytes_str(pems[i]), &algorithm, &ders[i], &why) == 0);
        app.public_keys[app.public_keys_count++] =
            (struct peer_public_key){bytes_str(kids[i]), algorithm, bytes_view(&ders[i])};
    }
    struct peer_msg msg = {.type = PEER_APPS};
    msg.apps = (struct peer_apps){.version = args->version, .records = peer_record_pack_apps(&app, 1)};
    petrel_assert(link_tell_sessions(rig->link, &msg) == 0);
    buf_unref(msg.apps.records);
    for (size_t i = 0; i < 2; i++)
        bytes_reset(&ders[i]);
}

void rig_tell_app(struct rig *rig, const char *app, uint64_t version)
{
    struct apps_args args = {app, version, 0};
    rig_run(rig, do_tell_app, &args);
}

void rig_limit_app(struct rig *rig, const char *app, uint64_t version, uint32_t connects_per_second)
{
    struct apps_args args = {app, version, connects_per_second};
    rig_run(rig, do_tell_app, &args);
}

static void do_start(struct rig *rig, void *arg)
{
    link_serve(rig->link, LINK_MESSAGE, (struct link_server){.ctx = rig, .on_call = on_call, .on_tell = on_tell});
    petrel_assert(session_role_new(&rig->role, rig->loop, rig->link, arg, metrics_shard(rig->metrics, 0)) == 0);
    petrel_assert(session_role_listen(rig->role, &rig->port) == 0);
}

struct rig *rig_new_untold(const struct session_config *config)
{
    struct session_config own = config != NULL ? *config : rig_config();
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->clock = (struct clock){.mono_ms = rig_mono_ms, .wall_ms = rig_wall_ms};
    atomic_init(&rig->offset_ms, 0);
    atomic_init(&rig->stopped_ms, 0);
    atomic_init(&rig->answers_all, false);
    atomic_init(&rig->answers_checks, true);
    atomic_init(&rig->checks, 0);
    assert_int_equal(pipe(rig->calls), 0);
    assert_int_equal(pipe(rig->ran), 0);
    assert_int_equal(pipe(rig->closed), 0);
    rig->key = token_key_new(bytes_str("k1"), bytes_of(secret, sizeof secret));
    rig->metrics = metrics_new(1);
    struct loop_config loop_config = {.clock = &rig->clock};
    assert_int_equal(loop_new(&rig->loop, &loop_config), 0);
    rig->links = link_local_new(RIG_NODE, RIG_INCARNATION, &rig->loop, 1);
    rig->link = link_local_at(rig->links, 0);
    assert_int_equal(loop_start_thread(rig->loop, "rig"), 0);
    rig_run(rig, do_start, &own);
    return rig;
}

struct rig *rig_new(const struct session_config *config)
{
    struct rig *rig = rig_new_untold(config);
    rig_tell_app(rig, "demo", 1);
    return rig;
}

static void on_role_closed(void *ctx)
{
    struct rig *rig = ctx;
    petrel_assert(write(rig->closed[1], "", 1) == 1);
}

static void do_close(struct rig *rig, void *arg)
{
    (void)arg;
    session_role_close(&rig->role, on_role_closed, rig);
}

void rig_begin_close_role(struct rig *rig)
{
    rig_run(rig, do_close, NULL);
}

bool rig_role_closed(struct rig *rig)
{
    return readable(rig->closed[0], 0);
}

void rig_wait_role_closed(struct rig *rig)
{
    assert_true(readable(rig->closed[0], WAIT_MS));
}

struct drain_args {
    uint32_t code;
    uint32_t deadline_ms;
    uint32_t spread_ms;
};

static void do_drain(struct rig *rig, void *arg)
{
    const struct drain_args *args = arg;
    session_role_drain(rig->role, args->code, args->deadline_ms, args->spread_ms);
}

void rig_drain(struct rig *rig, uint32_t code, uint32_t deadline_ms, uint32_t spread_ms)
{
    struct drain_args args = {code, deadline_ms, spread_ms};
    rig_run(rig, do_drain, &args);
}

void rig_free(struct rig **inside)
{
    struct rig *rig = *inside;
    *inside = NULL;
    atomic_store(&rig->answers_all, true);
    atomic_store(&rig->stopped_ms, 0);
    rig_turns(rig);
    for (struct link_call *call; (call = next_call(rig, 0)) != NULL;)
        rig_answer(rig, call, PETREL_E_UNAVAILABLE);
    if (rig->role != NULL)
        rig_begin_close_role(rig);
    rig_wait_role_closed(rig);
    loop_stop(rig->loop);
    loop_join_thread(rig->loop);
    loop_free(&rig->loop);
    link_local_free(&rig->links);
    metrics_free(&rig->metrics);
    token_key_free(&rig->key);
    for (int i = 0; i < 2; i++) {
        (void)close(rig->calls[i]);
        (void)close(rig->ran[i]);
        (void)close(rig->closed[i]);
    }
    free(rig);
}
