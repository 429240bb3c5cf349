/* report.h: the last line, and the verdict. */
#ifndef PETREL_LEDGER_REPORT_H
#define PETREL_LEDGER_REPORT_H

#include "system/ledger/ledger.h"

/* Print what there is to say. counts: how often each fault of fault_table happened, with a cluster. orderly: what served the run came
 * to its end as it should. Whether the promise was kept. */
bool report_print(struct ledger *ledger, const uint32_t *counts, bool orderly);

#endif
