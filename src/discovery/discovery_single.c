#include "discovery/discovery_single.h"

#include "base/err.h"
#include "base/object.h"
#include "discovery/board.h"

#include <stdlib.h>

#define SINGLE_MAGIC OBJECT_MAGIC('D', 'S', 'N', 'G')

struct single {
    struct discovery discovery;
    uint32_t magic;
    const struct clock *clock;
    struct board *board;
};

static struct single *single_of(struct discovery *discovery)
{
    struct single *single = container_of(discovery, struct single, discovery);
    object_check(single, SINGLE_MAGIC);
    return single;
}

static int single_publish(struct discovery *discovery, const struct discovery_node *self)
{
    struct single *single = single_of(discovery);
    if (!discovery_node_has_texts(self))
        return PETREL_E_INVALID;
    struct discovery_view *view = board_view_new(1);
    view->as_of_ms = clock_wall_ms(single->clock);
    view->current = true;
    view->nodes[0] = *self;
    board_show(single->board, &view);
    return 0;
}

static struct discovery_view *single_view(struct discovery *discovery)
{
    return board_view(single_of(discovery)->board);
}

static int single_watch(struct discovery *discovery, struct loop *loop, discovery_watch_fn *on_view, void *ctx)
{
    return board_watch(single_of(discovery)->board, loop, on_view, ctx);
}

static bool single_healthy(struct discovery *discovery)
{
    (void)single_of(discovery);
    return true;
}

static void single_close(struct discovery *discovery)
{
    struct single *single = single_of(discovery);
    board_close(&single->board);
    single->magic = 0;
    free(single);
}

static const struct discovery_ops discovery_single_ops = {
    .name = "single",
    .publish = single_publish,
    .view = single_view,
    .watch = single_watch,
    .healthy = single_healthy,
    .close = single_close,
};

int discovery_single_open(struct discovery **out, const struct clock *clock)
{
    struct single *single = object_zalloc(sizeof *single);
    single->discovery.ops = &discovery_single_ops;
    single->magic = SINGLE_MAGIC;
    single->clock = clock;
    single->board = board_new(clock_wall_ms(clock));
    *out = &single->discovery;
    return 0;
}
