/* api_rig.h: the API roles on a real loop, with the real registry, link and discovery, and a message server and a session server that
 * say what a test tells them to. Every answer is held against src/api/openapi.json as it is read (api_doc.h). */
#ifndef PETREL_TESTS_API_RIG_H
#define PETREL_TESTS_API_RIG_H

#include "api/api_role.h"
#include "base/err.h"
#include "discovery/link_local.h"
#include "unit/api_client.h"
#include "wire/condition.h"

#include <pthread.h>

#define API_RIG_ADMIN "admin-token-of-the-rig"
#define API_RIG_HELD_MAX 128

/* What the message server saw and what it shall say. Under lock. */
struct api_rig_script {
    char topics[256]; /* those that calls were about, in order: "news(0) " */
    struct id topic_id;
    uint64_t topic_expires_ms;
    bool has_key;
    uint32_t rate;
    int status;     /* of the next calls */
    int lost;       /* so many of the next calls end UNAVAILABLE, whatever status says */
    bool hold;      /* keep calls until api_rig_release() */
    bool duplicate; /* SEND: answered as a duplicate */
    struct peer_stated stated;
    struct peer_user user;
    struct route removed;

    int calls; /* seen so far */
    enum peer_type last_type;
    struct id lost_id;              /* of the last SEND that was lost */
    struct peer_send send;          /* of the last SEND; its texts and message are not valid any more */
    struct session_message message; /* of the last SEND; texts point into message_buf */
    struct buf *message_buf;
    char target[3][ROUTE_USER_MAX + 1]; /* app, user, device of the last call */
    char collapse_key[ROUTE_COLLAPSE_MAX + 1];
    struct peer_remove remove;
    char order[65536];           /* the devices of all SENDs, each with a comma */
    struct peer_drain drain;     /* the last DRAIN that was no LOOK */
    struct peer_drained drained; /* what DRAIN is answered with */
    int evictions;
    struct peer_evict evict;
};

struct api_rig {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct loop *loop;
    struct link_local *links;
    struct registry *registry;
    struct discovery *discovery;
    struct metrics *metrics;
    struct api_role *send;
    struct api_role *admin;
    uint16_t ports[2]; /* by enum api_kind */
    struct api_host host;
    int reload_status;        /* what host.reload answers */
    struct api_health health; /* what host.health says besides that all is up */
    bool unready;             /* it says that the disk is full */
    bool no_registry;         /* see api_rig_drop_registry() */
    struct discovery shown;   /* the roles' discovery: the view of api_rig_show(), else what discovery below has */
    struct discovery_view *view;
    int backup;          /* what host.backup's done is told */
    bool backup_refused; /* host.backup itself returns it */
    char folder[64];
    char key[REGISTRY_KEY_TEXT_MAX];       /* of the app "shop" */
    char other_key[REGISTRY_KEY_TEXT_MAX]; /* of the app "other" */
    struct session_codec *codec;
    struct api_rig_script script;
    struct link_call *held[API_RIG_HELD_MAX];
    int held_count;
    int closed;     /* roles */
    bool published; /* a session server is known to discovery */
};

/* change may be NULL; else it adjusts the defaults of both roles. Makes the apps "shop" and "other" with a key each. */
void api_rig_open(struct api_rig *rig, void (*change)(struct api_config *config));
void api_rig_close(struct api_rig *rig);
/* Begin to close the roles, without waiting. */
void api_rig_begin_close(struct api_rig *rig);

/* Run fn(rig) on the loop and wait. */
void api_rig_run(struct api_rig *rig, void (*fn)(struct api_rig *rig));
/* Wait until the message server has seen so many calls. */
void api_rig_wait_calls(struct api_rig *rig, int calls);
void api_rig_wait_evictions(struct api_rig *rig, int evictions);
/* Answer the held calls, the last one first when reverse. */
void api_rig_release(struct api_rig *rig, bool reverse);
/* Publish a session server, which lookup then finds. */
void api_rig_publish(struct api_rig *rig);
/* Let the API see these nodes in place of those. The rig itself is number 1, incarnation 77, with one loop. */
void api_rig_show(struct api_rig *rig, const struct discovery_node *nodes, size_t count);

/* Replace the admin role by one of a node that keeps no registry. */
void api_rig_drop_registry(struct api_rig *rig);
/* Replace the send role by one that has not been given a snapshot. */
void api_rig_open_early(struct api_rig *rig);

/* Write a send to that device of "ann", with the key of "shop". */
void api_rig_write_send(struct api_rig *rig, struct api_client *client, const char *device);
/* One request on a connection of its own: with the key of "shop" (API_SEND) or the admin token. path and body as in HTTP; body
 * may be NULL. The reply is freed with api_client_free(). */
struct api_reply api_rig_ask(struct api_rig *rig, enum api_kind kind, const char *method, const char *path,
                             const char *body);
/* The same with these header lines (each ending in CR LF) in place of the Authorization. */
struct api_reply api_rig_ask_with(struct api_rig *rig, enum api_kind kind, const char *method, const char *path,
                                  const char *headers, const char *body);
/* Ask, and expect that error: HTTP code, status, and field (NULL: none). */
void api_rig_expect_error(struct api_rig *rig, enum api_kind kind, const char *method, const char *path,
                          const char *body, unsigned http, const char *status, const char *field);
/* POST this message to "shop" and expect that error; message_part, when not NULL, stands in its text. */
void api_rig_expect_refused(struct api_rig *rig, const char *body, unsigned http, const char *status, const char *field,
                            const char *message_part);

#endif
