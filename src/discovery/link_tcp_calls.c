/* link_tcp_calls.c: calls on one connection. Ours wait in a map by number and in a list by deadline; theirs are copied and handed to
 * the role of this loop. */
#include "base/err.h"
#include "base/log.h"
#include "discovery/link_tcp_impl.h"

#include <stdlib.h>

/* A call of ours. One that passed its deadline stays, without its caller: the other side still works on it, so it counts against the
 * window, and its number must not mean another call when the answer comes. */
struct asked {
    struct map_node by_number;
    struct list by_deadline;
    struct link_call *call; /* NULL: given up */
    enum peer_type type;
    uint32_t number;
    uint64_t due_ms;
};

/* A call of theirs, with its texts behind it. */
struct served {
    struct link_call call;
    struct link_tcp_loop *home;
    struct link_tcp_conn *conn; /* NULL: gone, nobody waits for the answer */
    struct list node;
    uint32_t number;
    uint8_t texts[];
};

static struct bytes asked_key(const struct map_node *node)
{
    const struct asked *asked = container_of(node, const struct asked, by_number);
    return bytes_of(&asked->number, sizeof asked->number);
}

void link_tcp_calls_init(struct link_tcp_conn *conn)
{
    map_init(&conn->calls, asked_key, rng_u64(loop_rng(conn->home->loop)));
    list_init(&conn->waiting);
    list_init(&conn->serving);
}

/* ---- ours ---- */

static void end_call(struct link_call *call, int status)
{
    call->reply = (struct peer_reply){.status = status};
    link_answer(call);
}

static struct asked *find(const struct link_tcp_conn *conn, uint32_t number)
{
    struct map_node *node = map_find(&conn->calls, bytes_of(&number, sizeof number));
    return node != NULL ? container_of(node, struct asked, by_number) : NULL;
}

bool link_tcp_calls_room(const struct link_tcp_conn *conn)
{
    return conn->calls.count < conn->window && link_tcp_conn_has_room(conn);
}

void link_tcp_calls_ask(struct link_tcp_conn *conn, struct link_call *call)
{
    struct link_tcp_loop *home = conn->home;
    if (!link_tcp_calls_room(conn)) {
        end_call(call, PETREL_E_BUSY);
        return;
    }
    do
        conn->number++;
    while (find(conn, conn->number) != NULL);
    if (peer_codec_encode_call(&home->out, conn->number, &call->in) != 0) {
        end_call(call, PETREL_E_TOO_LARGE);
        return;
    }
    link_tcp_conn_write(conn);
    struct asked *asked = object_zalloc(sizeof *asked);
    asked->call = call;
    asked->type = call->in.type;
    asked->number = conn->number;
    asked->due_ms = loop_now_ms(home->loop) + home->set->config.call_timeout_ms;
    map_insert(&conn->calls, &asked->by_number);
    list_push_back(&conn->waiting, &asked->by_deadline);
}

static struct link_call *forget(struct link_tcp_conn *conn, struct asked *asked)
{
    struct link_call *call = asked->call;
    conn->abandoned -= call == NULL;
    map_remove(&conn->calls, &asked->by_number);
    list_remove(&asked->by_deadline);
    free(asked);
    return call;
}

int link_tcp_calls_replied(struct link_tcp_conn *conn, const struct frame *frame)
{
    uint32_t number;
    struct peer_reply reply;
    int rc = peer_codec_decode_reply(conn->home->codec, frame, &number, &reply);
    if (rc != 0)
        return rc;
    const enum peer_type type = (enum peer_type)(frame->type - PEER_CODEC_REPLY);
    struct asked *asked = find(conn, number);
    rc = asked != NULL && asked->type == type ? 0 : PETREL_E_PROTOCOL;
    struct link_call *call = rc == 0 ? forget(conn, asked) : NULL;
    if (call != NULL) {
        call->reply = reply;
        link_answer(call);
    } else if (type == PEER_SESSIONS && reply.status == 0) {
        buf_unref(reply.sessions.records); /* its caller would have had it */
    }
    peer_codec_release_reply(type, &reply);
    link_tcp_conn_leave_if_idle(conn);
    return rc;
}

