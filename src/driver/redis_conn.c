#include "driver/redis_conn.h"

#include "base/err.h"
#include "base/log.h"
#include "driver/redis_asked.h"
#include "driver/redis_batch.h"
#include "driver/redis_cluster.h"
#include "driver/redis_health.h"
#include "driver/redis_tls.h"

#include <stdio.h>
#include <stdlib.h>

#define CONN_MAGIC OBJECT_MAGIC('r', 'd', 'c', 'n')
#define PIPELINE_BYTES (4 * 1024 * 1024)
/* A request goes back to a node that does not know its script this often before it is given a rest. */
#define NOSCRIPT_TRIES 8

enum conn_state { CONN_CONNECTING, CONN_GREETING, CONN_READY, CONN_GONE };

struct redis_conn {
    uint32_t magic;
    enum conn_state state;
    struct redis *redis;
    struct redis_lane *lane; /* NULL once gone */
    struct stream *stream;
    struct redis_codec *codec;
    struct timer timer; /* when the oldest question, or the connecting, is overdue */
    uint64_t due_ms;    /* of the connecting */
    struct list waiting;
    struct loop_task batch_task;
    bool view_wanted;
    struct redis_batch batch; /* on a replicated lane */
    uint64_t written;
    uint64_t text_written[REDIS_SCRIPTS_MAX]; /* number of the load; 0: never */
    bool text_wanted[REDIS_SCRIPTS_MAX];
    enum redis_verdict text_refused[REDIS_SCRIPTS_MAX]; /* why the last load was; ANSWER: it was not */
    struct redis_asked_ring asked;
};

static bool is_replicated(const struct redis_conn *conn)
{
    return conn->lane->kind == REDIS_LANE_REPLICATED;
}

bool redis_conn_is_idle(const struct redis_conn *conn)
{
    return conn->asked.count == 0 && list_empty(&conn->waiting) && list_empty(&conn->batch.held) && !conn->view_wanted;
}

/* A server that stays away is told once, and once that it is there but of no use; the debug log has every try. */
static enum log_level level_of(struct redis_lane *lane, bool is_refusal)
{
    if (lane->failures == 1)
        lane->refusal_told = false;
    const bool news = lane->failures == 1 || (is_refusal && !lane->refusal_told);
    lane->refusal_told = lane->refusal_told || is_refusal;
    return news ? LOG_WARN : LOG_DEBUG;
}

static void say_broken(const struct redis_conn *conn, int status)
{
    struct redis_lane *lane = conn->lane;
    const bool was_ready = conn->state == CONN_READY;
    char address[sizeof lane->node->address.host + 8], text[REDIS_TLS_WHY_SIZE];
    snprintf(address, sizeof address, "%s:%u", lane->node->address.host, lane->node->address.port);
    const char *why =
        was_ready ? tls_loop_why(conn->redis->loop)
                  : redis_tls_why(conn->redis, &lane->node->address, conn->state == CONN_GREETING, status, text);
    const enum log_level level = level_of(lane, !was_ready && why != NULL);
    log_at(level, "redis", was_ready ? "connection broke" : "cannot connect", LOG_STR("server", address),
           LOG_STR("error", why != NULL ? why : err_name(status)), LOG_NUM("failures", lane->failures));
}

/* Give back everything that was entrusted to a connection that is no more. */
static void hand_back(struct redis_conn *conn, int status)
{
    struct redis *redis = conn->redis;
    bool view_lost = conn->view_wanted;
    redis_batch_drop(redis, &conn->batch, status);
    while (conn->asked.count > 0) {
        const struct redis_asked asked = redis_asked_take(&conn->asked);
        view_lost = view_lost || asked.question == REDIS_ASKED_VIEW;
        if (asked.question == REDIS_ASKED_REQUEST)
            redis_dropped(redis, asked.request, status);
    }
    for (struct list *node; (node = list_pop_front(&conn->waiting)) != NULL;)
        redis_dropped(redis, container_of(node, struct redis_request, node), status);
    if (view_lost)
        redis_cluster_no_view(redis);
}

