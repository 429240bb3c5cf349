/* The send API on everything it stands on: the real log in SQLite, the message role, two loops, senders on threads. */
#include "api/api_role.h"
#include "base/err.h"
#include "base/object.h"
#include "discovery/discovery_single.h"
#include "discovery/link_local.h"
#include "message/message_role.h"
#include "registry/registry_sqlite.h"
#include "store/store_sqlite.h"
#include "unit/api_client.h"
#include "unit/api_doc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define LOOPS 2
#define PATIENCE_S 30
#define ADMIN_TOKEN "admin-token-of-the-stack"
#define SENDERS 4
#define SENDS_EACH 200
#define PIPELINED 20

struct stack;

/* What one loop runs, and the letter that has it do something. */
struct floor {
    struct stack *stack;
    struct loop *loop;
    struct message_role *message;
    struct api_role *send;
    struct mail mail;
    void (*run)(struct floor *floor);
};

struct stack {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int done;
    char folder[64];
    struct floor floors[LOOPS];
    struct link_local *links;
    struct store *store;
    struct registry *registry;
    struct discovery *discovery;
    struct metrics *metrics;
    struct snapshot *snapshot; /* under lock */
    struct api_role *admin;    /* on loop 0 */
    struct api_host host;
    uint16_t send_port;
    uint16_t admin_port;
    char key[REGISTRY_KEY_TEXT_MAX];
};

/* ---- the loops ---- */

static void bump(void *ctx)
{
    struct stack *stack = ctx;
    pthread_mutex_lock(&stack->lock);
    stack->done++;
    pthread_cond_broadcast(&stack->changed);
    pthread_mutex_unlock(&stack->lock);
}

static void wait_done(struct stack *stack, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    int rc = 0;
    pthread_mutex_lock(&stack->lock);
    while (stack->done < count && rc == 0)
        rc = pthread_cond_timedwait(&stack->changed, &stack->lock, &until);
    const int done = stack->done;
    stack->done = 0;
    pthread_mutex_unlock(&stack->lock);
    assert_int_equal(done, count);
}

static void on_letter(struct mail *mail)
{
    struct floor *floor = container_of(mail, struct floor, mail);
    floor->run(floor);
}

static void run_everywhere(struct stack *stack, void (*run)(struct floor *floor))
{
    for (size_t i = 0; i < LOOPS; i++) {
        stack->floors[i].mail.run = on_letter;
        stack->floors[i].run = run;
        mailbox_post(stack->floors[i].loop, &stack->floors[i].mail);
    }
}

struct newest {
    struct mail mail;
    struct floor *floor;
    struct snapshot *snapshot;
};

static void take_snapshot(struct mail *mail)
{
    struct newest *newest = container_of(mail, struct newest, mail);
    struct floor *floor = newest->floor;
    if (floor->send != NULL)
        api_role_set_snapshot(floor->send, newest->snapshot);
    if (floor == &floor->stack->floors[0] && floor->stack->admin != NULL)
        api_role_set_snapshot(floor->stack->admin, newest->snapshot);
    snapshot_unref(newest->snapshot);
    free(newest);
}

static void on_snapshot(void *ctx, struct snapshot *snapshot)
{
    struct stack *stack = ctx;
    for (size_t i = 0; i < LOOPS; i++) {
        struct newest *newest = object_zalloc(sizeof *newest);
        *newest = (struct newest){
            .mail = {.run = take_snapshot}, .floor = &stack->floors[i], .snapshot = snapshot_ref(snapshot)};
        mailbox_post(stack->floors[i].loop, &newest->mail);
    }
}

/* ---- opening ---- */

static void render_config(void *ctx, struct bytebuf *out)
{
    (void)ctx;
    bytes_append_str(out, "{}");
}

static void health(void *ctx, struct api_health *out)
{
    (void)ctx;
    out->ready = true;
}

static void open_role(struct stack *stack, enum api_kind kind, size_t index, uint16_t *port, struct api_role **out)
{
    struct api_config config = api_role_defaults();
    config.kind = kind;
    config.host = "127.0.0.1";
    config.port = *port;
    config.loops = LOOPS;
    config.node = 1;
    config.node_name = "stack";
    config.version = "0.0.0";
    config.admin_token = ADMIN_TOKEN;
    assert_int_equal(api_role_new(out, stack->floors[index].loop, link_local_at(stack->links, index), stack->registry,
                                  stack->discovery, stack->metrics, metrics_shard(stack->metrics, index), &stack->host,
                                  &config),
                     0);
    assert_int_equal(api_role_listen(*out, port), 0);
}

