/* sender.h: a backend: one keep-alive connection, one message or errand at a time, the same Idempotency-Key until there is a definite
 * answer. */
#ifndef PETREL_LEDGER_SENDER_H
#define PETREL_LEDGER_SENDER_H

#include "system/ledger/ledger.h"

struct sender;

struct sender *sender_new(struct ledger *ledger, uint32_t number);
/* There is something to do again. */
void sender_wake(struct sender *sender);
/* Later, from the loop; counts ledger->open down. */
void sender_close(struct sender **sender);

#endif
