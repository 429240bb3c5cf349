#include "registry/row.h"

#include "base/utf8.h"
#include "registry/registry.h"

void row_text(struct bytes from, char *to, size_t size)
{
    const size_t len = from.len < size ? from.len : size - 1;
    if (len > 0)
        memcpy(to, from.ptr, len);
    to[len] = '\0';
}

bool row_valid_label(struct bytes text)
{
    return text.ptr == NULL || (text.len <= REGISTRY_LABEL_MAX && utf8_printable(text));
}

bool row_valid_kid(struct bytes text)
{
    return text.len > 0 && text.len <= SNAPSHOT_KID_MAX && utf8_printable(text);
}

bool row_split_after(struct bytes after, struct bytes *user, struct bytes *device)
{
    *user = *device = bytes_str("");
    if (after.len == 0)
        return true;
    const uint8_t *newline = memchr(after.ptr, '\n', after.len);
    if (newline == NULL)
        return false;
    const size_t len = (size_t)(newline - after.ptr);
    *user = bytes_of(after.ptr, len);
    *device = bytes_of(newline + 1, after.len - len - 1);
    return true;
}
