/* inbox_pack.h: an inbox as a record at rest: all but routes. Sans-I/O. */
#ifndef PETREL_STORE_INBOX_PACK_H
#define PETREL_STORE_INBOX_PACK_H

#include "store/inbox.h"

/* Append the record of an inbox that exists. */
void inbox_pack(struct bytebuf *out, const struct inbox *inbox);

/* Replace what the inbox holds but its key. 0, or PETREL_E_INVALID with the inbox as it was. */
int inbox_pack_read(struct inbox *inbox, struct bytes record);

/* What a check looks at, without its route, read where it lies, and the device's number among the record's devices. Of a record as
 * inbox_pack() makes it now. 0, or PETREL_E_INVALID. */
int inbox_pack_stand(struct bytes record, struct bytes device, struct inbox_standing *out, uint32_t *number);

#endif