static void open_stores(struct stack *stack)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/registry.db", stack->folder);
    const struct registry_sqlite_config registry = {
        .path = path, .clock = clock_system(), .on_snapshot = on_snapshot, .ctx = stack};
    assert_int_equal(registry_sqlite_open(&stack->registry, &registry), 0);
    char store_path[96];
    (void)snprintf(store_path, sizeof store_path, "%s/store.db", stack->folder);
    const struct store_sqlite_config store = {
        .path = store_path,
        .clock = clock_system(),
        .limits = store_limits_default(),
        .min_free_bytes = 1,
    };
    assert_int_equal(store_sqlite_open(&stack->store, &store), 0);
    assert_int_equal(discovery_single_open(&stack->discovery, clock_system()), 0);
}

static void make_app(struct stack *stack)
{
    struct api_client client;
    api_client_open(&client, stack->admin_port);
    api_client_request(&client, "POST", "/admin/v1/apps", "Authorization: Bearer " ADMIN_TOKEN "\r\n",
                       "{\"name\":\"shop\"}");
    struct api_reply reply = api_client_read(&client, false);
    assert_int_equal(reply.status, 201);
    api_client_free(&reply);
    api_client_request(&client, "POST", "/admin/v1/apps/shop/keys", "Authorization: Bearer " ADMIN_TOKEN "\r\n", NULL);
    reply = api_client_read(&client, false);
    assert_int_equal(reply.status, 201);
    (void)snprintf(stack->key, sizeof stack->key, "%s", api_client_text(&reply, "key"));
    api_client_free(&reply);
    api_client_close(&client);
}

static int open_stack(void **state)
{
    struct stack *stack = calloc(1, sizeof *stack);
    assert_non_null(stack);
    pthread_mutex_init(&stack->lock, NULL);
    pthread_cond_init(&stack->changed, NULL);
    (void)snprintf(stack->folder, sizeof stack->folder, "/tmp/petrel-stack-XXXXXX");
    assert_non_null(mkdtemp(stack->folder));
    struct loop *loops[LOOPS];
    for (uint16_t i = 0; i < LOOPS; i++) {
        assert_int_equal(loop_new(&loops[i], &(struct loop_config){.index = i}), 0);
        stack->floors[i].loop = loops[i];
        stack->floors[i].stack = stack;
    }
    stack->links = link_local_new(1, 77, loops, LOOPS);
    stack->metrics = metrics_new(LOOPS);
    stack->host = (struct api_host){.render_config = render_config, .health = health};
    open_stores(stack);
    const struct message_config config = {.max_inflight = 1024};
    for (size_t i = 0; i < LOOPS; i++) {
        assert_int_equal(message_role_new(&stack->floors[i].message, loops[i], link_local_at(stack->links, i),
                                          stack->store, &config, metrics_shard(stack->metrics, i)),
                         0);
        open_role(stack, API_SEND, i, &stack->send_port, &stack->floors[i].send);
    }
    open_role(stack, API_ADMIN, 0, &stack->admin_port, &stack->admin);
    for (size_t i = 0; i < LOOPS; i++)
        assert_int_equal(loop_start_thread(loops[i], "stack"), 0);
    make_app(stack);
    *state = stack;
    return 0;
}

/* ---- closing: what asks first, what is asked last ---- */

static void close_api(struct floor *floor)
{
    api_role_close(&floor->send, bump, floor->stack);
    if (floor == &floor->stack->floors[0])
        api_role_close(&floor->stack->admin, bump, floor->stack);
}

