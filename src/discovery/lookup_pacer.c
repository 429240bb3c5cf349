#include "base/map.h"
#include "base/object.h"
#include "discovery/lookup.h"

#include <stdlib.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define WAIT_MAX_NS (LOOKUP_WAIT_MAX_MS * NS_PER_MS)
/* Nodes remembered at a time. */
#define NODES_MANY 16384

struct paced {
    struct map_node node;
    uint32_t number;
    uint64_t next_ns; /* the first slot that is not given out */
};

struct lookup_pacer {
    struct map nodes;
};

static struct bytes number_of(const struct map_node *node)
{
    const struct paced *paced = container_of(node, const struct paced, node);
    return bytes_of((const uint8_t *)&paced->number, sizeof paced->number);
}

struct lookup_pacer *lookup_pacer_new(void)
{
    struct lookup_pacer *pacer = object_zalloc(sizeof *pacer);
    map_init(&pacer->nodes, number_of, 0); /* nodes don't choose their numbers to collide */
    return pacer;
}

static void forget_all(struct lookup_pacer *pacer)
{
    for (struct map_node *node; (node = map_take_any(&pacer->nodes)) != NULL;)
        free(container_of(node, struct paced, node));
}

void lookup_pacer_free(struct lookup_pacer **pacer)
{
    if (*pacer == NULL)
        return;
    forget_all(*pacer);
    map_reset(&(*pacer)->nodes);
    free(*pacer);
    *pacer = NULL;
}

static struct paced *paced_of(struct lookup_pacer *pacer, uint32_t number)
{
    struct map_node *node = map_find(&pacer->nodes, bytes_of((const uint8_t *)&number, sizeof number));
    if (node != NULL)
        return container_of(node, struct paced, node);
    /* Most of so many are long gone. To forget the slots of the rest too costs one crowded minute. */
    if (pacer->nodes.count >= NODES_MANY)
        forget_all(pacer);
    struct paced *paced = object_zalloc(sizeof *paced);
    paced->number = number;
    map_insert(&pacer->nodes, &paced->node);
    return paced;
}

uint32_t lookup_pacer_take(struct lookup_pacer *pacer, const struct discovery_node *node, uint32_t shares,
                           uint64_t now_ms)
{
    if (node->connects_per_second == 0)
        return 0;
    struct paced *paced = paced_of(pacer, node->number);
    const uint64_t now_ns = now_ms * NS_PER_MS;
    if (paced->next_ns < now_ns || paced->next_ns - now_ns > WAIT_MAX_NS)
        paced->next_ns = now_ns;
    const uint64_t wait_ns = paced->next_ns - now_ns;
    paced->next_ns += (shares > 0 ? shares : 1) * NS_PER_S / node->connects_per_second;
    return (uint32_t)(wait_ns / NS_PER_MS);
}
