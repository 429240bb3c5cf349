/* api_health.h: how well a node can do its job, as the process around the API knows it: for /readyz, GET /admin/v1/status and
 * `petrelctl status`.
 *
 * not ready   it can't do its job, or must not be given more of it: another node should be asked. why says it
 * warning     it does its job, and something is to be mended: what names the part, text the fact */
#ifndef PETREL_API_API_HEALTH_H
#define PETREL_API_API_HEALTH_H

#include "base/bytes.h"

#define API_HEALTH_TEXT_MAX 160
#define API_HEALTH_WARNINGS_MAX 8

struct api_health_warning {
    const char *what; /* "memory", "store", "registry", "discovery", "links"; static */
    char text[API_HEALTH_TEXT_MAX];
};

struct api_health {
    bool ready;
    char why[API_HEALTH_TEXT_MAX]; /* when it is not */
    const char *state;             /* "starting", "up", "draining", "stopping"; static, as the next three */
    const char *store;             /* "up", "partly", "full", "down"; NULL: this node has none */
    const char *registry;          /* "up", "down"; NULL: this node has none */
    const char *discovery;         /* "up", "away" */
    uint32_t roles;                /* of enum discovery_role */
    uint32_t links;                /* nodes that this one connects to */
    uint32_t links_up;
    uint32_t callers; /* loops of other nodes connected to this one */
    size_t warnings_count;
    struct api_health_warning warnings[API_HEALTH_WARNINGS_MAX];
};

/* Say one more thing that is to be mended; beyond API_HEALTH_WARNINGS_MAX it is left out. */
void api_health_warn(struct api_health *health, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Not ready, for this reason; the first reason stands. */
void api_health_refuse(struct api_health *health, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