static void close_message(struct floor *floor)
{
    message_role_close(&floor->message, bump, floor->stack);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"registry.db", "store.db"};
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 6; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s%s", folder, names[i / 3], ends[i % 3]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static int close_stack(void **state)
{
    struct stack *stack = *state;
    run_everywhere(stack, close_api);
    wait_done(stack, LOOPS + 1);
    run_everywhere(stack, close_message);
    wait_done(stack, LOOPS);
    store_close(&stack->store);
    stack->registry->ops->close(stack->registry);
    for (size_t i = 0; i < LOOPS; i++) {
        loop_stop(stack->floors[i].loop);
        loop_join_thread(stack->floors[i].loop);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        struct link *link = link_local_at(stack->links, i);
        link->ops->close(link);
    }
    stack->discovery->ops->close(stack->discovery);
    for (size_t i = 0; i < LOOPS; i++)
        loop_free(&stack->floors[i].loop);
    link_local_free(&stack->links);
    metrics_free(&stack->metrics);
    remove_folder(stack->folder);
    pthread_cond_destroy(&stack->changed);
    pthread_mutex_destroy(&stack->lock);
    free(stack);
    return 0;
}

/* ---- requests ---- */

static struct api_reply ask(struct stack *stack, const char *method, const char *path, const char *key,
                            const char *body)
{
    char headers[320];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n%s%s%s", stack->key,
                   key != NULL ? "Idempotency-Key: " : "", key != NULL ? key : "", key != NULL ? "\r\n" : "");
    struct api_client client;
    api_client_open(&client, stack->send_port);
    api_client_request(&client, method, path, headers, body);
    struct api_reply reply = api_client_read(&client, false);
    api_client_close(&client);
    api_doc_check(method, path, &reply);
    return reply;
}

static void expect(struct stack *stack, const char *method, const char *path, const char *body, unsigned http,
                   const char *member, const char *value)
{
    struct api_reply reply = ask(stack, method, path, NULL, body);
    const char *got = api_client_text(&reply, member);
    if (reply.status != http || got == NULL || strcmp(got, value) != 0)
        fail_msg("expected %u %s %s, got %u %s", http, member, value, reply.status, reply.body);
    api_client_free(&reply);
}

#define MESSAGES "/v1/apps/shop/messages"
#define DEVICES "/v1/apps/shop/users/ann/devices"

static void a_message_is_sent_found_and_recalled(void **state)
{
    struct stack *stack = *state;
    expect(stack, "POST", MESSAGES, "{\"to\":{\"user\":\"ann\"},\"data\":1,\"require_device\":true}", 404,
           "error.status", "UNREGISTERED");
    expect(stack, "POST", MESSAGES, "{\"to\":{\"user\":\"ann\",\"device\":\"phone\"},\"data\":1}", 404, "error.field",
           "to.device");
    expect(stack, "POST", DEVICES, "{\"device\":\"phone\"}", 201, "device", "phone");
    struct api_reply sent =
        ask(stack, "POST", MESSAGES, NULL, "{\"to\":{\"user\":\"ann\",\"device\":\"phone\"},\"data\":1}");
    assert_int_equal(sent.status, 200);
    char path[256];
    (void)snprintf(path, sizeof path, MESSAGES "/%s", api_client_text(&sent, "id"));
    api_client_free(&sent);
    expect(stack, "GET", path, NULL, 200, "state", "PENDING");
    expect(stack, "GET", path, NULL, 200, "devices.0.device", "phone");
    expect(stack, "DELETE", path, NULL, 200, "state", "RECALLED");
    expect(stack, "GET", path, NULL, 200, "state", "RECALLED");
    expect(stack, "GET", "/v1/apps/shop/users/ann/presence", NULL, 200, "devices.0.device", "phone");
    expect(stack, "DELETE", DEVICES "/phone", NULL, 200, "device", "phone");
    expect(stack, "POST", MESSAGES, "{\"to\":{\"user\":\"ann\",\"device\":\"phone\"},\"data\":1}", 404, "error.field",
           "to.device");
    expect(stack, "GET", MESSAGES "/018f0000-0000-7000-8000-000000000000~YW5u", NULL, 200, "state", "UNKNOWN");
    expect(stack, "DELETE", MESSAGES "/018f0000-0000-7000-8000-000000000000~YW5u", NULL, 404, "error.field", "id");
}

