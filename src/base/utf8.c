#include "base/utf8.h"

static bool continues(struct bytes text, size_t at)
{
    return at < text.len && (text.ptr[at] & 0xc0) == 0x80;
}

size_t utf8_char_len(struct bytes text)
{
    if (text.len == 0)
        return 0;
    uint8_t lead = text.ptr[0];
    if (lead < 0x80)
        return 1;
    if (!continues(text, 1))
        return 0;
    uint8_t second = text.ptr[1];
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (!continues(text, 2))
        return 0;
    if (lead >= 0xe0 && lead <= 0xef) {
        bool overlong = lead == 0xe0 && second < 0xa0;
        bool surrogate = lead == 0xed && second > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (lead < 0xf0 || lead > 0xf4 || !continues(text, 3))
        return 0;
    bool overlong = lead == 0xf0 && second < 0x90;
    bool beyond = lead == 0xf4 && second > 0x8f;
    return overlong || beyond ? 0 : 4;
}

bool utf8_printable(struct bytes text)
{
    while (text.len > 0) {
        size_t len = utf8_char_len(text);
        uint8_t lead = text.ptr[0];
        bool c0 = len == 1 && (lead < 0x20 || lead == 0x7f);
        bool c1 = len == 2 && lead == 0xc2 && text.ptr[1] < 0xa0;
        if (len == 0 || c0 || c1)
            return false;
        text = bytes_of(text.ptr + len, text.len - len);
    }
    return true;
}
