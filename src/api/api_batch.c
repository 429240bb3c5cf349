/* Many messages in one request: NDJSON in, a result line for each out, in order.
 *
 * Lines are submitted in the order they stand in, so that messages to one target keep it. A window bounds what is under way;
 * the next line is read when the oldest has its answer. */
#include "api/api_limits.h"
#include "api/api_routes.h"
#include "api/api_send.h"
#include "base/err.h"

#define WINDOW 64U

struct slot {
    struct api_send send;
    uint32_t line;
    bool answered;
};

struct batch {
    struct api_exchange *exchange;
    struct snapshot *snapshot; /* app points into it */
    const struct snapshot_app *app;
    const struct snapshot_key *key;
    struct bytebuf text;
    size_t at;       /* where the next line begins */
    uint32_t line;   /* lines read so far */
    uint32_t oldest; /* slots from here to `next` are in use, modulo WINDOW */
    uint32_t next;
    struct loop_task pump;
    struct slot slots[WINDOW];
};

static void drop_batch(void *state)
{
    struct batch *batch = state;
    petrel_assert(batch->oldest == batch->next);
    loop_undefer(&batch->pump);
    api_conn_keep(batch->exchange->role, batch->exchange->conn, -(int64_t)batch->text.len);
    bytes_reset(&batch->text);
    snapshot_unref(batch->snapshot);
}

/* The next line that is not blank. False at the end. */
static bool take_line(struct bytes text, size_t *at, uint32_t *line, struct bytes *out)
{
    while (*at < text.len) {
        const uint8_t *begin = text.ptr + *at;
        const uint8_t *end = memchr(begin, '\n', text.len - *at);
        size_t len = end != NULL ? (size_t)(end - begin) : text.len - *at;
        *at += end != NULL ? len + 1 : len;
        (*line)++;
        while (len > 0 && (begin[len - 1] == '\r' || begin[len - 1] == ' ' || begin[len - 1] == '\t'))
            len--;
        if (len > 0) {
            *out = bytes_of(begin, len);
            return true;
        }
    }
    return false;
}

static size_t count_lines(struct bytes text)
{
    size_t at = 0;
    uint32_t line = 0;
    size_t count = 0;
    for (struct bytes ignored; take_line(text, &at, &line, &ignored);)
        count++;
    return count;
}

static void render(struct batch *batch, struct slot *slot)
{
    struct bytebuf *out = &batch->exchange->body;
    api_send_count(&slot->send);
    if (slot->send.error.kind != API_ERROR_NONE)
        api_error_render(&slot->send.error, slot->line, out);
    else
        api_send_render(&slot->send, out);
    bytes_append(out, "\n", 1);
    api_send_reset(&slot->send);
}

/* Nobody waits for the rest once the connection has gone, or the stream was reset; what is under way is waited for all the same. */
static bool has_more(const struct batch *batch)
{
    return batch->at < batch->text.len && api_conn_wants(batch->exchange);
}

/* Write out what is answered, as far as the order allows. */
static void settle(struct batch *batch)
{
    while (batch->oldest != batch->next && batch->slots[batch->oldest % WINDOW].answered) {
        render(batch, &batch->slots[batch->oldest % WINDOW]);
        batch->oldest++;
    }
    const bool more = has_more(batch);
    if (more && batch->next - batch->oldest < WINDOW)
        loop_defer(batch->exchange->role->loop, &batch->pump);
    else if (!more && batch->oldest == batch->next)
        api_exchange_answer_as(batch->exchange, 200, "application/x-ndjson");
}

static void on_sent(struct api_send *send)
{
    struct slot *slot = container_of(send, struct slot, send);
    slot->answered = true;
    settle(send->owner);
}

static void submit(struct batch *batch, struct bytes text)
{
    struct slot *slot = &batch->slots[batch->next++ % WINDOW];
    memset(slot, 0, sizeof *slot);
    slot->line = batch->line;
    struct api_send *send = &slot->send;
    send->role = batch->exchange->role; /* and when it began, for what is refused before it is read */
    send->began_ms = clock_mono_ms(loop_clock(send->role->loop));
    const struct bytes no_key = {NULL, 0};
    if (api_limits_take(send->role, batch->snapshot, batch->app, batch->key, &send->error) != 0 ||
        api_send_read(send, send->role, batch->app, text, API_SEND_KEY_FIELD, no_key) != 0 || send->validate_only ||
        api_send_submit(send, on_sent, batch) != 0)
        slot->answered = true;
}

/* At most a window of lines at a time, so that a long batch leaves the loop to others in between. */
static void on_pump(struct loop_task *task)
{
    struct batch *batch = container_of(task, struct batch, pump);
    struct bytes line;
    for (uint32_t i = 0; i < WINDOW && has_more(batch) && batch->next - batch->oldest < WINDOW; i++) {
        if (!take_line(bytes_view(&batch->text), &batch->at, &batch->line, &line))
            break;
        submit(batch, line);
    }
    settle(batch);
}

static int check(struct api_exchange *exchange, const struct http_request *http)
{
    struct api_error error;
    const size_t max = exchange->role->config.max_batch_lines;
    const size_t lines = count_lines(http->body);
    int rc = 0;
    if (http_request_header(http, "Idempotency-Key").ptr != NULL)
        rc = api_error_set(&error, API_ERROR_INVALID, "Idempotency-Key", "stands in each line, as idempotency_key");
    else if (lines == 0)
        rc = api_error_set(&error, API_ERROR_INVALID, NULL, "the batch is empty: one JSON object a line is expected");
    else if (lines > max)
        rc = api_error_set(&error, API_ERROR_TOO_LARGE, NULL, "the batch has %zu lines, the limit is %zu", lines, max);
    if (rc != 0)
        api_exchange_fail(exchange, &error);
    return rc;
}

void api_batch_send(struct api_exchange *exchange, const struct api_request *request)
{
    const struct http_request *http = request->http;
    if (check(exchange, http) != 0)
        return;
    struct batch *batch = api_exchange_state(exchange, sizeof *batch, drop_batch);
    batch->exchange = exchange;
    batch->snapshot = snapshot_ref(exchange->role->snapshot);
    batch->app = request->app;
    batch->key = request->key;
    batch->pump.run = on_pump;
    bytes_append(&batch->text, http->body.ptr, http->body.len);
    api_conn_keep(exchange->role, exchange->conn, (int64_t)batch->text.len);
    on_pump(&batch->pump);
}
