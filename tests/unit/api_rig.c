#include "unit/api_rig.h"

#include "base/object.h"
#include "discovery/discovery_single.h"
#include "registry/registry_sqlite.h"
#include "unit/api_doc.h"
#include "unit/api_rig_cluster.h"
#include "unit/api_rig_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S 30

/* ---- the test's thread and the loop's ---- */

static void wait_until(struct api_rig *rig, const int *count, int least)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    int rc = 0;
    pthread_mutex_lock(&rig->lock);
    while (*count < least && rc == 0)
        rc = pthread_cond_timedwait(&rig->changed, &rig->lock, &until);
    const int value = *count;
    pthread_mutex_unlock(&rig->lock);
    if (value < least)
        fail_msg("waited in vain for %d, there are %d", least, value);
}

static void bump(struct api_rig *rig, int *count)
{
    pthread_mutex_lock(&rig->lock);
    ++*count;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

struct letter {
    struct mail mail;
    struct api_rig *rig;
    void (*fn)(struct api_rig *rig);
    int done;
};

static void run_letter(struct mail *mail)
{
    struct letter *letter = container_of(mail, struct letter, mail);
    letter->fn(letter->rig);
    bump(letter->rig, &letter->done);
}

void api_rig_run(struct api_rig *rig, void (*fn)(struct api_rig *rig))
{
    struct letter letter = {.mail = {.run = run_letter}, .rig = rig, .fn = fn};
    mailbox_post(rig->loop, &letter.mail);
    wait_until(rig, &letter.done, 1);
}

void api_rig_wait_calls(struct api_rig *rig, int calls)
{
    wait_until(rig, &rig->script.calls, calls);
}

void api_rig_wait_evictions(struct api_rig *rig, int evictions)
{
    wait_until(rig, &rig->script.evictions, evictions);
}

/* ---- the process around the role ---- */

static void render_config(void *ctx, struct bytebuf *out)
{
    (void)ctx;
    bytes_append_str(out, "{\"api.port\":7480}");
}

static bool certificate(void *ctx, size_t index, struct tls_certificate *out, const char **use)
{
    (void)ctx;
    *use = "nodes";
    *out = (struct tls_certificate){
        .file = "push.crt", .names = "push.test", .key = "EC", .not_before_s = 1, .not_after_s = 1800000000};
    return index == 0;
}

static int reload(void *ctx)
{
    const struct api_rig *rig = ctx;
    return rig->reload_status;
}

static void health(void *ctx, struct api_health *out)
{
    const struct api_rig *rig = ctx;
    *out = rig->health;
    out->ready = true;
    out->state = "up";
    out->store = out->registry = out->discovery = "up";
    out->roles = DISCOVERY_SESSION | DISCOVERY_MESSAGE | DISCOVERY_API;
    if (rig->unready)
        api_health_refuse(out, "the disk is full");
}

static int back_up(void *ctx, struct loop *home, const char *directory, void (*done)(void *arg, int status), void *arg)
{
    const struct api_rig *rig = ctx;
    petrel_assert(home == rig->loop && directory[0] == '/');
    if (rig->backup_refused)
        return rig->backup;
    done(arg, rig->backup);
    return 0;
}

struct newest {
    struct mail mail;
    struct api_rig *rig;
    struct snapshot *snapshot;
};

static void take_snapshot(struct mail *mail)
{
    struct newest *newest = container_of(mail, struct newest, mail);
    if (newest->rig->send != NULL)
        api_role_set_snapshot(newest->rig->send, newest->snapshot);
    if (newest->rig->admin != NULL)
        api_role_set_snapshot(newest->rig->admin, newest->snapshot);
    snapshot_unref(newest->snapshot);
    free(newest);
}

static void on_snapshot(void *ctx, struct snapshot *snapshot)
{
    struct newest *newest = object_zalloc(sizeof *newest);
    *newest = (struct newest){.mail = {.run = take_snapshot}, .rig = ctx, .snapshot = snapshot_ref(snapshot)};
    mailbox_post(newest->rig->loop, &newest->mail);
}

void api_rig_publish(struct api_rig *rig)
{
    struct discovery_node self = {.number = API_RIG_NODE,
                                  .roles = DISCOVERY_SESSION,
                                  .incarnation = API_RIG_INCARNATION,
                                  .max_sessions = 10,
                                  .connects_per_second = 1,
                                  .loops = 1};
    (void)snprintf(self.name, sizeof self.name, "rig");
    (void)snprintf(self.session_address, sizeof self.session_address, "127.0.0.1:7400");
    assert_int_equal(rig->discovery->ops->publish(rig->discovery, &self), 0);
}

static int open_role(struct api_rig *rig, enum api_kind kind, void (*change)(struct api_config *config),
                     struct api_role **out)
{
    struct api_config config = api_role_defaults();
    config.kind = kind;
    config.host = "127.0.0.1";
    config.loops = 1;
    config.node = API_RIG_NODE;
    config.node_name = "rig";
    config.version = "0.0.0";
    config.started_ms = 1700000000000;
    config.admin_token = API_RIG_ADMIN;
    if (change != NULL)
        change(&config);
    int rc = api_role_new(out, rig->loop, link_local_at(rig->links, 0),
                          kind == API_ADMIN && rig->no_registry ? NULL : rig->registry, &rig->shown, rig->metrics,
                          metrics_shard(rig->metrics, 0), &rig->host, &config);
    return rc != 0 ? rc : api_role_listen(*out, &rig->ports[kind]);
}

static void on_role_closed(void *ctx)
{
    struct api_rig *rig = ctx;
    bump(rig, &rig->closed);
}

static void close_send(struct api_rig *rig)
{
    api_role_close(&rig->send, on_role_closed, rig);
}

static void open_send_again(struct api_rig *rig)
{
    petrel_assert(open_role(rig, API_SEND, NULL, &rig->send) == 0);
}

static void close_admin(struct api_rig *rig)
{
    api_role_close(&rig->admin, on_role_closed, rig);
}

static void open_admin_again(struct api_rig *rig)
{
    petrel_assert(open_role(rig, API_ADMIN, NULL, &rig->admin) == 0);
}

void api_rig_drop_registry(struct api_rig *rig)
{
    rig->no_registry = true;
    api_rig_run(rig, close_admin);
    wait_until(rig, &rig->closed, 1);
    rig->closed = 0;
    api_rig_run(rig, open_admin_again);
}

void api_rig_open_early(struct api_rig *rig)
{
    api_rig_run(rig, close_send);
    wait_until(rig, &rig->closed, 1);
    rig->closed = 0;
    api_rig_run(rig, open_send_again);
}

static void make_key(struct api_rig *rig, const char *app, char out[REGISTRY_KEY_TEXT_MAX])
{
    char text[128];
    (void)snprintf(text, sizeof text, "{\"name\":\"%s\"}", app);
    struct api_reply reply = api_rig_ask(rig, API_ADMIN, "POST", "/admin/v1/apps", text);
    assert_int_equal(reply.status, 201);
    api_client_free(&reply);
    (void)snprintf(text, sizeof text, "/admin/v1/apps/%s/keys", app);
    reply = api_rig_ask(rig, API_ADMIN, "POST", text, "{\"label\":\"of the rig\"}");
    assert_int_equal(reply.status, 201);
    (void)snprintf(out, REGISTRY_KEY_TEXT_MAX, "%s", api_client_text(&reply, "key"));
    api_client_free(&reply);
}

void api_rig_open(struct api_rig *rig, void (*change)(struct api_config *config))
{
    memset(rig, 0, sizeof *rig);
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->changed, NULL);
    (void)snprintf(rig->folder, sizeof rig->folder, "/tmp/petrel-api-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    assert_int_equal(loop_new(&rig->loop, &(struct loop_config){.index = 0}), 0);
    rig->links = link_local_new(API_RIG_NODE, API_RIG_INCARNATION, &rig->loop, 1);
    rig->codec = session_codec_new();
    rig->metrics = metrics_new(1);
    rig->host = (struct api_host){.ctx = rig,
                                  .render_config = render_config,
                                  .backup = back_up,
                                  .health = health,
                                  .certificate = certificate,
                                  .reload = reload};
    api_rig_cluster_view(rig);
    link_serve(link_local_at(rig->links, 0), LINK_MESSAGE, api_rig_message_server(rig));
    link_serve(link_local_at(rig->links, 0), LINK_SESSION, api_rig_cluster_sessions(rig));
    char path[96];
    (void)snprintf(path, sizeof path, "%s/registry.db", rig->folder);
    const struct registry_sqlite_config config = {
        .path = path, .clock = clock_system(), .on_snapshot = on_snapshot, .ctx = rig};
    assert_int_equal(registry_sqlite_open(&rig->registry, &config), 0);
    assert_int_equal(discovery_single_open(&rig->discovery, clock_system()), 0);
    assert_int_equal(open_role(rig, API_SEND, change, &rig->send), 0);
    assert_int_equal(open_role(rig, API_ADMIN, change, &rig->admin), 0);
    assert_int_equal(loop_start_thread(rig->loop, "api-rig"), 0);
    make_key(rig, "shop", rig->key);
    make_key(rig, "other", rig->other_key);
}

static void close_roles(struct api_rig *rig)
{
    if (rig->send == NULL)
        return;
    api_role_close(&rig->send, on_role_closed, rig);
    api_role_close(&rig->admin, on_role_closed, rig);
}

void api_rig_begin_close(struct api_rig *rig)
{
    api_rig_run(rig, close_roles);
}

void api_rig_close(struct api_rig *rig)
{
    api_rig_begin_close(rig);
    wait_until(rig, &rig->closed, 2);
    rig->registry->ops->close(rig->registry);
    struct link *link = link_local_at(rig->links, 0);
    loop_stop(rig->loop);
    loop_join_thread(rig->loop);
    link->ops->close(link);
    rig->discovery->ops->close(rig->discovery);
    discovery_view_unref(rig->view);
    loop_free(&rig->loop);
    link_local_free(&rig->links);
    session_codec_free(&rig->codec);
    metrics_free(&rig->metrics);
    buf_unref(rig->script.message_buf);
    pthread_cond_destroy(&rig->changed);
    pthread_mutex_destroy(&rig->lock);
    static const char *const files[] = {"registry.db", "registry.db-wal", "registry.db-shm"};
    char path[96];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", rig->folder, files[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(rig->folder), 0);
}

/* ---- requests ---- */

void api_rig_write_send(struct api_rig *rig, struct api_client *client, const char *device)
{
    char headers[160];
    char body[160];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", rig->key);
    (void)snprintf(body, sizeof body, "{\"to\":{\"user\":\"ann\",\"device\":\"%s\"},\"data\":1}", device);
    api_client_request(client, "POST", "/v1/apps/shop/messages", headers, body);
}

struct api_reply api_rig_ask_with(struct api_rig *rig, enum api_kind kind, const char *method, const char *path,
                                  const char *headers, const char *body)
{
    struct api_client client;
    api_client_open(&client, rig->ports[kind]);
    api_client_request(&client, method, path, headers, body);
    struct api_reply reply = api_client_read(&client, strcmp(method, "HEAD") == 0);
    api_client_close(&client);
    api_doc_check(method, path, &reply);
    return reply;
}

struct api_reply api_rig_ask(struct api_rig *rig, enum api_kind kind, const char *method, const char *path,
                             const char *body)
{
    char headers[160];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n",
                   kind == API_ADMIN ? API_RIG_ADMIN : rig->key);
    return api_rig_ask_with(rig, kind, method, path, headers, body);
}

