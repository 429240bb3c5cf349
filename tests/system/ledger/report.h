/* report.h: the verdict, and the last line. */
#ifndef PETREL_LEDGER_REPORT_H
#define PETREL_LEDGER_REPORT_H

#include "system/ledger/ledger.h"

/* Whether the promise was kept; prints why not. counts: how often each fault of fault_table happened, with a cluster. */
bool report_judge(const struct ledger *ledger, const uint32_t *counts);
/* The last line. */
void report_print(struct ledger *ledger, const uint32_t *counts);

#endif
