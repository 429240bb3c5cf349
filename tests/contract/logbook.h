/* logbook.h: what is logged from logbook_open() to logbook_close(), for tests that wait for a line. One for the process, as the log is. */
#ifndef PETREL_TESTS_CONTRACT_LOGBOOK_H
#define PETREL_TESTS_CONTRACT_LOGBOOK_H

#include <stdbool.h>

void logbook_open(void);
void logbook_close(void);
/* Forget what was said so far. */
void logbook_clear(void);
bool logbook_has(const char *text);
/* Wait until it has text; false after a while, with what was said instead on standard error. */
bool logbook_wait(const char *text);

#endif
