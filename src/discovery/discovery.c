#include "discovery/discovery.h"

#include <stdlib.h>
#include <string.h>

void discovery_view_unref(struct discovery_view *view)
{
    if (view != NULL && atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) == 1)
        free(view);
}

static bool is_text(const char *text, size_t size)
{
    const char *end = memchr(text, '\0', size);
    if (end == NULL)
        return false;
    for (; text < end; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

bool discovery_node_has_texts(const struct discovery_node *node)
{
    return is_text(node->name, sizeof node->name) && is_text(node->session_address, sizeof node->session_address) &&
           is_text(node->peer_address, sizeof node->peer_address);
}
