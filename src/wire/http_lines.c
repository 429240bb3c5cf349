#include "wire/http_lines.h"

#define CR 0x0d
#define LF 0x0a
#define HT 0x09
#define SPACE 0x20
#define DEL 0x7f

/* NULL, or why c may not come next. */
static const char *take_byte(struct http_lines *lines, uint8_t c)
{
    if (lines->want_line_end && c != CR)
        return "chunk data is longer than its size says";
    if (lines->after_cr != (c == LF))
        return "lines must end with CR LF";
    lines->want_line_end = false;
    lines->after_cr = c == CR;
    if (c == CR || c == LF)
        return NULL;
    if ((c < SPACE && c != HT) || c == DEL)
        return "a control character stands where none may";
    lines->line_len++;
    return NULL;
}

/* How many bytes from at on say nothing but themselves. */
static size_t plain_run(struct bytes in, size_t at)
{
    const size_t begin = at;
    while (at < in.len && in.ptr[at] >= SPACE && in.ptr[at] != DEL)
        at++;
    return at - begin;
}

const char *http_lines_head(struct http_lines *lines, struct bytes in, size_t *taken)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if ((c == SPACE || c == HT) && lines->line_len == 0 && lines->count > 0 && !lines->after_cr)
            return "folded headers are not accepted";
        const char *fault = take_byte(lines, c);
        if (fault != NULL)
            return fault;
        if (c != LF) {
            if (lines->line_len > 0 && !lines->after_cr) {
                const size_t run = plain_run(in, i + 1);
                lines->line_len += run;
                i += run;
            }
            continue;
        }
        lines->ended = lines->line_len == 0 && lines->count > 0;
        lines->count += lines->line_len > 0;
        lines->line_len = 0;
        if (lines->ended) {
            *taken = i + 1;
            return NULL;
        }
    }
    *taken = in.len;
    return NULL;
}

const char *http_lines_chunk(struct http_lines *lines, struct bytes in)
{
    const char *fault = NULL;
    for (size_t i = 0; i < in.len && fault == NULL; i++)
        fault = take_byte(lines, in.ptr[i]);
    return fault;
}
