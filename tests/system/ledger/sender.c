#include "system/ledger/sender.h"

#include "base/object.h"
#include "client/client_uv.h"
#include "lib/until.h"
#include "system/ledger/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 5000
#define ANSWER_CLUSTER_MS 12000 /* a cluster says after 10 s that it does not know (PROMISE §5) */
#define CONNECT_MS 2000
#define RETRY_MS 200 /* at most, where the server names no wait */
#define RETRY_MAX_MS 2000
#define ELSEWHERE_MS 4000 /* how long it stays with another API */
#define REPLY_MAX 16384
#define PACED_EVERY 4 /* of the messages to topics */
#define PACE "2000"   /* devices a second */

struct sender {
    struct ledger *ledger;
    struct client_uv *uv;
    struct rng rng;
    uint32_t number;
    uint32_t api; /* which it uses: its own, and for a while another when that one fails */
    uint64_t back_ms;
    bool busy;  /* a message is under way */
    bool open;  /* the connection stands */
    bool asked; /* its request was written, the answer is awaited */
    bool opening;
    bool on_errand; /* what is under way is no message */
    uint32_t message;
    struct bytebuf request;
    struct bytebuf reply;
    double next_ms; /* when the next message is due */
};

static void wait_ms(struct sender *sender, uint64_t ms)
{
    client_uv_timer(sender->uv, client_uv_now(sender->uv) + ms);
}

static void write_errand(struct sender *sender, const struct errand *errand)
{
    const struct book_device device = book_device(sender->ledger->book, errand->device);
    sender->request.len = 0;
    bytes_printf(&sender->request,
                 "%s /v1/apps/" LEDGER_APP "/users/u%" PRIu32 "/devices/d%u/topics/%s HTTP/1.1\r\nHost: ledger\r\n"
                 "Authorization: Bearer %s\r\nContent-Length: 0\r\n\r\n",
                 errand->follow ? "PUT" : "DELETE", device.user, (unsigned)device.mate, topics_name(errand->topic),
                 sender->ledger->key);
}