void redis_conn_close(struct redis_conn *conn, int status)
{
    object_check(conn, CONN_MAGIC);
    if (conn->state == CONN_GONE)
        return;
    conn->state = CONN_GONE;
    conn->lane->conn = NULL;
    conn->lane = NULL;
    timer_stop(&conn->timer);
    loop_undefer(&conn->batch_task);
    stream_close(conn->stream);
    hand_back(conn, status);
}

/* The connection is of no use any more. */
static void break_off(struct redis_conn *conn, int status)
{
    struct redis *redis = conn->redis;
    struct redis_lane *lane = conn->lane;
    bool was_ready = conn->state == CONN_READY;
    redis_cluster_lane_failed(redis, lane);
    say_broken(conn, status);
    if (was_ready) {
        metrics_add(redis->metrics, METRIC_REDIS_BROKEN, 1);
        redis_changed(redis, true);
    }
    redis_conn_close(conn, status);
    redis_cluster_refresh(redis, NULL);
}

static void on_timer(struct timer *timer)
{
    struct redis_conn *conn = container_of(timer, struct redis_conn, timer);
    object_check(conn, CONN_MAGIC);
    uint64_t now_ms = loop_now_ms(conn->redis->loop);
    if (conn->state != CONN_CONNECTING && conn->asked.count == 0)
        return;
    uint64_t due_ms = conn->state == CONN_CONNECTING ? conn->due_ms : redis_asked_at(&conn->asked, 0)->due_ms;
    if (now_ms < due_ms)
        timer_start(conn->redis->loop, timer, due_ms - now_ms, on_timer);
    else
        break_off(conn, PETREL_E_TIMEOUT);
}

static void write_asked(struct redis_conn *conn, struct redis_asked asked, size_t argc, const struct bytes *argv)
{
    struct redis *redis = conn->redis;
    uint32_t timeout_ms = redis->config.timeout_ms;
    redis_codec_write(conn->stream, argc, argv);
    asked.number = ++conn->written;
    asked.due_ms = loop_now_ms(redis->loop) + timeout_ms;
    redis_asked_put(&conn->asked, asked);
    if (!timer_running(&conn->timer))
        timer_start(redis->loop, &conn->timer, timeout_ms, on_timer);
}

static void write_question(struct redis_conn *conn, enum redis_question question, size_t argc, const struct bytes *argv)
{
    write_asked(conn, (struct redis_asked){.question = question}, argc, argv);
}

static void write_text(struct redis_conn *conn, const struct redis_text *text)
{
    const struct bytes argv[] = {bytes_str(text->is_library ? "FUNCTION" : "SCRIPT"), bytes_str("LOAD"),
                                 bytes_of(text->text, text->len)};
    write_asked(conn, (struct redis_asked){.question = REDIS_ASKED_TEXT, .text = text}, 3, argv);
    conn->text_wanted[text->index] = false;
    conn->text_written[text->index] = conn->written;
}

static void write_request(struct redis_conn *conn, struct redis_request *request)
{
    const struct redis_asked asked = {.question = REDIS_ASKED_REQUEST, .request = request};
    const struct redis_script *script = request->script;
    if (script != NULL && conn->text_wanted[script->text->index])
        write_text(conn, script->text);
    if (request->asking) {
        const struct bytes asking = bytes_str("ASKING");
        write_question(conn, REDIS_ASKED_ASKING, 1, &asking);
    }
    request->written = true;
    request->tries++;
    metrics_add(conn->redis->metrics, METRIC_REDIS_REQUESTS, 1);
    if (script == NULL) {
        write_asked(conn, asked, request->argc, request->argv);
        return;
    }
    size_t keys = request->second_key.ptr != NULL ? 2 : 1;
    struct bytes argv[REDIS_ARGS_MAX + 5] = {bytes_str(script->text->is_library ? "FCALL" : "EVALSHA"),
                                             bytes_str(script->name), bytes_str(keys == 2 ? "2" : "1"), request->key,
                                             request->second_key};
    memcpy(argv + 3 + keys, request->argv, request->argc * sizeof argv[0]);
    write_asked(conn, asked, request->argc + 3 + keys, argv);
}

static bool has_room(const struct redis_conn *conn)
{
    return conn->asked.count + 4 <= REDIS_ASKED_REQUESTS_MAX && stream_queued(conn->stream) < PIPELINE_BYTES;
}

