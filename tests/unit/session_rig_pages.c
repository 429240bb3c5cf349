#include "unit/session_rig.h"

struct buf *rig_message(const char *text)
{
    struct session_message message = {.id = {{1}}, .body = bytes_str(text), .sent_ms = 1, .expires_ms = 2};
    return session_encode_message(&message);
}

struct peer_page rig_page(uint64_t upto, uint64_t head)
{
    return (struct peer_page){.epoch = RIG_EPOCH, .upto = upto, .head = head};
}

void rig_page_add(struct peer_page *page, uint64_t seq, const char *text)
{
    page->entries[page->count++] = (struct peer_entry){.seq = seq, .message = rig_message(text)};
}

void rig_page_free(struct peer_page *page)
{
    for (uint32_t i = 0; i < page->count; i++)
        buf_unref(page->entries[i].message);
    page->count = 0;
}
