/* store_request.h: what every implementation of the port asks of a request: whose it is, and whether its names are names. */
#ifndef PETREL_STORE_STORE_REQUEST_H
#define PETREL_STORE_STORE_REQUEST_H

#include "store/store.h"

struct peer_target store_request_target(const struct store_request *request);
/* Names become keys and records of bounded size, so a store holds them to their rules as well. 0 or PETREL_E_INVALID. */
int store_request_check(const struct store_request *request);

#endif
