/* api_audit.h: what operators do is written down before they are answered. Private to this room.
 *
 * Every request on the admin listener that changes something, and every look at secrets, becomes a row of the registry's audit
 * (registry_audit.h) and a line of the log, with its outcome. Not sends, which are an app's traffic; nor who is no operator, who
 * could push out what others did. */
#ifndef PETREL_API_API_AUDIT_H
#define PETREL_API_API_AUDIT_H

#include "api/api_auth.h"
#include "api/api_exchange.h"

/* The request was let in: note it, if it is one to be written down. */
void api_audit_begin(struct api_exchange *exchange, const struct api_request *request, const struct api_caller *caller);
/* What came to be known of its target only as it was carried out; a text of the form of ids. */
void api_audit_target(struct api_exchange *exchange, const char *target);
/* It is to be answered, with exchange->status. True: the row is being written, and api_exchange_release() follows. */
bool api_audit_hold(struct api_exchange *exchange);
/* NULL is fine. */
void api_audit_free(struct api_audit *audit);

#endif
