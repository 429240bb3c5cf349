#include "discovery/discovery_zookeeper_copy.h"

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/object.h"
#include "discovery/discovery_zookeeper_node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define FIRST_LINE "petrel nodes 1"
#define LAST_LINE "end"
#define AGE_MS 60000

/* ---- the text ---- */

void discovery_zookeeper_copy_pack(const struct discovery_zookeeper_copy *copy, const char *root, struct bytebuf *out)
{
    const size_t most = DISCOVERY_ZOOKEEPER_COPY_NODES_MAX;
    const size_t count = copy->count < most ? copy->count : most;
    bytes_printf(out, FIRST_LINE "\nroot=%s\nas_of_ms=%" PRIu64 "\ncount=%zu\n", root, copy->as_of_ms, count);
    for (size_t i = 0; i < count; i++) {
        bytes_append_str(out, "\n");
        discovery_zookeeper_node_pack(&copy->nodes[i], out);
    }
    bytes_append_str(out, LAST_LINE "\n");
}

/* Take a line, which ends, from the front of *in. */
static bool take_line(struct bytes *in, struct bytes *line)
{
    const uint8_t *end = in->len > 0 ? memchr(in->ptr, '\n', in->len) : NULL;
    if (end == NULL)
        return false;
    *line = bytes_of(in->ptr, (size_t)(end - in->ptr));
    *in = bytes_of(end + 1, in->len - line->len - 1);
    return true;
}

static bool take_value(struct bytes *in, const char *key, struct bytes *value)
{
    const size_t len = strlen(key);
    struct bytes line;
    if (!take_line(in, &line) || line.len < len || memcmp(line.ptr, key, len) != 0)
        return false;
    *value = bytes_of(line.ptr + len, line.len - len);
    return true;
}

static bool take_number(struct bytes *in, const char *key, uint64_t *number)
{
    struct bytes text;
    char digits[24];
    if (!take_value(in, key, &text) || text.len == 0 || text.len >= sizeof digits)
        return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    errno = 0;
    *number = strtoull(digits, NULL, 10);
    return strspn(digits, "0123456789") == text.len && errno == 0;
}

/* A node and the empty line before it: up to the next empty line, or the last one. */
static bool take_node(struct bytes *in, struct discovery_node *node)
{
    struct bytes line, rest = *in;
    if (!take_line(&rest, &line) || line.len != 0)
        return false;
    const uint8_t *start = rest.ptr;
    for (struct bytes ahead = rest; take_line(&ahead, &line); rest = ahead) {
        if (line.len == 0 || bytes_equal_str(line, LAST_LINE))
            break;
    }
    *in = rest;
    return discovery_zookeeper_node_unpack(bytes_of(start, (size_t)(rest.ptr - start)), node) == 0;
}

static bool read_text(struct bytes in, const char *root, struct discovery_zookeeper_copy *copy)
{
    struct bytes line, its_root;
    uint64_t count = 0;
    if (!take_line(&in, &line) || !bytes_equal_str(line, FIRST_LINE) || !take_value(&in, "root=", &its_root) ||
        !bytes_equal_str(its_root, root) || !take_number(&in, "as_of_ms=", &copy->as_of_ms) ||
        !take_number(&in, "count=", &count) || count > DISCOVERY_ZOOKEEPER_COPY_NODES_MAX)
        return false;
    copy->nodes = object_zalloc((count + 1) * sizeof *copy->nodes);
    for (; copy->count < count; copy->count++) {
        if (!take_node(&in, &copy->nodes[copy->count]))
            return false;
    }
    return take_line(&in, &line) && bytes_equal_str(line, LAST_LINE) && in.len == 0;
}

int discovery_zookeeper_copy_unpack(struct bytes in, const char *root, struct discovery_zookeeper_copy *copy)
{
    *copy = (struct discovery_zookeeper_copy){0};
    if (read_text(in, root, copy))
        return 0;
    discovery_zookeeper_copy_reset(copy);
    return PETREL_E_INVALID;
}

struct discovery_zookeeper_copy discovery_zookeeper_copy_of(const struct discovery_zookeeper_roster *roster,
                                                            uint64_t as_of_ms)
{
    struct discovery_zookeeper_copy copy = {
        .as_of_ms = as_of_ms,
        .nodes = object_zalloc((roster->count + 1) * sizeof *copy.nodes),
    };
    copy.count = discovery_zookeeper_roster_shown(roster, copy.nodes);
    return copy;
}

/* The same nodes in the same order, however loaded. */
static bool same_nodes(const struct discovery_zookeeper_copy *a, const struct discovery_zookeeper_copy *b)
{
    for (size_t i = 0; a->count == b->count && i < a->count; i++) {
        struct discovery_node like = b->nodes[i];
        like.sessions = a->nodes[i].sessions;
        if (!discovery_zookeeper_node_same(&a->nodes[i], &like))
            return false;
    }
    return a->count == b->count;
}

uint64_t discovery_zookeeper_copy_due(const struct discovery_zookeeper_copy *copy,
                                      const struct discovery_zookeeper_copy *written, uint64_t age_ms,
                                      uint64_t interval_ms)
{
    if (age_ms < AGE_MS && same_nodes(copy, written))
        return UINT64_MAX;
    return age_ms < interval_ms ? interval_ms - age_ms : 0;
}

void discovery_zookeeper_copy_reset(struct discovery_zookeeper_copy *copy)
{
    free(copy->nodes);
    *copy = (struct discovery_zookeeper_copy){0};
}

/* ---- the file ---- */

int discovery_zookeeper_copy_write(const char *path, struct bytes text)
{
    const int error = file_replace(path, text);
    if (error != 0)
        log_at(LOG_WARN, "discovery", "the copy of the nodes can't be written", LOG_STR("path", path),
               LOG_STR("error", strerror(error)));
    return err_from_errno(error);
}

int discovery_zookeeper_copy_read(const char *path, const char *root, struct discovery_zookeeper_copy *copy)
{
    struct bytebuf text = {0};
    *copy = (struct discovery_zookeeper_copy){0};
    const bool found = file_read(path, DISCOVERY_ZOOKEEPER_COPY_BYTES_MAX, &text) &&
                       discovery_zookeeper_copy_unpack(bytes_view(&text), root, copy) == 0;
    bytes_reset(&text);
    return found ? 0 : PETREL_E_NOT_FOUND;
}
