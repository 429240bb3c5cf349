#include "discovery/discovery.h"

#include <stdlib.h>

void discovery_view_unref(struct discovery_view *view)
{
    if (view != NULL && atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) == 1)
        free(view);
}
