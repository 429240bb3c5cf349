/* utf8.h: one character of UTF-8 at a time (RFC 3629: no surrogates, nothing over U+10FFFF, shortest forms only). */
#ifndef PETREL_BASE_UTF8_H
#define PETREL_BASE_UTF8_H

#include "base/bytes.h"

/* Length, 1-4, of the character that text begins with; 0 when it is empty, malformed or cut short. */
size_t utf8_char_len(struct bytes text);
/* Whether text is UTF-8 throughout and holds no control character (U+0000-001F, U+007F-009F). */
bool utf8_printable(struct bytes text);

#endif
