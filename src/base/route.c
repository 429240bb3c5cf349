#include "base/route.h"

#include "base/utf8.h"

static bool is_lower_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool route_valid_app(struct bytes text)
{
    if (text.len == 0 || text.len > ROUTE_APP_MAX || !is_lower_or_digit(text.ptr[0]))
        return false;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!is_lower_or_digit(c) && c != '_' && c != '-')
            return false;
    }
    return true;
}

bool route_valid_user(struct bytes text)
{
    return text.len > 0 && text.len <= ROUTE_USER_MAX && utf8_printable(text);
}

bool route_valid_device(struct bytes text)
{
    if (text.len == 0 || text.len > ROUTE_DEVICE_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool upper = c >= 'A' && c <= 'Z';
        if (!is_lower_or_digit(c) && !upper && c != '.' && c != '_' && c != ':' && c != '-')
            return false;
    }
    return true;
}

bool route_valid_collapse_key(struct bytes text)
{
    return text.len > 0 && text.len <= ROUTE_COLLAPSE_MAX && utf8_printable(text);
}
