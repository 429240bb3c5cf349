#include "store/topics_reply.h"

#include "base/object.h"

#include <stdlib.h>

struct topics_page *topics_reply_page(void)
{
    struct topics_page *page = object_alloc(sizeof *page);
    /* What lies beyond count is never read. */
    memset(page, 0, offsetof(struct topics_page, entries));
    return page;
}

void topics_reply_add(struct topics_page *page, uint64_t seq, uint64_t expires_ms, struct bytes message,
                      struct bytes condition)
{
    petrel_assert(page->count < PEER_PAGE_MAX);
    struct topics_entry *entry = &page->entries[page->count++];
    *entry = (struct topics_entry){.seq = seq, .expires_ms = expires_ms, .message = buf_copy(message)};
    if (condition.len == 0)
        return;
    uint8_t *copy = object_alloc(condition.len);
    memcpy(copy, condition.ptr, condition.len);
    entry->condition = bytes_of(copy, condition.len);
}

static void free_page(struct topics_page *page)
{
    for (uint32_t i = 0; i < page->count; i++) {
        buf_unref(page->entries[i].message);
        free((void *)(uintptr_t)page->entries[i].condition.ptr);
    }
    free(page);
}

void topics_reply_release(struct topics_request *request)
{
    if (request->status != 0)
        return;
    if (request->op == TOPICS_APPEND)
        free(request->out.appended);
    else if (request->op == TOPICS_FETCH)
        free_page(request->out.page);
    else if (request->op == TOPICS_SUBSCRIPTIONS)
        free(request->out.set);
    else if (request->op == TOPICS_CHECK)
        free(request->out.checked);
}

void topics_reply_finish(struct topics_request *request)
{
    struct topics_request lent = {.op = request->op, .status = request->status, .out = request->out};
    request->done(request);
    topics_reply_release(&lent);
}