static void expect_error(const struct api_reply *reply, unsigned http, const char *status, const char *field)
{
    const char *got = api_client_text(reply, "error.status");
    const char *got_field = api_client_text(reply, "error.field");
    if (reply->status != http || got == NULL || strcmp(got, status) != 0 ||
        strcmp(got_field != NULL ? got_field : "", field != NULL ? field : "") != 0)
        fail_msg("expected %u %s %s, got %u: %s", http, status, field != NULL ? field : "", reply->status, reply->body);
    assert_int_equal(json_integer_value(api_client_at(reply, "error.code")), http);
}

void api_rig_expect_error(struct api_rig *rig, enum api_kind kind, const char *method, const char *path,
                          const char *body, unsigned http, const char *status, const char *field)
{
    struct api_reply reply = api_rig_ask(rig, kind, method, path, body);
    expect_error(&reply, http, status, field);
    api_client_free(&reply);
}

void api_rig_expect_refused(struct api_rig *rig, const char *body, unsigned http, const char *status, const char *field,
                            const char *message_part)
{
    struct api_reply reply = api_rig_ask(rig, API_SEND, "POST", "/v1/apps/shop/messages", body);
    expect_error(&reply, http, status, field);
    const char *message = api_client_text(&reply, "error.message");
    if (message_part != NULL && strstr(message, message_part) == NULL)
        fail_msg("'%s' does not say '%s'", message, message_part);
    api_client_free(&reply);
}
