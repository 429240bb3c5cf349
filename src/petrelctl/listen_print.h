/* listen_print.h: one message on one line of standard output. */
#ifndef PETREL_PETRELCTL_LISTEN_PRINT_H
#define PETREL_PETRELCTL_LISTEN_PRINT_H

#include "petrel/core.h"

/* "2026-01-31 12:34:56.789  <id>  3 ms  {"order":7}"; bytes that are no JSON as base64 behind "base64:". */
void listen_print_line(const struct petrel_message *message, uint64_t now_ms);
/* {"id", "epoch", "seq", "sent_ms", "received_ms", "latency_ms", "expires_ms", "high", "late", "collapse_key"?, "data" | "payload"} */
void listen_print_json(const struct petrel_message *message, uint64_t now_ms);

#endif
