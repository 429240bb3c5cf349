/* http_lines.h: a scan of the bytes that frame a message (the head; chunk sizes and trailers) for what may not stand there.
 * Private to this room.
 *
 * http-parser skips over such bytes in places. Two servers that read the same bytes in two ways is how requests are smuggled,
 * so lines end with CR LF and nothing else, and hold no control characters but HT. */
#ifndef PETREL_WIRE_HTTP_LINES_H
#define PETREL_WIRE_HTTP_LINES_H

#include "base/bytes.h"

/* {0} is ready for the first byte of a line. */
struct http_lines {
    bool after_cr;
    bool want_line_end; /* the next byte must be CR: the line end after a chunk's data */
    bool ended;         /* an empty line came after other lines: the head is over */
    size_t line_len;    /* of the line under way */
    size_t count;       /* lines that were not empty */
};

/* Scan the next bytes. Returns NULL with the number that was taken: all, or up to the end of the head; or the fault. */
const char *http_lines_head(struct http_lines *lines, struct bytes in, size_t *taken);
/* The same for what frames chunks: all of it is taken. */
const char *http_lines_chunk(struct http_lines *lines, struct bytes in);

#endif