int link_tcp_calls_expire(struct link_tcp_conn *conn, uint64_t now_ms)
{
    while (!list_empty(&conn->waiting)) {
        struct asked *asked = container_of(conn->waiting.next, struct asked, by_deadline);
        if (asked->due_ms > now_ms)
            break;
        list_remove(&asked->by_deadline);
        struct link_call *call = asked->call;
        asked->call = NULL;
        conn->abandoned++;
        end_call(call, PETREL_E_TIMEOUT);
    }
    link_tcp_conn_leave_if_idle(conn);
    return conn->abandoned * 2 > conn->window ? PETREL_E_TIMEOUT : 0;
}

static void end_ours(struct link_tcp_conn *conn)
{
    for (struct map_node *node; (node = map_take_any(&conn->calls)) != NULL;) {
        struct asked *asked = container_of(node, struct asked, by_number);
        struct link_call *call = asked->call;
        list_remove(&asked->by_deadline);
        free(asked);
        if (call != NULL)
            end_call(call, PETREL_E_UNAVAILABLE);
    }
    conn->abandoned = 0;
    map_reset(&conn->calls);
}

/* ---- theirs ---- */

static void reply_status(struct link_tcp_conn *conn, uint32_t number, enum peer_type type, int status)
{
    const struct peer_reply reply = {.status = status};
    const int rc = peer_codec_encode_reply(&conn->home->out, number, type, &reply);
    petrel_assert(rc == 0);
    link_tcp_conn_write(conn);
}

/* The decoded call borrows from the codec, and the role answers later. */
static struct served *keep(struct link_tcp_conn *conn, uint32_t number, const struct peer_msg *msg)
{
    struct peer_msg in = *msg;
    struct bytes *texts[PEER_CODEC_TEXTS_MAX];
    const size_t count = peer_codec_texts(&in, texts);
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += texts[i]->len;
    struct served *served = object_zalloc(sizeof *served + size);
    uint8_t *place = served->texts;
    for (size_t i = 0; i < count; i++) {
        if (texts[i]->len == 0)
            continue;
        memcpy(place, texts[i]->ptr, texts[i]->len);
        *texts[i] = bytes_of(place, texts[i]->len);
        place += texts[i]->len;
    }
    served->call.in = in;
    served->call.from = served->call.to = &conn->home->link;
    served->home = conn->home;
    served->conn = conn;
    served->number = number;
    return served;
}

int link_tcp_calls_serve(struct link_tcp_conn *conn, const struct frame *frame)
{
    struct link_tcp_loop *home = conn->home;
    uint32_t number;
    struct peer_msg msg;
    const int rc = peer_codec_decode_call(home->codec, frame, &number, &msg);
    if (rc != 0)
        return rc;
    const struct link_server *server = &home->link.servers[link_role_of(msg.type)];
    int refusal = home->closed || server->on_call == NULL ? PETREL_E_UNAVAILABLE : 0;
    if (refusal == 0 && conn->serving_count >= home->set->config.window)
        refusal = PETREL_E_BUSY;
    if (refusal != 0) {
        reply_status(conn, number, msg.type, refusal);
        peer_codec_release_msg(&msg);
        return 0;
    }
    struct served *served = keep(conn, number, &msg);
    list_push_back(&conn->serving, &served->node);
    conn->serving_count++;
    home->served++;
    server->on_call(server->ctx, &served->call);
    return 0;
}

static void send_reply(struct link_tcp_conn *conn, const struct served *served)
{
    const enum peer_type type = served->call.in.type;
    if (peer_codec_encode_reply(&conn->home->out, served->number, type, &served->call.reply) == 0)
        link_tcp_conn_write(conn);
    else
        reply_status(conn, served->number, type, PETREL_E_TOO_LARGE);
}

void link_tcp_calls_answer(struct link *link, struct link_call *call)
{
    struct served *served = container_of(call, struct served, call);
    struct link_tcp_loop *home = served->home;
    petrel_assert(&home->link == link && !call->answered);
    call->answered = true;
    if (served->conn != NULL) {
        send_reply(served->conn, served);
        served->conn->serving_count--;
        list_remove(&served->node);
    }
    if (call->in.type == PEER_SESSIONS && call->reply.status == 0)
        buf_unref(call->reply.sessions.records);
    peer_codec_release_msg(&call->in);
    home->served--;
    free(served);
}

void link_tcp_calls_end(struct link_tcp_conn *conn)
{
    for (struct list *node; (node = list_pop_front(&conn->serving)) != NULL;)
        container_of(node, struct served, node)->conn = NULL;
    conn->serving_count = 0;
    end_ours(conn);
}