static void a_key_sends_once(void **state)
{
    struct stack *stack = *state;
    struct api_reply first = ask(stack, "POST", MESSAGES, "k-1", "{\"to\":{\"user\":\"bob\"},\"data\":{\"a\":1}}");
    assert_int_equal(first.status, 200);
    assert_null(api_client_at(&first, "duplicate"));
    for (int i = 0; i < 8; i++) { /* over either loop */
        struct api_reply again =
            ask(stack, "POST", MESSAGES, "k-1", "{\"data\": {\"a\": 1},\"to\":{\"user\":\"bob\"}}");
        assert_int_equal(again.status, 200);
        assert_true(json_is_true(api_client_at(&again, "duplicate")));
        assert_string_equal(api_client_text(&again, "id"), api_client_text(&first, "id"));
        api_client_free(&again);
    }
    struct api_reply other = ask(stack, "POST", MESSAGES, "k-1", "{\"to\":{\"user\":\"bob\"},\"data\":{\"a\":2}}");
    assert_int_equal(other.status, 409);
    assert_string_equal(api_client_text(&other, "error.status"), "CONFLICT");
    api_client_free(&other);
    other = ask(stack, "POST", MESSAGES, "k-1", "{\"to\":{\"user\":\"eve\"},\"data\":{\"a\":1}}");
    assert_int_equal(other.status, 200);
    assert_string_not_equal(api_client_text(&other, "id"), api_client_text(&first, "id"));
    api_client_free(&other);
    api_client_free(&first);
}

static void a_batch_keeps_the_order_of_its_lines(void **state)
{
    struct stack *stack = *state;
    char *body = calloc(1, 200 * 96);
    assert_non_null(body);
    size_t len = 0;
    for (int i = 0; i < 150; i++)
        len +=
            (size_t)sprintf(body + len, "{\"to\":{\"user\":\"cat\"},\"data\":%d,\"idempotency_key\":\"k%d\"}\n", i, i);
    struct api_reply reply = ask(stack, "POST", MESSAGES ":batch", NULL, body);
    assert_int_equal(reply.status, 200);
    uint64_t before = 0;
    int lines = 0;
    for (char *line = strtok(reply.body, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        json_t *result = json_loads(line, 0, NULL);
        char path[256];
        (void)snprintf(path, sizeof path, MESSAGES "/%s", json_string_value(json_object_get(result, "id")));
        struct api_reply found = ask(stack, "GET", path, NULL, NULL);
        const uint64_t seq = (uint64_t)json_integer_value(api_client_at(&found, "position.seq"));
        assert_true(seq > before);
        before = seq;
        api_client_free(&found);
        json_decref(result);
    }
    assert_int_equal(lines, 150);
    api_client_free(&reply);
    free(body);
}

/* ---- many at once; no assertion off the main thread ---- */

struct sender {
    pthread_t thread;
    struct stack *stack;
    int number;
    int accepted;
};

static void *send_many(void *arg)
{
    struct sender *sender = arg;
    struct api_client client;
    char headers[160];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", sender->stack->key);
    api_client_open(&client, sender->stack->send_port);
    for (int i = 0; i < SENDS_EACH; i += PIPELINED) {
        for (int j = 0; j < PIPELINED; j++) {
            char body[128];
            (void)snprintf(body, sizeof body, "{\"to\":{\"user\":\"u%d-%d\"},\"data\":%d}", sender->number, j, i);
            api_client_request(&client, "POST", MESSAGES, headers, body);
        }
        for (int j = 0; j < PIPELINED; j++) {
            struct api_reply reply = api_client_read(&client, false);
            sender->accepted += reply.status == 200;
            api_client_free(&reply);
        }
    }
    api_client_close(&client);
    return NULL;
}

static void senders_on_both_loops_are_all_served(void **state)
{
    struct stack *stack = *state;
    struct sender senders[SENDERS] = {{0}};
    for (int i = 0; i < SENDERS; i++) {
        senders[i].stack = stack;
        senders[i].number = i;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        assert_int_equal(senders[i].accepted, SENDS_EACH);
    }
    assert_int_equal(metrics_get(stack->metrics, METRIC_SENDS), SENDERS * SENDS_EACH);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_is_sent_found_and_recalled, open_stack, close_stack),
        cmocka_unit_test_setup_teardown(a_key_sends_once, open_stack, close_stack),
        cmocka_unit_test_setup_teardown(a_batch_keeps_the_order_of_its_lines, open_stack, close_stack),
        cmocka_unit_test_setup_teardown(senders_on_both_loops_are_all_served, open_stack, close_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
