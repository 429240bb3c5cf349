#include "discovery/discovery_zookeeper_node.h"

#include "base/err.h"
#include "base/object.h"

#include <inttypes.h>
#include <stdio.h>

#define FIRST_LINE "petrel 1"

static const struct {
    uint32_t role;
    const char *name;
} roles[] = {
    {DISCOVERY_SESSION, "session"},
    {DISCOVERY_MESSAGE, "message"},
    {DISCOVERY_API, "api"},
    {DISCOVERY_MANAGER, "manager"},
};
#define ROLES (sizeof roles / sizeof roles[0])

static const char *const tls_names[] = {
    [DISCOVERY_TLS_OFF] = "off",
    [DISCOVERY_TLS_OPTIONAL] = "optional",
    [DISCOVERY_TLS_REQUIRED] = "required",
};

void discovery_zookeeper_node_path(const char *root, const char *folder, const char *name,
                                   char out[DISCOVERY_ZOOKEEPER_PATH_MAX])
{
    int len = snprintf(out, DISCOVERY_ZOOKEEPER_PATH_MAX, "%s/%s", root, folder);
    petrel_assert(len > 0 && (size_t)len + 2 + 3 * DISCOVERY_NAME_MAX < DISCOVERY_ZOOKEEPER_PATH_MAX);
    if (name == NULL)
        return;
    char *at = out + len;
    *at++ = '/';
    for (size_t i = 0; name[i] != '\0' && i < DISCOVERY_NAME_MAX; i++) {
        if (name[i] == '/' || name[i] == '%' || (name[i] == '.' && i == 0))
            at += snprintf(at, 4, "%%%02X", (unsigned)(unsigned char)name[i]);
        else
            *at++ = name[i];
    }
    *at = '\0';
}

void discovery_zookeeper_node_pack(const struct discovery_node *node, struct bytebuf *out)
{
    bytes_printf(out, FIRST_LINE "\nname=%s\nnumber=%" PRIu32 "\nincarnation=%" PRIu64 "\nroles=", node->name,
                 node->number, node->incarnation);
    const char *comma = "";
    for (size_t i = 0; i < ROLES; i++) {
        if ((node->roles & roles[i].role) == 0)
            continue;
        bytes_printf(out, "%s%s", comma, roles[i].name);
        comma = ",";
    }
    bytes_printf(out, "\nstate=%s\nsessions=%" PRIu64 "\nmax_sessions=%" PRIu64 "\n",
                 node->state == DISCOVERY_DRAINING ? "draining" : "up", node->sessions, node->max_sessions);
    bytes_printf(out, "connects_per_second=%" PRIu32 "\nloops=%" PRIu16 "\n", node->connects_per_second, node->loops);
    bytes_printf(out, "session_address=%s\npeer_address=%s\n", node->session_address, node->peer_address);
    bytes_printf(out, "peer_tls=%s\n", tls_names[node->peer_tls]);
}

bool discovery_zookeeper_node_same(const struct discovery_node *a, const struct discovery_node *b)
{
    return a->number == b->number && a->roles == b->roles && a->incarnation == b->incarnation && a->state == b->state &&
           a->sessions == b->sessions && a->max_sessions == b->max_sessions &&
           a->connects_per_second == b->connects_per_second && a->loops == b->loops && a->peer_tls == b->peer_tls &&
           strcmp(a->name, b->name) == 0 && strcmp(a->session_address, b->session_address) == 0 &&
           strcmp(a->peer_address, b->peer_address) == 0;
}

/* Take the bytes before `end` (all, when it is not there) from the front of *in. */
static struct bytes take_until(struct bytes *in, char end)
{
    const uint8_t *found = in->len > 0 ? memchr(in->ptr, end, in->len) : NULL;
    const size_t len = found != NULL ? (size_t)(found - in->ptr) : in->len;
    const struct bytes taken = bytes_of(in->ptr, len);
    const size_t past = found != NULL ? len + 1 : len;
    *in = bytes_of(in->ptr + past, in->len - past);
    return taken;
}

static bool read_number(struct bytes text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        const unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return text.len > 0 && value <= max;
}

static bool read_text(struct bytes text, char *out, size_t size)
{
    if (text.len >= size)
        return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

static uint32_t read_roles(struct bytes list)
{
    uint32_t found = 0;
    while (list.len > 0) {
        const struct bytes word = take_until(&list, ',');
        for (size_t i = 0; i < ROLES; i++)
            found |= bytes_equal_str(word, roles[i].name) ? roles[i].role : 0;
    }
    return found;
}

/* A word that a later version may have thought of says at least that there is TLS. */
static enum discovery_tls read_tls(struct bytes word)
{
    for (size_t i = 0; i < sizeof tls_names / sizeof tls_names[0]; i++) {
        if (bytes_equal_str(word, tls_names[i]))
            return (enum discovery_tls)i;
    }
    return DISCOVERY_TLS_OPTIONAL;
}

static bool read_line(struct bytes key, struct bytes value, struct discovery_node *node)
{
    uint64_t number = node->number;
    uint64_t connects = node->connects_per_second;
    uint64_t loops = node->loops;
    bool good = true;
    if (bytes_equal_str(key, "name"))
        good = read_text(value, node->name, sizeof node->name);
    else if (bytes_equal_str(key, "number"))
        good = read_number(value, UINT32_MAX, &number);
    else if (bytes_equal_str(key, "incarnation"))
        good = read_number(value, UINT64_MAX, &node->incarnation);
    else if (bytes_equal_str(key, "roles"))
        node->roles = read_roles(value);
    else if (bytes_equal_str(key, "state"))
        node->state = bytes_equal_str(value, "up") ? DISCOVERY_UP : DISCOVERY_DRAINING;
    else if (bytes_equal_str(key, "sessions"))
        good = read_number(value, UINT64_MAX, &node->sessions);
    else if (bytes_equal_str(key, "max_sessions"))
        good = read_number(value, UINT64_MAX, &node->max_sessions);
    else if (bytes_equal_str(key, "connects_per_second"))
        good = read_number(value, UINT32_MAX, &connects);
    else if (bytes_equal_str(key, "loops"))
        good = read_number(value, UINT16_MAX, &loops);
    else if (bytes_equal_str(key, "session_address"))
        good = read_text(value, node->session_address, sizeof node->session_address);
    else if (bytes_equal_str(key, "peer_address"))
        good = read_text(value, node->peer_address, sizeof node->peer_address);
    else if (bytes_equal_str(key, "peer_tls"))
        node->peer_tls = read_tls(value);
    node->number = (uint32_t)number;
    node->connects_per_second = (uint32_t)connects;
    node->loops = (uint16_t)loops;
    return good;
}

int discovery_zookeeper_node_unpack(struct bytes in, struct discovery_node *node)
{
    *node = (struct discovery_node){0};
    if (!bytes_equal_str(take_until(&in, '\n'), FIRST_LINE))
        return PETREL_E_INVALID;
    while (in.len > 0) {
        struct bytes value = take_until(&in, '\n');
        const struct bytes key = take_until(&value, '=');
        if (!read_line(key, value, node))
            return PETREL_E_INVALID;
    }
    const bool whole = node->name[0] != '\0' && node->number != 0 && node->incarnation != 0;
    return whole && discovery_node_has_texts(node) ? 0 : PETREL_E_INVALID;
}