static void write_request(struct sender *sender, const struct book_to *to)
{
    char target[160], body[400];
    if (to->target >= 0)
        snprintf(target, sizeof target, "%s%s", topics_to((uint32_t)to->target),
                 sender->message % PACED_EVERY == 0 ? ",\"rate\":" PACE : "");
    else if (to->mate < 0)
        snprintf(target, sizeof target, "{\"user\":\"u%" PRIu32 "\"}", to->user);
    else
        snprintf(target, sizeof target, "{\"user\":\"u%" PRIu32 "\",\"device\":\"d%d\"}", to->user, to->mate);
    int len =
        snprintf(body, sizeof body,
                 "{\"to\":%s,\"durability\":\"%s\",\"data\":{\"sender\":%" PRIu32 ",\"message\":%" PRIu32 "}}", target,
                 sender->ledger->options.replicated ? "replicated" : "standard", sender->number, sender->message);
    sender->request.len = 0;
    bytes_printf(&sender->request,
                 "POST /v1/apps/" LEDGER_APP "/messages HTTP/1.1\r\nHost: ledger\r\nAuthorization: Bearer %s\r\n"
                 "Idempotency-Key: ledger-%" PRIu32
                 "\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                 sender->ledger->key, sender->message, len, body);
}

/* When the next message is due: at this sender's share of the rate, and not all that an outage held back at once. */
static void schedule(struct sender *sender)
{
    const struct options *options = &sender->ledger->options;
    double gap = 1000.0 * options->senders / options->rate;
    double now = (double)client_uv_now(sender->uv);
    sender->next_ms += gap * (0.5 + (double)rng_below(&sender->rng, 1000) / 1000.0);
    if (sender->next_ms < now)
        sender->next_ms = now;
    client_uv_timer(sender->uv, (uint64_t)sender->next_ms);
}

static void ask(struct sender *sender)
{
    sender->asked = true;
    sender->reply.len = 0;
    client_uv_write(sender->uv, sender->request.ptr, sender->request.len);
    wait_ms(sender, sender->ledger->options.cluster ? ANSWER_CLUSTER_MS : ANSWER_MS);
}

static void drop(struct sender *sender)
{
    client_uv_drop(sender->uv);
    sender->open = sender->opening = false;
}

/* No answer, or none that is definite: the same elsewhere, if there is another to ask. */
static void again(struct sender *sender, uint64_t least_ms)
{
    sender->asked = false;
    if (sender->ledger->apis_count > 1) {
        drop(sender);
        sender->api = (sender->api + 1) % sender->ledger->apis_count;
        sender->back_ms = client_uv_now(sender->uv) + ELSEWHERE_MS;
    }
    sender->ledger->retries++;
    if (least_ms > RETRY_MAX_MS)
        least_ms = RETRY_MAX_MS;
    wait_ms(sender, least_ms + rng_below(&sender->rng, RETRY_MS));
}

/* Backends do not all stay with the node that others have left. */
static void go_back(struct sender *sender)
{
    uint32_t own = sender->number % sender->ledger->apis_count;
    if (sender->api == own || client_uv_now(sender->uv) < sender->back_ms)
        return;
    drop(sender);
    sender->api = own;
}

/* The next thing to do. False: there is none. */
static bool begin(struct sender *sender)
{
    struct ledger *ledger = sender->ledger;
    struct errand errand;
    struct book_to to;
    sender->on_errand = errands_take(&ledger->errands, &errand);
    if (!sender->on_errand && !ledger->sending)
        return false;
    go_back(sender);
    sender->busy = true;
    ledger->busy++;
    if (sender->on_errand) {
        write_errand(sender, &errand);
    } else {
        sender->message = book_draw(ledger->book, sender->number, &to);
        write_request(sender, &to);
    }
    return true;
}

static void on_timer(void *owner)
{
    struct sender *sender = owner;
    if (sender->asked) {
        drop(sender);
        again(sender, 0);
        return;
    }
    if (!sender->busy && !begin(sender))
        return;
    if (sender->open) {
        ask(sender);
    } else if (!sender->opening) {
        sender->opening = true;
        client_uv_open(sender->uv, "127.0.0.1", ledger_port(sender->ledger->apis[sender->api]), NULL, CONNECT_MS);
    }
}

static void on_open(void *owner)
{
    struct sender *sender = owner;
    sender->open = true;
    sender->opening = false;
    if (sender->busy)
        ask(sender);
}

static void end(struct sender *sender)
{
    sender->busy = sender->asked = false;
    sender->ledger->busy--;
    schedule(sender);
}

static void definite(struct sender *sender, enum book_answer answer, const struct id *id)
{
    book_answered(sender->ledger->book, sender->message, answer, id);
    if (answer == BOOK_ACCEPTED)
        tally_accepted(&sender->ledger->tally, until_now_ms());
    end(sender);
}

/* The uuid that the API's id begins with. */
static bool id_of(struct bytes body, struct id *id)
{
    static const char member[] = "\"id\":\"";
    const uint8_t *at = memmem(body.ptr, body.len, member, sizeof member - 1);
    size_t before = at != NULL ? (size_t)(at - body.ptr) + sizeof member - 1 : 0;
    return at != NULL && body.len - before >= ID_TEXT_LEN &&
           id_parse(bytes_of(body.ptr + before, ID_TEXT_LEN), id) == 0;
}

static void refuse(struct sender *sender, const struct reply *reply)
{
    printf("refused: message %" PRIu32 ": %u %.*s\n", sender->message, reply->status, (int)reply->body.len,
           (const char *)reply->body.ptr);
    definite(sender, BOOK_REFUSED, NULL);
}

static void end_errand(struct sender *sender, const struct reply *reply)
{
    char text[200];
    if (reply->status / 100 != 2) {
        snprintf(text, sizeof text, "a change of a subscription was answered %u %.*s", reply->status,
                 (int)reply->body.len, (const char *)reply->body.ptr);
        ledger_fail(sender->ledger, text);
    }
    errands_did(&sender->ledger->errands);
    end(sender);
}

static void unserved(struct sender *sender, const struct reply *reply)
{
    static const char begins[] = "{\"error\":{\"code\":503,\"status\":";
    if (reply->status == 503) {
        char text[TALLY_REASON_LEN];
        snprintf(text, sizeof text, "%.*s", (int)reply->body.len, (const char *)reply->body.ptr);
        tally_refused(&sender->ledger->tally,
                      strncmp(text, begins, sizeof begins - 1) == 0 ? text + sizeof begins - 1 : text);
    }
    again(sender, 1000ULL * reply->retry_after_s);
}

static void on_reply(struct sender *sender, const struct reply *reply)
{
    struct id id;
    const bool served = reply->status / 100 == 2;
    if (reply->status / 100 == 5 || reply->status == 429 || reply->status == 408)
        unserved(sender, reply);
    else if (sender->on_errand)
        end_errand(sender, reply);
    else if (served && !id_of(reply->body, &id))
        ledger_fail(sender->ledger, "an accepted message was given no id");
    else if (served)
        definite(sender, BOOK_ACCEPTED, &id);
    else
        refuse(sender, reply);
    if (reply->close)
        drop(sender);
}

static void on_read(void *owner, const uint8_t *bytes, size_t len)
{
    struct sender *sender = owner;
    struct reply reply;
    bytes_append(&sender->reply, bytes, len);
    int rc = sender->asked && sender->reply.len <= REPLY_MAX ? reply_read(bytes_view(&sender->reply), &reply) : -1;
    if (rc > 0) {
        on_reply(sender, &reply);
    } else if (rc < 0) {
        /* An answer that nobody asked for, such as 408 on an idle connection, is one to nothing. */
        drop(sender);
        if (sender->asked)
            again(sender, 0);
    }
}

static void on_sent(void *owner)
{
    (void)owner;
}

static void on_end(void *owner, const char *text)
{
    (void)text;
    struct sender *sender = owner;
    bool waiting = sender->asked || sender->opening;
    sender->open = sender->opening = false;
    if (waiting)
        again(sender, 0);
}

static const struct client_uv_ops OPS = {on_timer, on_open, on_read, on_sent, on_end};

struct sender *sender_new(struct ledger *ledger, uint32_t number)
{
    struct sender *sender = object_zalloc(sizeof *sender);
    sender->ledger = ledger;
    sender->number = number;
    sender->api = number % ledger->apis_count;
    sender->uv = client_uv_new(&ledger->loop, NULL, &OPS, sender);
    petrel_assert(sender->uv != NULL);
    rng_seed(&sender->rng, ledger->options.seed * 2 + number * UINT64_C(0x9e3779b97f4a7c15));
    sender->next_ms = (double)client_uv_now(sender->uv);
    ledger->open++;
    schedule(sender);
    return sender;
}

void sender_wake(struct sender *sender)
{
    if (!sender->busy)
        schedule(sender);
}

static void on_closed(void *owner)
{
    struct sender *sender = owner;
    sender->ledger->open--;
    bytes_reset(&sender->request);
    bytes_reset(&sender->reply);
    free(sender);
}

void sender_close(struct sender **sender)
{
    if (*sender != NULL)
        client_uv_close(&(*sender)->uv, on_closed);
    *sender = NULL;
}
