/* effect.h: what having a message means to an app: a line in the book. */
#ifndef PETREL_LEDGER_EFFECT_H
#define PETREL_LEDGER_EFFECT_H

#include "base/id.h"
#include "petrel/core.h"

struct effect {
    uint32_t sender;
    uint32_t message;
    uint32_t log; /* by which it came */
    struct id id;
    bool garbage; /* it is none of the ledger's messages */
};

struct effect effect_of(const struct petrel_message *message, uint32_t senders);

#endif