/* Write what waits, as far as the pipeline has room. Whether something was written. */
static bool pump(struct redis_conn *conn)
{
    struct redis *redis = conn->redis;
    bool any = false;
    while (!list_empty(&conn->waiting) && has_room(conn)) {
        struct list *node = list_pop_front(&conn->waiting);
        struct redis_request *request = container_of(node, struct redis_request, node);
        if (loop_now_ms(redis->loop) >= request->deadline_ms) {
            redis_fail(redis, request, PETREL_E_BUSY);
            continue;
        }
        write_request(conn, request);
        any = true;
    }
    return any;
}

static void write_role(struct redis_conn *conn)
{
    const struct bytes role = bytes_str("ROLE");
    write_question(conn, REDIS_ASKED_ROLE, 1, &role);
}

static void write_batch(struct redis_conn *conn)
{
    struct redis *redis = conn->redis;
    if (conn->state != CONN_READY || conn->batch.open || !pump(conn))
        return;
    if (redis->config.cluster)
        conn->batch.replicas = conn->lane->node->replicas > 0 ? (uint32_t)conn->lane->node->replicas : 1;
    char replicas[16], wait_ms[16];
    snprintf(replicas, sizeof replicas, "%u", conn->batch.replicas);
    /* Its answer, that it was in vain, has to arrive before the connection is taken for dead. */
    snprintf(wait_ms, sizeof wait_ms, "%u", redis->config.timeout_ms / 4 * 3 + 1);
    const struct bytes argv[] = {bytes_str("WAIT"), bytes_str(replicas), bytes_str(wait_ms)};
    write_question(conn, REDIS_ASKED_WAIT, 3, argv);
    if (!redis->config.cluster)
        write_role(conn); /* for the next batch: replicas come and go */
    conn->batch.open = true;
}

static void run_batch(struct loop_task *task)
{
    write_batch(container_of(task, struct redis_conn, batch_task));
}

static void write_info(struct redis_conn *conn)
{
    const struct bytes argv[] = {bytes_str("INFO"), bytes_str("persistence"), bytes_str("memory")};
    write_question(conn, REDIS_ASKED_INFO, 3, argv);
}

static void write_view(struct redis_conn *conn)
{
    const struct bytes shards[] = {bytes_str("CLUSTER"), bytes_str("SHARDS")};
    const struct bytes ping = bytes_str("PING");
    conn->view_wanted = false;
    if (conn->redis->config.cluster)
        write_question(conn, REDIS_ASKED_VIEW, 2, shards);
    else
        write_question(conn, REDIS_ASKED_VIEW, 1, &ping);
    write_info(conn);
}

static void write_more(struct redis_conn *conn)
{
    if (conn->state != CONN_READY)
        return;
    if (conn->view_wanted)
        write_view(conn);
    if (!is_replicated(conn))
        pump(conn);
    else if (!conn->batch.open && !list_empty(&conn->waiting))
        loop_at_turn_end(conn->redis->loop, &conn->batch_task); /* with what else this turn brings */
}

void redis_conn_submit(struct redis_conn *conn, struct redis_request *request)
{
    object_check(conn, CONN_MAGIC);
    petrel_assert(conn->state != CONN_GONE);
    list_push_back(&conn->waiting, &request->node);
    write_more(conn);
}

void redis_conn_ask_view(struct redis_conn *conn)
{
    object_check(conn, CONN_MAGIC);
    conn->view_wanted = true;
    write_more(conn);
}

static void write_greeting(struct redis_conn *conn)
{
    const struct redis_config *config = &conn->redis->config;
    conn->state = CONN_GREETING;
    if (config->password != NULL) {
        const struct bytes named[] = {bytes_str("AUTH"), bytes_str(config->username), bytes_str(config->password)};
        const struct bytes plain[] = {bytes_str("AUTH"), bytes_str(config->password)};
        if (config->username != NULL)
            write_question(conn, REDIS_ASKED_AUTH, 3, named);
        else
            write_question(conn, REDIS_ASKED_AUTH, 2, plain);
    }
    write_role(conn);
}

