/* store_sqlite_rest.h: the two forms of a user in the SQLite store's memory. Most users of a server are idle: they are at rest, in
 * one piece. The rules of an inbox need its structs: a user is awake while an operation of the batch under way looks at it, while
 * something waits for it, and for a minute or two after it was used. */
#ifndef PETREL_STORE_STORE_SQLITE_REST_H
#define PETREL_STORE_STORE_SQLITE_REST_H

#include "store/inbox.h"

#define STORE_SQLITE_KEY_MAX (ROUTE_APP_MAX + 1 + ROUTE_USER_MAX)

/* What both forms begin with. */
struct store_form {
    bool is_awake : 1;
    bool forgets : 1; /* at rest: something by itself, and look_s is when, not when the record is due */
    uint8_t key_len;
};

struct store_rest {
    struct store_form form;
    uint16_t routes_len;
    uint32_t look_s; /* wall clock: nothing is to be done by itself before; UINT32_MAX: ever */
    uint32_t len;
    uint8_t data[]; /* the key; the record, none if there is none; the routes, none if there is none */
};

struct store_user {
    struct store_form form;
    bool is_touched; /* changed in the commit under way, with a copy to undo it */
    bool is_woken;   /* in the store's `woken` */
    bool is_hot;     /* changed since it was woken: what it remembers will be needed again soon */
    uint32_t number;
    uint32_t undo; /* its row, while it is touched */
    size_t charged;
    struct inbox inbox;
    uint8_t key[];
};

/* The key of the target's user, into key: its length; 0: the names are too long to be anybody's. */
size_t store_sqlite_rest_put_key(uint8_t key[STORE_SQLITE_KEY_MAX], const struct peer_target *target);
/* The key of a user of either form, borrowed from it. */
struct bytes store_sqlite_rest_key(const void *form);

/* A new one, awake, without a record. Keys are at most STORE_SQLITE_KEY_MAX long. Free with free() when its inbox is reset. */
struct store_user *store_sqlite_rest_user(struct bytes key);
/* Whether nothing waits for it. */
bool store_sqlite_rest_possible(const struct store_user *user);
/* The same user at rest, in memory of its own; possible. look_ms: see look_s. scratch: free for use. */
struct store_rest *store_sqlite_rest_make(const struct store_user *user, uint64_t look_ms, struct bytebuf *scratch);
/* The same user awake, in memory of its own. */
struct store_user *store_sqlite_rest_wake(const struct store_rest *rest);
/* What the table is to hold of a user at rest: the record where it lies, absent if there is none, and when it is due (UINT64_MAX: never),
 * up to a minute late. False: awake, or with something to forget, so that only the user awake knows. */
bool store_sqlite_rest_record(const void *form, struct bytes *record, uint64_t *due_ms);
/* What a check of this device looks at, of a user of either form, which stays as it is. */
struct inbox_standing store_sqlite_rest_stand(const void *form, struct bytes device);
size_t store_sqlite_rest_bytes(const struct store_rest *rest);

#endif
