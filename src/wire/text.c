#include "wire/text.h"

#include "base/utf8.h"

bool text_is_utf8(struct bytes text)
{
    size_t at = 0;
    while (at < text.len) {
        if (text.ptr[at] < 0x80) {
            at++;
            continue;
        }
        size_t len = utf8_char_len(bytes_of(text.ptr + at, text.len - at));
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

bool text_is_printable(struct bytes text, size_t max)
{
    return text.len <= max && utf8_printable(text);
}
