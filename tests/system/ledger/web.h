/* web.h: a device's frames in WebSocket messages, one in each: with --ws. What comes from the server is read by wire/websocket.h. */
#ifndef PETREL_LEDGER_WEB_H
#define PETREL_LEDGER_WEB_H

#include "base/rng.h"
#include "wire/websocket.h"

/* Of one connection; {0} is one that has not begun. */
struct web {
    bool upgraded;
    struct bytebuf answer; /* to the upgrade, as far as it has come */
    struct websocket_reader reader;
    struct bytebuf scratch;
    struct bytebuf frames; /* web_take() found them */
    struct bytebuf out;    /* web_wrap() made it */
    struct bytebuf pongs;  /* to be sent before anything else */
};

/* The request that a connection begins with. */
struct bytes web_request(void);
/* Bytes came. 0: web->frames holds what is new, if web->upgraded; -1: the connection is of no use any more. */
int web_take(struct web *web, struct bytes in);
/* Whole frames as messages, in web->out. */
void web_wrap(struct web *web, struct rng *rng, struct bytes frames);
/* For the next connection; all memory is given back. */
void web_reset(struct web *web);

#endif
