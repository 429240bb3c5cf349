#include "petreld/node_number.h"

#include "base/err.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>

#define FILE_NAME "node.number"
#define FILE_MAX 1024

/* "<number>\n<root>\n<name>\n": each is one line, since names have no control characters. */
static void compose(struct bytebuf *out, const char *root, const char *name, uint32_t number)
{
    bytes_printf(out, "%" PRIu32 "\n%s\n%s\n", number, root, name);
}

int node_number_load(const struct datadir *dir, const char *root, const char *name, uint32_t *number)
{
    struct bytebuf kept = {0}, whole = {0};
    int err = datadir_read(dir, FILE_NAME, FILE_MAX, &kept);
    bytes_put_u8(&kept, 0);
    const unsigned long found = err == 0 ? strtoul((const char *)kept.ptr, NULL, 10) : 0;
    const bool is_number = found > 0 && found <= UINT32_MAX;
    if (is_number)
        compose(&whole, root, name, (uint32_t)found);
    bytes_put_u8(&whole, 0);
    /* Anything but what would be written for that number is another node's, or damaged. */
    if (err == 0 && (!is_number || kept.len != whole.len || memcmp(kept.ptr, whole.ptr, whole.len) != 0))
        err = PETREL_E_NOT_FOUND;
    if (err == 0)
        *number = (uint32_t)found;
    bytes_reset(&kept);
    bytes_reset(&whole);
    return err;
}

int node_number_save(const struct datadir *dir, const char *root, const char *name, uint32_t number)
{
    uint32_t kept = 0;
    if (node_number_load(dir, root, name, &kept) == 0 && kept == number)
        return 0;
    if (kept != 0)
        log_at(LOG_WARN, "server", "ZooKeeper has another number for this node than before", LOG_NUM("before", kept),
               LOG_NUM("number", number));
    struct bytebuf text = {0};
    compose(&text, root, name, number);
    const int err = datadir_write(dir, FILE_NAME, bytes_view(&text));
    bytes_reset(&text);
    return err;
}
