/* board.h: the present view and the loops that watch it: what every implementation of discovery.h has in common.
 *
 * One thread writes (discovery's main loop), any thread reads, nobody waits. */
#ifndef PETREL_DISCOVERY_BOARD_H
#define PETREL_DISCOVERY_BOARD_H

#include "discovery/discovery.h"

struct board;

/* An empty view, version 0, as of that time. */
struct board *board_new(uint64_t as_of_ms);
/* A view with one reference and room for count nodes, to be filled and given to board_show(). Any thread. */
struct discovery_view *board_view_new(size_t count);
/* Make it the present view, under the next version, and tell the watchers. Takes the reference. The writer's thread. */
void board_show(struct board *board, struct discovery_view **view);

/* discovery_ops.view and .watch. Any thread. */
struct discovery_view *board_view(struct board *board);
int board_watch(struct board *board, struct loop *loop, discovery_watch_fn *on_view, void *ctx);

/* No watcher is called from here on. Freed with the last mail on its way. */
void board_close(struct board **board);

#endif
