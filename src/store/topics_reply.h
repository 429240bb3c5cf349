/* topics_reply.h: what an implementation of topics.h lends with an answer: made, filled and taken back in one way. */
#ifndef PETREL_STORE_TOPICS_REPLY_H
#define PETREL_STORE_TOPICS_REPLY_H

#include "store/topics.h"

/* An empty page. */
struct topics_page *topics_reply_page(void);
/* One more entry, copied; the condition empty or absent: none. There is room (asserted). */
void topics_reply_add(struct topics_page *page, uint64_t seq, uint64_t expires_ms, struct bytes message,
                      struct bytes condition);
/* Tell the caller, then take back what the answer lent. request->status is set; the callback may free the request. */
void topics_reply_finish(struct topics_request *request);
/* Take it back untold. */
void topics_reply_release(struct topics_request *request);

#endif