static void on_refused_greeting(struct redis_conn *conn, const char *what, const struct redis_value *reply)
{
    /* Error texts of Redis name users and commands, never passwords. */
    log_at(LOG_ERROR, "redis", "a server refused the connection's first words",
           LOG_STR("server", conn->lane->node->address.host), LOG_NUM("port", conn->lane->node->address.port),
           LOG_STR("command", what),
           LOG_STR("error", reply->type == REDIS_ERROR ? (const char *)reply->text.ptr : "another form"));
    break_off(conn, PETREL_E_UNAVAILABLE);
}

/* ["master", offset, [replicas...]], or ["slave", ...]. */
static void on_role(struct redis_conn *conn, const struct redis_value *reply)
{
    if (reply->type != REDIS_ARRAY || reply->count < 3) {
        on_refused_greeting(conn, "ROLE", reply);
        return;
    }
    const struct redis_value *replicas = &reply->items[2];
    conn->batch.replicas = replicas->type == REDIS_ARRAY && replicas->count > 0 ? (uint32_t)replicas->count : 1;
    if (conn->state == CONN_READY)
        return;
    conn->state = CONN_READY;
    if (!is_replicated(conn))
        write_info(conn);
    redis_cluster_look_on(conn->redis);
    write_more(conn);
}

static void on_noscript(struct redis_conn *conn, const struct redis_asked *asked)
{
    struct redis_request *request = asked->request;
    size_t index = request->script->text->index;
    /* Others of the pipeline may have found out before, and the text be under way. */
    bool had_its_load = asked->number > conn->text_written[index];
    enum redis_verdict why = conn->text_refused[index];
    request->written = false;
    if (had_its_load)
        conn->text_wanted[index] = true;
    if (had_its_load && why != REDIS_VERDICT_ANSWER)
        redis_refused(conn->redis, conn->lane->node, request, why, NULL);
    else if (request->tries % NOSCRIPT_TRIES == 0)
        redis_refused(conn->redis, conn->lane->node, request, REDIS_VERDICT_LATER, NULL);
    else
        list_push_back(&conn->waiting, &request->node);
}

static void on_request(struct redis_conn *conn, const struct redis_asked *asked, const struct redis_value *reply)
{
    struct redis_request *request = asked->request;
    enum redis_verdict verdict = redis_verdict_of(reply);
    if (verdict == REDIS_VERDICT_NOSCRIPT && request->script != NULL)
        on_noscript(conn, asked);
    else if (verdict != REDIS_VERDICT_ANSWER && verdict != REDIS_VERDICT_NOSCRIPT)
        redis_refused(conn->redis, conn->lane->node, request, verdict, reply);
    else if (is_replicated(conn))
        redis_batch_hold(&conn->batch, request, conn->codec, reply); /* until the replicas have it too */
    else
        redis_answer(conn->redis, request, reply);
}

/* It serves: a greeting alone does not prove that. */
static void on_served(struct redis_conn *conn)
{
    struct redis_lane *lane = conn->lane;
    if (lane->failures > 0)
        log_at(LOG_INFO, "redis", "a server is back", LOG_STR("server", lane->node->address.host),
               LOG_NUM("port", lane->node->address.port), LOG_NUM("failures", lane->failures));
    lane->failures = 0;
    if (!lane->served)
        redis_health_served(conn->redis, lane);
}

/* Several clients find out at the same time that a node lacks a library: the first one's is there for all. */
static void on_text(struct redis_conn *conn, const struct redis_text *text, const struct redis_value *reply)
{
    const char *said = reply->type == REDIS_ERROR ? (const char *)reply->text.ptr : "";
    enum redis_verdict *refused = &conn->text_refused[text->index];
    enum redis_verdict was = *refused;
    *refused = REDIS_VERDICT_ANSWER;
    if (reply->type != REDIS_ERROR || strstr(said, "already exists") != NULL)
        return;
    *refused = redis_verdict_of(reply) == REDIS_VERDICT_FULL ? REDIS_VERDICT_FULL : REDIS_VERDICT_LATER;
    if (was != *refused)
        log_at(LOG_ERROR, "redis", "a server did not take a script or library",
               LOG_STR("server", conn->lane->node->address.host), LOG_NUM("port", conn->lane->node->address.port),
               LOG_STR("name", text->name), LOG_STR("error", said));
}

