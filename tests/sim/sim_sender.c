#include "sim/sim_sender.h"

#include "sim/sim_store.h"
#include "wire/session.h"

#include <stdio.h>
#include <stdlib.h>

#define RETRY_US (20 * SIM_S)

struct sim_sender {
    struct sim *sim;
    struct sim_book *book;
    struct link *link;
    struct list asks;
    uint32_t busy;
    bool stopped;
};

struct ask {
    struct list node;
    struct sim_sender *sender;
    struct link_call call;
    struct sim_event again;
    uint64_t first_us;
    uint32_t message;
    struct buf *body;
    char user[16];
    char device[16];
    char collapse[16];
};

static void on_done(struct link_call *call);

static void free_ask(struct ask *ask)
{
    ask->sender->busy--;
    sim_cancel(ask->sender->sim, &ask->again);
    list_remove(&ask->node);
    buf_unref(ask->body);
    free(ask);
}

static void submit(struct ask *ask);

static void on_again(struct sim_event *event)
{
    submit(container_of(event, struct ask, again));
}

static void later(struct ask *ask)
{
    struct sim_sender *sender = ask->sender;
    uint64_t wait_us = sim_between(sender->sim, 100 * SIM_MS, 2 * SIM_S);
    if (sender->stopped || sender->sim->now_us + wait_us > ask->first_us + RETRY_US) {
        sim_trace(sender->sim, "message %u: the sender gives up, the outcome is unknown", ask->message);
        free_ask(ask);
        return;
    }
    sim_at(sender->sim, &ask->again, wait_us, on_again);
}

static void submit(struct ask *ask)
{
    if (link_ask(ask->sender->link, &ask->call, on_done) != 0)
        later(ask);
}

static bool is_unknown(int status)
{
    return status == PETREL_E_UNAVAILABLE || status == PETREL_E_TIMEOUT || status == PETREL_E_BUSY ||
           status == PETREL_E_CLOSING;
}

static void on_done(struct link_call *call)
{
    struct ask *ask = container_of(call, struct ask, call);
    int status = call->reply.status;
    if (is_unknown(status)) {
        later(ask);
        return;
    }
    if (status != 0)
        sim_trace(ask->sender->sim, "message %u: call %d ends with %s", ask->message, (int)call->in.type,
                  err_name(status));
    else if (call->in.type == PEER_SEND)
        sim_book_accepted(ask->sender->book, ask->message);
    else
        sim_book_recalled(ask->sender->book, ask->message);
    free_ask(ask);
}

static struct ask *new_ask(struct sim_sender *sender, uint32_t message)
{
    struct ask *ask = object_zalloc(sizeof *ask);
    ask->sender = sender;
    ask->first_us = sender->sim->now_us;
    ask->message = message;
    sim_store_user(sender->book->messages[message].user, ask->user);
    list_push_back(&sender->asks, &ask->node);
    sender->busy++;
    return ask;
}

static struct buf *encode(const struct sim_message *message, const struct sim_send *send, const char *collapse)
{
    uint8_t body[2048];
    memset(body, 'x', sizeof body);
    const struct session_message encoded = {
        .id = message->id,
        .body = bytes_of(body, send->bytes < sizeof body ? send->bytes : sizeof body),
        .sent_ms = message->expires_ms - send->ttl_ms,
        .expires_ms = message->expires_ms,
        .collapse_key = send->collapse != 0 ? bytes_str(collapse) : (struct bytes){NULL, 0},
        .high = send->priority == PEER_PRIORITY_HIGH,
    };
    return session_encode_message(&encoded);
}

void sim_sender_send(struct sim_sender *sender, const struct sim_send *send)
{
    uint32_t number = sim_book_send(sender->book, send->user, send->device, send->ttl_ms);
    if (number == SIM_MESSAGES_MAX)
        return;
    const struct sim_message *message = &sender->book->messages[number];
    struct ask *ask = new_ask(sender, number);
    sim_trace(sender->sim, "message %u: to user %u, device %d, ttl %llu ms, collapse %u, priority %u", number,
              send->user, (int)send->device, (unsigned long long)send->ttl_ms, send->collapse, send->priority);
    (void)snprintf(ask->collapse, sizeof ask->collapse, "k%u", (unsigned)send->collapse);
    ask->body = encode(message, send, ask->collapse);
    ask->call.in = (struct peer_msg){.type = PEER_SEND};
    struct peer_send *in = &ask->call.in.send;
    *in = (struct peer_send){
        .target = {.app = sim_store_app(), .user = bytes_str(ask->user)},
        .id = message->id,
        .message = ask->body,
        .collapse_key = send->collapse != 0 ? bytes_str(ask->collapse) : (struct bytes){NULL, 0},
        .priority = (enum peer_priority)send->priority,
        .sent_ms = message->expires_ms - send->ttl_ms,
        .expires_ms = message->expires_ms,
    };
    if (send->device != SIM_ALL_DEVICES) {
        sim_store_device(send->device, ask->device);
        in->target.device = bytes_str(ask->device);
    }
    submit(ask);
}

void sim_sender_recall(struct sim_sender *sender, uint32_t back)
{
    struct sim_book *book = sender->book;
    if (back >= book->messages_count)
        return;
    uint32_t number = book->messages_count - 1 - back;
    sim_trace(sender->sim, "message %u: recall is asked", number);
    struct ask *ask = new_ask(sender, number);
    ask->call.in = (struct peer_msg){.type = PEER_RECALL};
    ask->call.in.recall = (struct peer_message_ref){.target = {.app = sim_store_app(), .user = bytes_str(ask->user)},
                                                    .id = book->messages[number].id};
    submit(ask);
}

uint32_t sim_sender_busy(const struct sim_sender *sender)
{
    return sender->busy;
}

void sim_sender_stop(struct sim_sender *sender)
{
    struct list *node, *next;
    sender->stopped = true;
    LIST_FOREACH(node, next, &sender->asks)
    {
        struct ask *ask = container_of(node, struct ask, node);
        if (ask->again.place != 0)
            free_ask(ask);
    }
}

struct sim_sender *sim_sender_new(struct sim *sim, struct sim_book *book, struct link *link)
{
    struct sim_sender *sender = object_zalloc(sizeof *sender);
    sender->sim = sim;
    sender->book = book;
    sender->link = link;
    list_init(&sender->asks);
    return sender;
}

void sim_sender_free(struct sim_sender **inside)
{
    petrel_assert((*inside)->busy == 0);
    free(*inside);
    *inside = NULL;
}
