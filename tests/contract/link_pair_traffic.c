/* What a node of link_pair.h says to others when a test wants it to. */
#include "contract/link_pair.h"
#include "wire/peer_codec.h"

#include <stdio.h>

/* ---- asking ---- */

static void copy_page(struct link_pair_ask *ask, const struct peer_page *page)
{
    ask->page_count = page->count;
    for (uint32_t i = 0; i < page->count; i++)
        ask->page_bytes += page->entries[i].message->len;
}

static void on_done(struct link_call *call)
{
    struct link_pair_ask *ask = container_of(call, struct link_pair_ask, call);
    const struct peer_reply *reply = &call->reply;
    ask->status = reply->status;
    ask->answers++;
    if (reply->status == 0 && call->in.type == PEER_BIND) {
        ask->position = reply->bound->position;
        copy_page(ask, &reply->bound->page);
    } else if (reply->status == 0 && call->in.type == PEER_FETCH) {
        copy_page(ask, reply->fetched);
    } else if (reply->status == 0 && call->in.type == PEER_SEND) {
        ask->position = reply->sent.position;
    } else if (reply->status == 0 && call->in.type == PEER_SESSIONS) {
        ask->next_slot = reply->sessions.next_slot;
        snprintf(ask->records, sizeof ask->records, "%.*s", (int)reply->sessions.records->len,
                 (const char *)reply->sessions.records->data);
        buf_unref(reply->sessions.records);
    }
    loops_tally_add(&ask->done, 1);
}

static void do_ask(void *ctx)
{
    struct link_pair_ask *ask = ctx;
    ask->result = ask->at ? link_ask_at(ask->from, ask->node, ask->loop, &ask->call, on_done)
                          : link_ask(ask->from, &ask->call, on_done);
}

int link_pair_ask(struct link_pair_node *node, size_t loop, struct link_pair_ask *ask)
{
    ask->from = node->at[loop].link;
    loops_tally_init(&ask->done);
    loops_run_on(&node->loops, loop, do_ask, ask);
    if (ask->result != 0)
        loops_tally_destroy(&ask->done);
    return ask->result;
}

int link_pair_answer(struct link_pair_ask *ask)
{
    petrel_assert(ask->result == 0);
    const bool answered = loops_tally_wait(&ask->done, 1);
    petrel_assert(answered && ask->answers == 1);
    loops_tally_destroy(&ask->done);
    return ask->status;
}

struct link_pair_ask link_pair_enrol(const char *user)
{
    struct link_pair_ask ask = {.at = false};
    ask.call.in.type = PEER_ENROL;
    ask.call.in.enrol = (struct peer_target){bytes_str("demo"), bytes_str(user), bytes_str("phone")};
    return ask;
}

int link_pair_enrol_status(struct link_pair_node *node, size_t loop, const char *user)
{
    struct link_pair_ask ask = link_pair_enrol(user);
    assert_int_equal(link_pair_ask(node, loop, &ask), 0);
    return link_pair_answer(&ask);
}

/* ---- telling ---- */

struct telling {
    struct link *from;
    const struct link_pair_node *to;
    uint16_t to_loop;
    uint64_t seq;
    uint32_t count;
    struct buf *message;
    uint32_t taken;
};

static void do_tell(void *ctx)
{
    struct telling *telling = ctx;
    for (uint32_t i = 0; i < telling->count; i++) {
        const struct peer_msg msg = {.type = PEER_DELIVER,
                                     .deliver = {.route = {.incarnation = telling->to->incarnation,
                                                           .node = telling->to->number,
                                                           .loop = telling->to_loop,
                                                           .slot = 1,
                                                           .generation = 1},
                                                 .position = {3, telling->seq + i},
                                                 .prev = telling->seq + i - 1,
                                                 .message = telling->message}};
        telling->taken += link_tell(telling->from, telling->to->number, telling->to_loop, &msg) == 0;
    }
}

uint32_t link_pair_tell(struct link_pair_node *from, size_t loop, const struct link_pair_node *to, size_t to_loop,
                        uint64_t seq, uint32_t count, struct buf *message)
{
    struct telling telling = {.from = from->at[loop].link,
                              .to = to,
                              .to_loop = (uint16_t)to_loop,
                              .seq = seq,
                              .count = count,
                              .message = message};
    loops_run_on(&from->loops, loop, do_tell, &telling);
    return telling.taken;
}

struct telling_node {
    struct link *from;
    uint32_t node;
    struct buf *record;
    int result;
};

static void do_tell_node(void *ctx)
{
    struct telling_node *telling = ctx;
    const struct peer_msg msg = {.type = PEER_TOPIC_DELIVER,
                                 .topic_deliver = {.node = telling->node, .record = telling->record}};
    telling->result = link_tell_node(telling->from, telling->node, &msg);
}

int link_pair_tell_node(struct link_pair_node *from, size_t loop, const struct link_pair_node *to, uint64_t *len)
{
    const struct peer_topic_news news = {.app = bytes_str("demo"),
                                         .topic = bytes_str("news"),
                                         .position = {3, 8},
                                         .prev = 7,
                                         .nodes = 1,
                                         .message = bytes_str("hello")};
    struct telling_node telling = {
        .from = from->at[loop].link, .node = to->number, .record = peer_codec_topic_pack(&news)};
    *len = telling.record->len;
    loops_run_on(&from->loops, loop, do_tell_node, &telling);
    buf_unref(telling.record);
    return telling.result;
}