static void on_reply(struct redis_conn *conn, const struct redis_value *reply)
{
    const struct redis_asked asked = redis_asked_take(&conn->asked);
    switch (asked.question) {
    case REDIS_ASKED_REQUEST:
        on_served(conn);
        on_request(conn, &asked, reply);
        break;
    case REDIS_ASKED_AUTH:
        if (reply->type != REDIS_STATUS)
            on_refused_greeting(conn, "AUTH", reply);
        break;
    case REDIS_ASKED_ROLE:
        on_role(conn, reply);
        break;
    case REDIS_ASKED_TEXT:
        on_text(conn, asked.text, reply);
        break;
    case REDIS_ASKED_WAIT:
        redis_batch_end(conn->redis, conn->lane->node, &conn->batch, reply);
        break;
    case REDIS_ASKED_VIEW:
        if (conn->redis->config.cluster || reply->type != REDIS_ERROR)
            on_served(conn);
        redis_cluster_view(conn->redis, conn->lane->node, reply);
        break;
    case REDIS_ASKED_INFO:
        redis_health_info(conn->redis, conn->lane->node, reply);
        break;
    case REDIS_ASKED_ASKING:
        break;
    }
}

static void on_open(void *owner)
{
    struct redis_conn *conn = owner;
    object_check(conn, CONN_MAGIC);
    timer_stop(&conn->timer);
    write_greeting(conn);
}

static void on_data(void *owner, struct bytes data)
{
    struct redis_conn *conn = owner;
    object_check(conn, CONN_MAGIC);
    int rc = redis_codec_feed(conn->codec, data);
    const struct redis_value *reply = NULL;
    /* A callback may close the client, and an answer the connection; what else has arrived is then nobody's. */
    while (rc == 0 && conn->state != CONN_GONE && !conn->redis->closing &&
           (rc = redis_codec_next(conn->codec, &reply)) == 1) {
        rc = conn->asked.count > 0 ? 0 : PETREL_E_PROTOCOL;
        if (rc == 0)
            on_reply(conn, reply);
    }
    if (conn->state == CONN_GONE)
        return;
    if (rc < 0)
        break_off(conn, rc);
    else
        write_more(conn);
}

static void on_drain(void *owner)
{
    write_more(owner);
}

static void on_end(void *owner, int status)
{
    struct redis_conn *conn = owner;
    object_check(conn, CONN_MAGIC);
    break_off(conn, status == PETREL_E_EOF ? PETREL_E_UNAVAILABLE : status);
}

static void on_closed(void *owner)
{
    struct redis_conn *conn = owner;
    object_check(conn, CONN_MAGIC);
    struct redis *redis = conn->redis;
    redis_codec_free(&conn->codec);
    redis_asked_reset(&conn->asked);
    conn->magic = 0;
    free(conn);
    redis_conn_gone(redis);
}

struct redis_conn *redis_conn_open(struct redis *redis, struct redis_lane *lane)
{
    static const struct stream_ops ops = {
        .on_open = on_open, .on_data = on_data, .on_drain = on_drain, .on_end = on_end, .on_closed = on_closed};
    struct redis_conn *conn = object_zalloc(sizeof *conn);
    conn->magic = CONN_MAGIC;
    conn->redis = redis;
    conn->lane = lane;
    conn->batch_task.run = run_batch;
    list_init(&conn->waiting);
    redis_batch_init(&conn->batch);
    int rc = stream_connect(&conn->stream, redis->loop, lane->node->address.host, lane->node->address.port, &ops, conn);
    if (rc != 0) {
        redis_cluster_lane_failed(redis, lane);
        say_broken(conn, rc);
        free(conn);
        return NULL;
    }
    redis_tls_secure(redis, conn->stream, &lane->node->address);
    conn->codec = redis_codec_new();
    conn->due_ms = loop_now_ms(redis->loop) + redis->config.timeout_ms;
    timer_start(redis->loop, &conn->timer, redis->config.timeout_ms, on_timer);
    lane->conn = conn;
    redis->conns++;
    return conn;
}
