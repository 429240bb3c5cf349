/* hostport.h: "host:port" and "[host]:port" as text. */
#ifndef PETREL_CLIENT_HOSTPORT_H
#define PETREL_CLIENT_HOSTPORT_H

#include <stddef.h>
#include <stdint.h>

#define HOSTPORT_HOST_MAX 255
#define HOSTPORT_MAX (HOSTPORT_HOST_MAX + 6) /* ':' and a port of five digits */

/* Split the first len bytes of text: the host without brackets and NUL-terminated, and the port, which is returned. 0: not of this form, or
 * too long, or with blanks, control characters or bytes beyond ASCII in it. */
uint16_t hostport_split(const char *text, size_t len, char host[HOSTPORT_HOST_MAX + 1]);
/* How many stand in "host:port[,host:port...]"; 0: it is no such list. */
size_t hostport_count(const char *list);

#endif
