/* row.h: the forms of a row's texts, the same in every implementation. */
#ifndef PETREL_REGISTRY_ROW_H
#define PETREL_REGISTRY_ROW_H

#include "base/bytes.h"

/* Copy to a NUL-terminated field, cut to its size; what was checked before it was written fits. */
void row_text(struct bytes from, char *to, size_t size);
/* Whether it can be a label: absent, or printable and at most REGISTRY_LABEL_MAX bytes. */
bool row_valid_label(struct bytes text);
/* Whether it can name a key that signs tokens: printable, 1 to SNAPSHOT_KID_MAX bytes. */
bool row_valid_kid(struct bytes text);
/* `after` of a whole app's list of devices: user, a newline, device; absent: both empty. No name holds a newline. False: there is
 * no newline. */
bool row_split_after(struct bytes after, struct bytes *user, struct bytes *device);

#endif
