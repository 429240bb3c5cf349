/* reply.h: the answer to an HTTP request, as far as a sender needs it. */
#ifndef PETREL_LEDGER_REPLY_H
#define PETREL_LEDGER_REPLY_H

#include "base/bytes.h"

struct reply {
    unsigned status;
    uint32_t retry_after_s;
    bool close; /* the server closes the connection after it */
    struct bytes body;
};

/* 1 and the reply, which borrows; 0: not whole yet; -1: no HTTP/1.1 answer with a Content-Length. */
int reply_read(struct bytes in, struct reply *out);

#endif
